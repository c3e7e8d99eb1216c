"""The processes of a job as one group: who am I, what do I compute on, what do we agree on; and the seeds of all.

Two planes. Gradients travel over NCCL on GPUs and gloo on CPUs. Agreements (counts, flags, barriers) always travel
over gloo as CPU numbers, so that none of them makes a GPU wait.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import World as PlannedWorld
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure

T = TypeVar("T")

_PATIENT_TIMEOUT = timedelta(hours=12)
"""One process tokenises, or writes the model, while the others wait; for large data that takes hours."""


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among the others.

    Args:
        rank: 0 .. size-1 over all nodes.
        local_rank: 0 .. on this node.
        size: Processes in all.
        device: What this process computes on.
        patient: The group that barriers wait in.
    """

    rank: int
    local_rank: int
    size: int
    device: torch.device
    patient: dist.ProcessGroup

    @property
    def is_main(self) -> bool:
        """Is this the one process that writes what a job writes once."""
        return self.rank == 0

    @property
    def is_node_main(self) -> bool:
        """Is this the one process that does what a node does once."""
        return self.local_rank == 0

    def barrier(self) -> None:
        """Wait until every process is here, for hours if it must be."""
        dist.barrier(group=self.patient)

    def sum(self, *values: float) -> list[float]:
        """Add numbers over all ranks, in float64."""
        totals = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(totals)
        return totals.tolist()

    def gathered(self, value: T) -> list[T]:
        """Give every rank the values of all, in the order of the ranks."""
        values: list[Any] = [None] * self.size  # torch has no type for what it fills in
        dist.all_gather_object(values, value, group=self.patient)
        return values

    def any(self, flag: bool) -> bool:
        """Say on every rank whether the flag is set on at least one."""
        return self.sum(float(flag))[0] > 0


@contextlib.contextmanager
def joined_world(planned: PlannedWorld) -> Iterator[World]:
    """Join the group that torchrun describes in the environment, and leave it at the end.

    Raises:
        TrainingFailure: another number of processes than planned, or no GPU where the plan wants one.
    """
    local_rank, size = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
    if size != planned.size:
        raise _refusal("CPT605", f"the plan is for {planned.size} processes, {size} were started")
    device = _device(planned, local_rank)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(seconds=planned.timeout_s))
    try:
        patient = dist.new_group(backend="gloo", timeout=_PATIENT_TIMEOUT)
        assert isinstance(patient, dist.ProcessGroup), "every rank is in the group of all ranks"
        yield World(rank=dist.get_rank(), local_rank=local_rank, size=size, device=device, patient=patient)
    finally:
        # NCCL's farewell waits for every rank, also for one that is stuck, or is writing the model for an hour; the
        # worker ends its process right after this, which needs no farewell.
        if device.type == "cpu":
            dist.destroy_process_group()


def _device(planned: PlannedWorld, local_rank: int) -> torch.device:
    if planned.device == "cpu":
        return torch.device("cpu")
    if (count := torch.cuda.device_count()) == 0:
        raise _no_gpu()
    if local_rank >= count:
        raise _refusal("CPT606", f"process {local_rank} of this node needs a GPU, the node has {count}")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def _no_gpu() -> TrainingFailure:
    """Say why, in torch's words: to `device_count`, a driver that is too old looks like a machine without GPUs."""
    reason = "torch finds none"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (AssertionError, RuntimeError) as exc:  # the former: torch was built without CUDA
        reason = str(exc).partition("\n")[0].partition(". ")[0]
    hint = "run it on machines with GPUs, in an image whose CUDA their driver can run"
    return _refusal("CPT606", f"the plan wants GPUs, this node has none: {reason}", hint)


def _refusal(
    code: str, message: str, hint: str = "make the plan again for the machines that run it"
) -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.PLATFORM, message=message, hint=hint))


def seed_alike(seed: int) -> None:
    """Make every rank draw the same numbers: new weights are made whole on each rank and then sharded."""
    torch.manual_seed(seed)


def seed_apart(seed: int, rank: int) -> None:
    """Make every rank draw its own numbers: dropout must not repeat over the rows of a batch."""
    torch.manual_seed(seed + 1 + rank)
