"""What a job in the cloud is made from: the plan of a training, or work on data. Both are told apart by their hash.

Names, records, once-only creation and adoption look at nothing else of either.
"""

from dataclasses import dataclass
from typing import Protocol

from cloudcpt.jobs.data_job import DataJob
from cloudcpt.plan.kept import keeps_anything
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import Plan


class Order(Protocol):
    """A document that is one job."""

    @property
    def job_name(self) -> str:
        """Name the one job; ends in the first ten digits of the hash."""
        ...

    @property
    def hash(self) -> str:
        """Identify the document: BLAKE3 of its canonical JSON, 64 hex digits."""
        ...

    @property
    def target(self) -> str:
        """Say where it runs."""
        ...

    @property
    def launch(self) -> CloudLaunch | None:
        """Say what the cloud is told; None for a job on this machine."""
        ...

    def to_json(self) -> str:
        """Write the document: canonical, so that its bytes are its identity."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlay:
    """What a job rents and leaves.

    Args:
        instance_type: Of every machine.
        instances: How many.
        usd_per_instance_hour: 0 when it is not known.
        is_rehearsal: A stand-in takes the place of the model.
        keeps_anything: It writes into its checkpoint folder.
        makes_model: It leaves a model.
    """

    instance_type: str
    instances: int
    usd_per_instance_hour: float
    is_rehearsal: bool
    keeps_anything: bool
    makes_model: bool


def outlay_of(order: Plan | DataJob) -> Outlay:
    """Say what a job rents and leaves."""
    if isinstance(order, DataJob):
        return Outlay(
            instance_type=order.instance_type,
            instances=order.instances,
            usd_per_instance_hour=order.usd_per_instance_hour,
            is_rehearsal=False,
            keeps_anything=False,
            makes_model=False,
        )
    return Outlay(
        instance_type=order.world.instance_type,
        instances=order.world.nodes,
        usd_per_instance_hour=order.estimate.usd_per_instance_hour,
        is_rehearsal=order.model.stand_in,
        keeps_anything=keeps_anything(order),
        makes_model=True,
    )
