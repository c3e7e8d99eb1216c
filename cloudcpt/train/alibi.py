"""ALiBi through any attention kernel: the linear bias becomes part of queries and keys.

    B rows, T positions, H heads, D head size

    score(i, j) = scale * q_i . k_j + slope_h * j          j counts from 0 in each document

Fused kernels with document boundaries know no bias, and a bias tensor would be H x T x T. But `slope_h * j` is a
product of something of the query and something of the key, so eight more dimensions carry it: q' = (q, a), k' = (k, b)
with a . b = slope_h * j / scale, and zeros in the values. That the bias is `j` and not `j - i` makes no difference: the
softmax does not see what is the same for all keys of a query.

bfloat16 holds eight binary digits, so `a` is written as three parts and `b` as two, each of which it holds exactly;
kernels add up the products in float32. transformers rounds the whole bias to the dtype of the model instead: in float32
the two agree, in 16 bits this one stays with what float32 gives.

Source: Press et al. 2021, arXiv 2108.12409.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F

_DIMENSIONS = 8
"""Added to each head: six products of parts, and two zeros, because kernels want a multiple of eight."""

_LOW = 256
"""Integers below it, and its first 256 multiples, are exact in bfloat16."""

LONGEST = _LOW * _LOW
"""Positions of a document that can be told apart exactly."""


class Alibi(NamedTuple):
    """The added dimensions: of every query [H, 8] and of every key [B, T, 8]."""

    query: torch.Tensor
    key: torch.Tensor


def alibi_slopes(heads: int) -> list[float]:
    """List the slope of each head: a geometric sequence from 2^(-8/H) on.

    Where H is no power of two, the sequence of the next lower one goes first, and the rest takes every other slope of
    the next higher one.
    """
    lower = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * head / lower) for head in range(1, lower + 1)]
    return slopes + [2 ** (-4 * head / lower) for head in range(1, 2 * (heads - lower), 2)]


def make_alibi(positions: torch.Tensor, *, heads: int, scaling: float, dtype: torch.dtype) -> Alibi:
    """Make the added dimensions of one micro-batch, for all layers.

    Args:
        positions: [B, T] int64, from 0 in each document, below `LONGEST`.
        heads: H.
        scaling: Of the scores, by which the kernel will multiply these dimensions too.
        dtype: Of queries and keys.
    """
    rest = torch.tensor(alibi_slopes(heads), device=positions.device) / scaling  # [H] float32
    parts = []
    for _ in range(3):
        parts.append(rest.to(dtype))
        rest = rest - parts[-1].float()
    low = positions % _LOW
    high = positions - low
    return Alibi(
        query=F.pad(torch.stack(parts * 2, dim=-1), (0, 2)),
        key=F.pad(torch.stack([high] * 3 + [low] * 3, dim=-1).to(dtype), (0, 2)),
    )


def with_alibi(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, alibi: Alibi
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Extend queries, keys and values: each [B, H, T, D] to [B, H, T, D+8]. Attention's output has zeros at the end."""
    rows, heads, positions, _ = query.shape
    shape = rows, heads, positions, _DIMENSIONS
    return (
        torch.cat([query, alibi.query[None, :, None].expand(shape)], dim=-1),
        torch.cat([key, alibi.key[:, None].expand(shape)], dim=-1),
        F.pad(value, (0, _DIMENSIONS)),
    )
