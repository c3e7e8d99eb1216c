"""The plan's guess at memory, checked on the device before the first step: does training fit, or must it keep less?

Two forward and backward passes with the fullest micro-batch: the second one runs while gradients are held, as with
accumulation, and its time is free of compiling. To their peak comes what the optimizer will hold from the first step
on. Where that is too much, on any rank, the model is built again with the next leaner choice of activations: after an
out-of-memory error in the middle of a pass nothing of a sharded model can be relied on. The passes leave no trace.

A rank that runs out of memory alone would leave the others waiting in a collective. So all ranks are held to what the
poorest one has: with the same shapes they then run out at the same allocation.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from cloudcpt.errors import Blame
from cloudcpt.plan.activations import BY_SPEED, Activations
from cloudcpt.plan.plan import Plan
from cloudcpt.train.batches import Batch
from cloudcpt.train.build import BuiltModel, build_model
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.loss import CausalLoss, model_inputs
from cloudcpt.train.model import OpenedModel
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.shard import sharding_mesh
from cloudcpt.train.world import World
from cloudcpt.wire import Failure

_MOMENT_BYTES = 8
"""Of one trainable number: both moments in float32."""

_USABLE = 0.97
"""Share of a device that may be full; the rest is for fragmentation that two passes do not show. Assumed."""


class Meter(Protocol):
    """Something that knows how much memory a device has and how much of it was taken."""

    def capacity_bytes(self) -> int:
        """Say how much this process could take in all."""

    def start(self, limit_bytes: int) -> None:
        """Forget the peak so far, and let no allocation go beyond the limit."""

    def stop(self) -> int:
        """Lift the limit and return the peak since `start`, in bytes."""


class CudaMeter:
    """The memory of one GPU. Not run in tests, which have none."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def capacity_bytes(self) -> int:
        """Add what nobody has taken to what torch has taken."""
        free, _ = torch.cuda.mem_get_info(self._device)
        return free + torch.cuda.memory_reserved(self._device)

    def start(self, limit_bytes: int) -> None:
        """Limit what torch's allocator may hold; what NCCL and CUDA take themselves comes on top."""
        _, total = torch.cuda.mem_get_info(self._device)
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_bytes / total), self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def stop(self) -> int:
        """Read what the allocator had to reserve, fragments included."""
        peak = torch.cuda.max_memory_reserved(self._device)
        torch.cuda.set_per_process_memory_fraction(1.0, self._device)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)
        return peak


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What two passes showed.

    Args:
        activations: What was kept.
        fits: On every rank.
        peak_bytes: Of the passes, on this rank; the limit when it ran out of memory.
        needed_bytes: With the moments of the optimizer.
        usable_bytes: On the poorest rank.
        seconds_per_pass: Of the second pass; 0 when it ran out of memory.
    """

    activations: Activations
    fits: bool
    peak_bytes: int
    needed_bytes: int
    usable_bytes: int
    seconds_per_pass: float

    def in_words(self) -> str:
        """Say it in a line of the log."""
        verdict = "fits" if self.fits else "does not fit"
        pace = f", {self.seconds_per_pass:.3f} s for a pass" if self.seconds_per_pass else ""
        return (
            f"activations `{self.activations}`: {verdict}, {self.needed_bytes / 1e9:.1f} GB of "
            f"{self.usable_bytes / 1e9:.1f} GB ({self.peak_bytes / 1e9:.1f} GB at the peak of two passes, the rest "
            f"for the optimizer){pace}"
        )


def build_what_fits(
    open_base: Callable[[], OpenedModel],
    plan: Plan,
    world: World,
    batch: Batch,
    log: MetricsLog,
    meter: Meter | None,
) -> BuiltModel:
    """Build the planned model, with fewer activations than planned where the device asks for it.

    Args:
        open_base: Opens the base model, anew for each attempt: nobody may hold on to one that did not fit.
        plan: Its choice of activations is tried first.
        world: All ranks.
        batch: Any micro-batch of the plan's shape.
        log: Hears of every attempt.
        meter: Of the device; None to take the plan's word.

    Raises:
        TrainingFailure: not even the leanest choice fits.
    """
    mesh = sharding_mesh(plan, world)
    planned = BY_SPEED.index(plan.memory.activations)
    for activations in BY_SPEED[planned:]:
        if activations == "budget" and not plan.compute.compile:
            continue
        attempt = replace(plan, memory=replace(plan.memory, activations=activations))
        built = build_model(open_base(), attempt, world, mesh)
        if meter is None:
            return built
        finding = probe(built.loss, activations, batch, world, meter)
        log.event(0, "memory", finding.in_words())
        if finding.fits:
            return built
        del built
        gc.collect()  # modules and their hooks refer to each other
        torch.compiler.reset()
    raise _too_large(finding)


def probe(loss: CausalLoss, activations: Activations, batch: Batch, world: World, meter: Meter) -> Finding:
    """Run two passes and see what they take; every rank calls.

    Args:
        loss: Sharded and with its numbers.
        activations: What it keeps.
        batch: Any micro-batch of the plan's shape.
        world: All ranks.
        meter: Of this rank's device.
    """
    limit = min(world.gathered(meter.capacity_bytes()))
    inputs = model_inputs(_fullest(batch), world.device)
    seconds, peak = 0.0, limit
    meter.start(limit)
    try:
        with _without_trace(loss, world.device):
            for _ in range(2):
                started = time.perf_counter()
                value = loss(**inputs)
                value.backward()
                value.item()  # waits for what was queued before it, the backward pass
                seconds = time.perf_counter() - started
    except torch.OutOfMemoryError:
        seconds = 0.0
        meter.stop()
    else:
        peak = meter.stop()
    needed, usable = peak + _moment_bytes(loss), int(_USABLE * limit)
    return Finding(
        activations=activations,
        fits=not world.any(needed > usable),
        peak_bytes=peak,
        needed_bytes=needed,
        usable_bytes=usable,
        seconds_per_pass=seconds,
    )


@contextmanager
def _without_trace(loss: CausalLoss, device: torch.device) -> Iterator[None]:
    """Put random state, gradients and buffers back to what they were."""
    buffers = [(buffer, buffer.clone()) for buffer in loss.buffers()]
    with torch.random.fork_rng(devices=[device.index] if device.type == "cuda" else []):
        try:
            yield
        finally:
            loss.zero_grad()
            for buffer, before in buffers:
                buffer.copy_(before)


def _fullest(batch: Batch) -> Batch:
    """Make each row one document from its first to its last position, with a label everywhere, in the same shapes.

    What is left of the boundaries are empty segments, so that nothing is compiled for this batch alone.
    """
    rows, length = batch.tokens.shape
    bounds = torch.full_like(batch.cu_seqlens, rows * length)
    bounds[: rows + 1] = torch.arange(0, rows * length + 1, length)
    positions = torch.arange(length).repeat(rows, 1)
    return replace(batch, labels=batch.tokens, positions=positions, cu_seqlens=bounds)


def _moment_bytes(loss: nn.Module) -> int:
    trainable = (parameter for parameter in loss.parameters() if parameter.requires_grad)
    return _MOMENT_BYTES * sum(one.to_local().numel() for one in trainable if isinstance(one, DTensor))


def _too_large(finding: Finding) -> TrainingFailure:
    message = (
        f"one GPU would need {finding.needed_bytes / 1e9:.1f} GB of the {finding.usable_bytes / 1e9:.1f} GB it can "
        f"use, with activations `{finding.activations}`"
    )
    hint = "lower `micro_batch_size` or `max_length`, raise `replicas`, or use `peft: {method: lora}`"
    return TrainingFailure(Failure(code="CPT640", blame=Blame.USER, message=message, hint=hint))
