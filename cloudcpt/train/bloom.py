"""BLOOM with attention that keeps documents apart: transformers' class knows neither boundaries nor our attention.

Two forwards are replaced, of the attention modules and of the model around the layers; parameters and everything else
stay transformers' own. No mask and no bias tensors are made: where stock layers hand on their bias, as `alibi`, these
hand on the boundaries.
"""

from collections.abc import Callable, Mapping
from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import BloomModel, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.bloom.modeling_bloom import BloomAttention

from cloudcpt.train.alibi import Alibi, make_alibi, with_alibi
from cloudcpt.train.attention import document_attention


class _Documents(NamedTuple):
    """What one micro-batch tells every layer: the bias, and the boundaries as `document_attention` takes them."""

    alibi: Alibi
    boundaries: Mapping[str, Any]  # Any: they are handed on


def keep_documents_apart(model: PreTrainedModel) -> None:
    """Replace the forwards of a BLOOM model, in place; no other class has the modules that are looked for."""
    forwards: dict[type[nn.Module], Callable[..., Any]] = {BloomModel: _run_layers, BloomAttention: _attend}
    for module in model.modules():
        if forward := forwards.get(type(module)):
            module.forward = MethodType(forward, module)  # a method: the compiler sees through no partial


def _run_layers(
    model: BloomModel,
    *,
    input_ids: torch.Tensor,
    position_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    use_cache: bool,
    **boundaries: Any,
) -> BaseModelOutput:
    """Run embedding and layers over packed rows.

    Args:
        model: Of which it is the forward.
        input_ids: [B, T] int64.
        position_ids: [B, T] int64, from 0 in each document.
        attention_mask: Must be None.
        use_cache: Must be False.
        boundaries: As `document_attention` takes them.

    Returns:
        `last_hidden_state` [B, T, hidden].
    """
    assert attention_mask is None, "boundaries come as cu_seqlens; a mask here means the model was called wrongly"
    assert not use_cache, "training has no use for a cache"
    hidden = model.word_embeddings_layernorm(model.word_embeddings(input_ids))
    scaling = (model.embed_dim // model.num_heads) ** -0.5
    alibi = make_alibi(position_ids, heads=model.num_heads, scaling=scaling, dtype=hidden.dtype)
    for layer in model.h:
        hidden, _ = layer(hidden, alibi=_Documents(alibi, boundaries), attention_mask=None)
    return BaseModelOutput(last_hidden_state=model.ln_f(hidden))


def _attend(
    layer: BloomAttention, hidden: torch.Tensor, residual: torch.Tensor, *, alibi: _Documents, **_unused: object
) -> tuple[torch.Tensor, None]:
    """Attend within documents and add to the stream: [B, T, hidden] to the same."""
    fused = layer.query_key_value(hidden).view(*hidden.shape[:2], layer.num_heads, 3, layer.head_dim)
    query, key, value = fused.permute(3, 0, 2, 1, 4).unbind()  # each [B, H, T, D]
    query, key, value = with_alibi(query, key, value, alibi.alibi)
    mixed, _ = document_attention(
        layer,
        query,
        key,
        value,
        None,
        scaling=layer.inv_norm_factor,
        dropout=layer.attention_dropout.p if layer.training else 0.0,
        **alibi.boundaries,
    )
    return residual + layer.dense(mixed[..., : layer.head_dim].reshape(hidden.shape)), None
