"""Attention that never crosses a document, without mask tensors, for every model that uses transformers' interface.

    B rows, T positions, S segments over the flattened B*T positions, H query heads, G key/value heads, D head size

A mask would cost T x T per row and forbid the fast kernels; transformers' own packed masks are dropped silently when
a cache or an all-ones mask is around. So the boundaries travel as a keyword argument through the model's forward to the
function registered here. It is required: a model class that loses it on the way fails loudly.

    16 bits on a GPU, rows of several documents    torch.nn.attention.varlen, by the kernel that `kernels` has found
                      rows of one document         the same, or cuDNN's kernel where only FlashAttention 2 is there
    everything else                                `blocks`: CPUs, float32, dropout, soft caps

Nothing here depends on the lengths of documents as numbers of Python, so a compiled layer is compiled once.
"""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

from cloudcpt.train.blocks import attend

IMPLEMENTATION = "cloudcpt_documents"
"""Name under which models find it. No mask function has this name, so transformers builds no mask."""

_KERNEL_DTYPES = (torch.bfloat16, torch.float16)
_KERNEL_KNOWS_GQA = "enable_gqa" in inspect.signature(varlen_attn).parameters  # since torch 2.13


def document_attention(
    _layer: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    cu_seqlens: torch.Tensor,
    is_whole: bool = False,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_ignored: object,
) -> tuple[torch.Tensor, None]:
    """Attend causally within each segment.

    Args:
        _layer: Part of the interface, not needed.
        query: [B, H, T, D].
        key: [B, G, T, D]; H is a multiple of G.
        value: [B, G, T, D].
        attention_mask: Must be None.
        cu_seqlens: [S+1] int32 on the device of `query`, from 0 to B*T; segments may be empty and never cross a row.
        is_whole: Every row is one segment, and a kernel for whole rows is better.
        scaling: Of the scores; 1/sqrt(D) when None.
        dropout: On the attention probabilities; the layer passes 0 in evaluation.
        sliding_window: Positions that a query sees, itself included; None for all.
        softcap: Scores go through `cap * tanh(score / cap)`; None leaves them.
        _ignored: What layers pass and attention does not need, such as position ids.

    Returns:
        The mixed values [B, T, H, D], and None in the place of the attention weights.
    """
    assert attention_mask is None, "boundaries come as cu_seqlens; a mask here means the model was called wrongly"
    rows, _, positions, size = query.shape
    has_kernel = query.is_cuda and query.dtype in _KERNEL_DTYPES and dropout == 0.0 and softcap is None
    sees_all = sliding_window is None or sliding_window >= positions
    if has_kernel and is_whole and sees_all:
        return _by_row(query, key, value, scaling), None
    query, key, value = (states.transpose(1, 2).flatten(0, 1) for states in (query, key, value))  # [B*T, heads, D]
    if has_kernel:
        mixed = _by_kernel(query, key, value, cu_seqlens, positions, scaling, sliding_window)
    else:
        # A number of its own for each call: drawn here, where compiler and checkpoint keep track of it.
        seed = torch.randint(2**62, ()) if dropout else torch.zeros((), dtype=torch.int64)
        scaling = size**-0.5 if scaling is None else scaling
        mixed = attend(query, key, value, cu_seqlens, seed, scaling, dropout, sliding_window, softcap)
    return mixed.view(rows, positions, *mixed.shape[1:]), None


def _by_row(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None) -> torch.Tensor:
    """Attend along whole rows: [B, heads, T, D] to [B, T, H, D]. Needs a GPU; not covered by CPU tests."""
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION], set_priority=True):
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
    return mixed.transpose(1, 2)


def _by_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    positions: int,
    scaling: float | None,
    sliding_window: int | None,
) -> torch.Tensor:
    """Attend with the variable-length kernel: [B*T, heads, D] to [B*T, H, D]. Needs a GPU; not covered by CPU tests.

    No segment is longer than a row, so T is told as the longest one: the kernel only launches idle blocks for what is
    not there, while the true length would have to come from the device, and be another constant in every batch.
    """
    grouped: dict[str, Any] = {}  # Any: values of one keyword that older versions lack
    if (groups := query.shape[1] // key.shape[1]) > 1:
        if _KERNEL_KNOWS_GQA:
            grouped["enable_gqa"] = True
        else:
            key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    left = -1 if sliding_window is None else sliding_window - 1
    mixed = varlen_attn(
        query, key, value, cu_seqlens, cu_seqlens, positions, positions, scale=scaling, window_size=(left, 0), **grouped
    )
    assert isinstance(mixed, torch.Tensor), "without return_aux the kernel returns one tensor"
    return mixed


AttentionInterface.register(IMPLEMENTATION, document_attention)
