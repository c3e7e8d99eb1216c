"""How a CreateTrainingJob request is read: the parts of it that rules, quotas and timelines ask for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

JobRequest = Mapping[str, Any]
"""Parameters of CreateTrainingJob, as they came over the wire."""

DEFAULT_MAX_RUNTIME_S = 24 * 3600
"""Source: botocore, sagemaker 2017-07-24, StoppingCondition.MaxRuntimeInSeconds."""

_NVME_FAMILIES = re.compile(
    r"p3dn|p4d|p4de|p5|p5e|p5en|p6.*|p6e.*|g4dn|g5|g6|g6e|gr6|g7|g7e|trn1|trn1n|trn2|[a-z]+\d[a-z]*d[a-z]*"
)
"""Families with local storage. Source: EC2 user guide, "Instance store volumes"; ResourceConfig itself names p4d, g4dn
and g5."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule over several fields of a request.

    Args:
        name: For people and tests.
        source: Who says so.
        fault: Says in the service's manner what a request breaks; None when it breaks nothing.
    """

    name: str
    source: str
    fault: Callable[[JobRequest], str | None]


def resources(request: JobRequest) -> Mapping[str, Any]:
    """Give the ResourceConfig."""
    found: Mapping[str, Any] = request.get("ResourceConfig", {})
    return found


def channels(request: JobRequest) -> list[Mapping[str, Any]]:
    """Give the input channels."""
    return list(request.get("InputDataConfig", ()))


def stopping(request: JobRequest) -> Mapping[str, Any]:
    """Give the StoppingCondition."""
    found: Mapping[str, Any] = request.get("StoppingCondition", {})
    return found


def is_spot(request: JobRequest) -> bool:
    """Tell whether the job runs on spot instances."""
    return bool(request.get("EnableManagedSpotTraining"))


def has_local_storage(instance_type: str) -> bool:
    """Tell whether an instance type has NVMe volumes of its own."""
    return _NVME_FAMILIES.fullmatch(instance_type.split(".")[1]) is not None


def instance_types(request: JobRequest) -> list[str]:
    """Name every instance type that a request may run on, in order of preference."""
    own = resources(request)
    listed = [*own.get("InstanceGroups", ()), *own.get("InstancePreferences", ())]
    return [one["InstanceType"] for one in (own, *listed) if "InstanceType" in one]


def instance_count(request: JobRequest) -> int:
    """Count the instances of a request, for the first of its preferences."""
    own = resources(request)
    if groups := own.get("InstanceGroups"):
        return sum(int(group["InstanceCount"]) for group in groups)
    count = own.get("InstanceCount")
    return int(count if count is not None else own["InstancePreferences"][0]["InstanceCount"])


def repeated(values: list[str]) -> str | None:
    """Give the first value that occurs twice."""
    return next((value for at, value in enumerate(values) if value in values[:at]), None)
