"""What one GPU must hold, by term, and how to make it fit: activations kept or recomputed, micro-batch, replicas.

Weights are sharded (FSDP2): fp32 weights, gradients and both moments are divided over all processes, or over those of
one machine; the layer at work and the one fetched ahead are whole, in bf16. `B` rows of `T` positions go through at
once; activations are bf16.

Nothing here was measured on a GPU: `RESERVE_BYTES` is an assumption, the other terms are counted. Before the first
step the trainer measures, and keeps fewer activations where the plan hoped for too much.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloudcpt.plan.activations import IN_WORDS, Activations, activation_bytes
from cloudcpt.plan.plan import Dropouts, Lora, MemoryFit, MemoryTerm
from cloudcpt.plan.sizes import Sizes

LOSS_CHUNK_TOKENS = 1024
"""Positions whose logits exist at one time; the trainer computes the loss in chunks of so many."""

SCALE_BITS = 0.5
"""Of a weight that is held in few bits, beside its code: blocks of 64 weights share a scale of 32 bits."""

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
        dropouts: Of the layers.
        seq_len: T.
        stored_bytes: Of one parameter as it is stored; frozen ones stay like that.
        compiled: Layers are compiled.
    """

    sizes: Sizes
    lora: Lora | None
    dropouts: Dropouts
    seq_len: int
    stored_bytes: int
    compiled: bool


def memory_terms(
    load: Load, *, shard_processes: int, micro_batch_rows: int, activations: Activations
) -> tuple[MemoryTerm, ...]:
    """Count the bytes on one GPU by what they are for."""
    sizes, positions = load.sizes, micro_batch_rows * load.seq_len
    kept = activation_bytes(sizes, load.dropouts, activations, positions=positions, compiled=load.compiled)
    gathered = 2 * (2 * sizes.layer_parameters + sizes.all_embedding_parameters)
    terms = {
        **_states(load, shard_processes),
        "bf16 weights at work (two layers, embeddings)": gathered,
        "gradients before they are reduced": 6 * _largest_learning(load),
        f"activations ({IN_WORDS[activations]})": kept,
        "logits of one chunk": min(LOSS_CHUNK_TOKENS, positions) * sizes.vocab_size * LOGIT_BYTES,
        "CUDA, communication, fragmentation (assumed)": RESERVE_BYTES,
    }
    return tuple(MemoryTerm(name=name, size_bytes=size) for name, size in terms.items() if size)


def _largest_learning(load: Load) -> int:
    """Count the parameters of the largest unit that learns as a whole; adapters are small."""
    embeddings = load.sizes.all_embedding_parameters
    if load.lora is None:
        return max(load.sizes.layer_parameters, embeddings)
    return embeddings if load.lora.embedding_lr else 0


def _states(load: Load, shard_processes: int) -> dict[str, int]:
    """Count what is sharded: 16 bytes for every parameter that learns, and what a frozen one is stored in."""
    if load.lora is None:
        share = -(-load.sizes.parameters // shard_processes)
        return {"fp32 weights": 4 * share, "fp32 gradients": 4 * share, "fp32 moments (two)": 8 * share}
    adapters = load.sizes.adapter_parameters(load.lora.rank, load.lora.target_modules)
    embeddings = load.sizes.all_embedding_parameters if load.lora.embedding_lr else 0
    return {
        "frozen weights": -(-_frozen_bytes(load.sizes, load.lora, load.stored_bytes) // shard_processes),
        "fp32 adapters, gradients and moments": 16 * -(-adapters // shard_processes),
        "fp32 embeddings, gradients and moments": 16 * -(-embeddings // shard_processes),
    }


def _frozen_bytes(sizes: Sizes, lora: Lora, stored_bytes: int) -> int:
    """Count what frozen weights take over all processes; in few bits are those of the layers, and none of the others.

    Their norms and biases are not, and are less than a thousandth of them.
    """
    in_layers = sizes.layers * sizes.layer_parameters
    elsewhere = sizes.parameters - in_layers - (sizes.all_embedding_parameters if lora.embedding_lr else 0)
    of_layers = round(in_layers * (lora.bits + SCALE_BITS) / 8) if lora.bits else stored_bytes * in_layers
    return of_layers + stored_bytes * elsewhere


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """A micro-batch and what one GPU then holds."""

    micro_batch_rows: int
    memory: MemoryFit

    @property
    def fits(self) -> bool:
        """Tell whether the GPU is large enough."""
        return self.memory.total_bytes <= self.memory.capacity_bytes


def place(
    load: Load,
    *,
    shard_processes: int,
    capacity_bytes: int,
    micro_batches: Sequence[int],
    choices: Sequence[Activations],
) -> Placement:
    """Choose the first arrangement that fits, or the smallest when none does.

    In order of preference: recompute as little as possible, with the largest micro-batch that fits and still keeps a
    GPU busy; recompute as much as possible, with the largest micro-batch that fits.

    Args:
        load: What to train.
        shard_processes: GPUs over which the states are divided.
        capacity_bytes: Of one GPU.
        micro_batches: Rows to choose from, largest first.
        choices: What may be kept, fastest first.
    """
    tried = None
    for rows, activations in _arrangements(load.seq_len, micro_batches, choices):
        terms = memory_terms(load, shard_processes=shard_processes, micro_batch_rows=rows, activations=activations)
        total = sum(term.size_bytes for term in terms)
        fit = MemoryFit(terms=terms, total_bytes=total, capacity_bytes=capacity_bytes, activations=activations)
        tried = Placement(micro_batch_rows=rows, memory=fit)
        if tried.fits:
            return tried
    assert tried is not None, "there is always a micro-batch of one row to try"
    return tried


def _arrangements(
    seq_len: int, micro_batches: Sequence[int], choices: Sequence[Activations]
) -> Iterator[tuple[int, Activations]]:
    busy = [rows for rows in micro_batches if rows * seq_len >= BUSY_POSITIONS] or list(micro_batches[:1])
    yield from ((rows, activations) for activations in choices[:-1] for rows in busy)
    yield from ((rows, choices[-1]) for rows in micro_batches)
