"""Attention that never crosses a document, without mask tensors, for every model that uses transformers' interface.

    B rows, T positions, S segments over the flattened B*T positions, H query heads, G key/value heads, D head size

A mask would cost T x T per row and forbid the fast kernels; transformers' own packed masks are dropped silently when
a cache or an all-ones mask is around. So the boundaries travel as two keyword arguments through the model's forward
to the function registered here. Both are required: a model class that loses them on the way fails loudly.

On a GPU in 16 bits `torch.nn.attention.varlen` does the work. It knows no dropout, so attention dropout, like float32
and the CPU, takes the reference path: one causal `scaled_dot_product_attention` per segment.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface

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
    segment_lengths: Sequence[int],
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
        cu_seqlens: [S+1] int32 on the device of `query`.
        segment_lengths: The same boundaries as S plain integers, so that no kernel launch waits for the device.
        scaling: Of the scores; 1/sqrt(D) when None.
        dropout: On the attention probabilities; the layer passes 0 in evaluation.
        sliding_window: Positions that a query sees, itself included; None for all.
        softcap: Must be None: no kernel here knows it.
        _ignored: What layers pass and attention does not need, such as position ids.

    Returns:
        The mixed values [B, T, H, D], and None in the place of the attention weights.
    """
    assert attention_mask is None, "boundaries come as cu_seqlens; a mask here means the model was called wrongly"
    assert softcap is None, "models with soft-capped attention are refused when they are loaded"
    rows, _, positions, _ = query.shape
    query, key, value = (states.transpose(1, 2).flatten(0, 1) for states in (query, key, value))  # [B*T, heads, D]
    if query.is_cuda and query.dtype in _KERNEL_DTYPES and dropout == 0.0:
        mixed = _by_kernel(query, key, value, cu_seqlens, max(segment_lengths), scaling, sliding_window)
    else:
        mixed = _by_segment(query, key, value, segment_lengths, scaling, dropout, sliding_window)
    return mixed.view(rows, positions, *mixed.shape[1:]), None


def _by_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seqlens: torch.Tensor,
    longest: int,
    scaling: float | None,
    sliding_window: int | None,
) -> torch.Tensor:
    """Attend with the variable-length kernel: [B*T, heads, D] to [B*T, H, D]. Needs a GPU; not covered by CPU tests."""
    grouped: dict[str, Any] = {}  # Any: values of one keyword that older versions lack
    if (groups := query.shape[1] // key.shape[1]) > 1:
        if _KERNEL_KNOWS_GQA:
            grouped["enable_gqa"] = True
        else:
            key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    left = -1 if sliding_window is None else sliding_window - 1
    mixed = varlen_attn(
        query, key, value, cu_seqlens, cu_seqlens, longest, longest, scale=scaling, window_size=(left, 0), **grouped
    )
    assert isinstance(mixed, torch.Tensor), "without return_aux the kernel returns one tensor"
    return mixed


def _by_segment(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segment_lengths: Sequence[int],
    scaling: float | None,
    dropout: float,
    sliding_window: int | None,
) -> torch.Tensor:
    """Attend segment by segment: [B*T, heads, D] to [B*T, H, D]."""
    segments = zip(
        *(torch.split(states.transpose(0, 1), list(segment_lengths), dim=1) for states in (query, key, value)),
        strict=True,
    )
    mixed = [
        F.scaled_dot_product_attention(
            one_query[None],
            one_key[None],
            one_value[None],
            attn_mask=(window := _window(one_query, sliding_window)),
            dropout_p=dropout,
            is_causal=window is None,
            scale=scaling,
            enable_gqa=True,
        )[0]
        for one_query, one_key, one_value in segments
    ]
    return torch.cat(mixed, dim=1).transpose(0, 1)


def _window(query: torch.Tensor, sliding_window: int | None) -> torch.Tensor | None:
    """Draw the causal band of one segment, [length, length] bool; None where the window hides nothing."""
    length = query.shape[1]
    if sliding_window is None or length <= sliding_window:
        return None
    distance = torch.arange(length, device=query.device)[:, None] - torch.arange(length, device=query.device)
    return (distance >= 0) & (distance < sliding_window)


AttentionInterface.register(IMPLEMENTATION, document_attention)
