"""What one GPU must hold, by term, and how to make it fit: activations kept or recomputed, micro-batch, replicas.

All weights are sharded over all processes (FSDP2, full shard): fp32 weights, gradients and both moments are divided
by the world size; the layer at work and the one fetched ahead are whole, in bf16. `B` rows of `T` positions go
through at once; activations are bf16.

Nothing here was measured on a GPU: `RESERVE_BYTES` is an assumption, the other terms are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from cloudcpt.plan.plan import Lora, MemoryFit, MemoryTerm
from cloudcpt.plan.sizes import Sizes

Activations = Literal["all", "recompute"]

_KEPT: dict[Activations, str] = {"all": "all kept", "recompute": "recomputed"}

LOSS_CHUNK_TOKENS = 1024
"""Positions whose logits exist at one time; the trainer computes the loss in chunks of so many."""

LOGIT_BYTES = 10
"""Of one logit: bf16, its fp32 copy, and the fp32 gradient."""

RESERVE_BYTES = 3 * 10**9
"""CUDA context, libraries, communication buffers and fragmentation; assumed."""

BUSY_POSITIONS = 8192
"""Positions of a micro-batch that keep a GPU busy; below it, recomputing beats a smaller micro-batch. Assumed."""

ROOMY_POSITIONS = 32768
"""Positions of a micro-batch beyond which a larger one no longer pays; the cap when the recipe sets none. Assumed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What training asks of memory, whatever the machine.

    Args:
        sizes: Of the model.
        lora: None when every parameter learns.
        seq_len: T.
        stored_bytes: Of one parameter as it is stored; frozen ones stay like that.
    """

    sizes: Sizes
    lora: Lora | None
    seq_len: int
    stored_bytes: int


def memory_terms(
    load: Load, *, world_size: int, micro_batch_rows: int, activations: Activations
) -> tuple[MemoryTerm, ...]:
    """Count the bytes on one GPU by what they are for."""
    sizes = load.sizes
    gathered = 2 * (2 * sizes.layer_parameters + sizes.all_embedding_parameters)
    largest_unit = max(sizes.layer_parameters, sizes.all_embedding_parameters)
    terms = {
        **_states(load, world_size),
        "bf16 weights at work (two layers, embeddings)": gathered,
        "gradients before they are reduced": 0 if load.lora else 6 * largest_unit,
        f"activations ({_KEPT[activations]})": _activations(load, micro_batch_rows, activations),
        "logits of one chunk": min(LOSS_CHUNK_TOKENS, micro_batch_rows * load.seq_len) * sizes.vocab_size * LOGIT_BYTES,
        "CUDA, communication, fragmentation (assumed)": RESERVE_BYTES,
    }
    return tuple(MemoryTerm(name=name, size_bytes=size) for name, size in terms.items() if size)


def _states(load: Load, world_size: int) -> dict[str, int]:
    """Count what is sharded: 16 bytes for every parameter that learns, and what a frozen one is stored in."""
    if load.lora is None:
        share = -(-load.sizes.parameters // world_size)
        return {"fp32 weights": 4 * share, "fp32 gradients": 4 * share, "fp32 moments (two)": 8 * share}
    adapters = load.sizes.adapter_parameters(load.lora.rank, load.lora.target_modules)
    return {
        "frozen weights": load.stored_bytes * -(-load.sizes.parameters // world_size),
        "fp32 adapters, gradients and moments": 16 * -(-adapters // world_size),
    }


def _activations(load: Load, micro_batch_rows: int, activations: Activations) -> int:
    """Count what the backward pass needs from the forward pass.

    Kept whole, one position of one layer takes 16 d + 10 (q + kv) + 8 f bytes (d residual width, q and kv widths of
    queries and keys, f inside the feed-forward block). Recomputed, a layer keeps its input, 2 d, and one layer at a
    time is whole.

    Source: saved tensors counted with `torch.autograd.graph.saved_tensors_hooks` for the Llama and Qwen3 layers of
    transformers 5.23 in bf16, torch 2.13, November 2026; without q and k norms it is 4 (q + kv).
    """
    sizes, positions = load.sizes, micro_batch_rows * load.seq_len
    layer = 16 * sizes.hidden_size + 10 * (sizes.query_size + sizes.kv_size) + 8 * sizes.intermediate_size
    if activations == "all":
        return positions * layer * sizes.layers
    return positions * (layer + 2 * sizes.hidden_size * sizes.layers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A micro-batch and what one GPU then holds."""

    micro_batch_rows: int
    memory: MemoryFit

    @property
    def fits(self) -> bool:
        """Tell whether the GPU is large enough."""
        return self.memory.total_bytes <= self.memory.capacity_bytes


def place(load: Load, *, world_size: int, capacity_bytes: int, micro_batches: Sequence[int]) -> Placement:
    """Choose the first arrangement that fits, or the smallest when none does.

    In order of preference: keep all activations, with the largest micro-batch that fits and still keeps a GPU busy;
    recompute them, with the largest micro-batch that fits.

    Args:
        load: What to train.
        world_size: GPUs over which the states are sharded.
        capacity_bytes: Of one GPU.
        micro_batches: Rows to choose from, largest first.
    """
    tried = None
    for rows, activations in _arrangements(load.seq_len, micro_batches):
        terms = memory_terms(load, world_size=world_size, micro_batch_rows=rows, activations=activations)
        total = sum(term.size_bytes for term in terms)
        fit = MemoryFit(terms=terms, total_bytes=total, capacity_bytes=capacity_bytes, activations=activations)
        tried = Placement(micro_batch_rows=rows, memory=fit)
        if tried.fits:
            return tried
    assert tried is not None, "there is always a micro-batch of one row to try"
    return tried


def _arrangements(seq_len: int, micro_batches: Sequence[int]) -> Iterator[tuple[int, Activations]]:
    busy = [rows for rows in micro_batches if rows * seq_len >= BUSY_POSITIONS] or list(micro_batches[:1])
    yield from ((rows, "all") for rows in busy)
    yield from ((rows, "recompute") for rows in micro_batches)
