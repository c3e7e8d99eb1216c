"""Work on data as a job in the cloud: one command of `cloudcpt data`, on several machines, as one document.

    command line --DataJob--> request (`data_request`) and plan.json --container--> cloudcpt.corpus.cluster

The document takes the place of a plan: its hash is the job's identity, so that the same command is the same job, and it
is what crosses into the container.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal

from cloudcpt.errors import PlanError, error
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import job_slug
from cloudcpt.wire import SCHEMA_VERSION

KIND = "data job"


@dataclass(frozen=True, kw_only=True)
class DataJob:
    """One command on several machines.

    Args:
        arguments: Of `cloudcpt data`, its command first; all paths are in S3.
        instance_type: Of every machine.
        instances: How many.
        usd_per_instance_hour: Of one machine; 0 when it is not known.
        price_source: Where the price is from; empty when it is not known.
        max_runtime_s: When the service stops the job.
        launch: What the cloud is told.
        made_by: `cloudcpt` and its version.
        kind: Tells it from a plan.
        schema_version: Of the document.
    """

    arguments: tuple[str, ...]
    instance_type: str
    instances: int
    usd_per_instance_hour: float
    price_source: str
    max_runtime_s: int
    launch: CloudLaunch
    made_by: str
    kind: Literal["data job"] = "data job"
    schema_version: int = SCHEMA_VERSION

    @property
    def target(self) -> str:
        """Say where it runs."""
        return "sagemaker"

    def to_json(self) -> str:
        """Write the document: canonical, so that its bytes are its identity."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @cached_property
    def hash(self) -> str:
        """Identify the work: BLAKE3 of its canonical JSON, 64 hex digits."""
        from blake3 import blake3

        return blake3(self.to_json().encode()).hexdigest()

    @property
    def job_name(self) -> str:
        """Name the one job of this work, such as `data-dedup-0123456789`."""
        return f"{job_slug(f'data-{self.arguments[0]}')}-{self.hash[:10]}"


def is_data_job(text: str | bytes) -> bool:
    """Tell the document of work on data from the plan of a training."""
    try:
        found = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def read_data_job(text: str | bytes) -> DataJob:
    """Read the document of work on data.

    Raises:
        PlanError: another version has written it, or something else.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        found = TypeAdapter(DataJob).validate_json(text)
    except ValidationError as exc:
        raise PlanError(error("CPT777", f"this is no work on data: {exc.errors()[0]['msg']}")) from exc
    if found.schema_version != SCHEMA_VERSION:
        message = f"work on data of schema version {found.schema_version}, this cloudcpt reads {SCHEMA_VERSION}"
        raise PlanError(error("CPT777", message))
    return found
