"""Service quotas: what CreateTrainingJob counts against, and the Service Quotas API that shows them.

Source: AWS general reference, "Amazon SageMaker endpoints and quotas": the quota names, and 0 as the default for the
large GPU types, which is the commonest first failure of all. Numbers above 0 are this fake's own.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.json_protocol import json_answer, json_refusal, read_parameters, target_operation
from cloudcpt.fake.shapes import training_instance_types

TRAINING, SPOT, WARM_POOL = "training job usage", "spot training job usage", "training warm pool usage"
LONGEST, MACHINES = "Longest run time for a training job", "Maximum number of instances per training job"
DEFAULT_INSTANCES = 20
DEFAULT_LIMITS = {LONGEST: 28 * 24 * 3600.0, MACHINES: 100.0}
"""Of any job; a new account has 432,000 seconds and 20 machines."""
_ZERO = re.compile(r"ml\.(p4d|p4de|p5|p5e|p5en|p6.*|trn.*)\..*")
SERVICE_CODE = "sagemaker"


class Quotas:
    """How many instances of each type an account may use."""

    def __init__(self) -> None:
        self._set: dict[str, float] = {}
        self._limits = dict(DEFAULT_LIMITS)

    def limit(self, name: str, value: float) -> None:
        """Set one of `DEFAULT_LIMITS`."""
        assert name in DEFAULT_LIMITS, f"`{name}` is no limit of a job"
        self._limits[name] = value

    def set(self, instance_type: str, instances: float, *, usage: str = TRAINING) -> None:
        """Grant a quota."""
        self._set[f"{instance_type} for {usage}"] = instances

    def value(self, instance_type: str, usage: str) -> float:
        """Give a quota, in instances."""
        granted = self._set.get(f"{instance_type} for {usage}")
        if granted is not None:
            return granted
        return 0.0 if usage == WARM_POOL or _ZERO.fullmatch(instance_type) else float(DEFAULT_INSTANCES)

    def check(self, instance_type: str, usage: str, *, used: int, wanted: int) -> None:
        """Refuse more instances than there may be.

        Raises:
            Refusal: `ResourceLimitExceeded`.
        """
        value = self.value(instance_type, usage)
        if used + wanted > value:
            raise _exceeded(f"{instance_type} for {usage}", value, used=used, wanted=wanted, unit="Instances")

    def check_limits(self, *, seconds: int, instances: int) -> None:
        """Refuse a job that may run for too long, or on too many machines.

        Raises:
            Refusal: `ResourceLimitExceeded`.
        """
        for name, wanted, unit in ((LONGEST, seconds, "Seconds"), (MACHINES, instances, "Instances")):
            if wanted > self._limits[name]:
                raise _exceeded(name, self._limits[name], used=0, wanted=wanted, unit=unit)

    def all(self) -> dict[str, float]:
        """Give every quota by name."""
        types, usages = training_instance_types(), (TRAINING, SPOT, WARM_POOL)
        return self._limits | {f"{one} for {usage}": self.value(one, usage) for one in types for usage in usages}

    def clear(self) -> None:
        """Take back every grant."""
        self._set.clear()
        self._limits = dict(DEFAULT_LIMITS)


def _exceeded(name: str, value: float, *, used: int, wanted: int, unit: str) -> Refusal:
    message = (
        f"The account-level service limit '{name}' is {value:.0f} {unit}, with current utilization of {used} {unit} "
        f"and a request delta of {wanted} {unit}. Please use AWS Service Quotas to request an increase for this quota. "
        "If AWS Service Quotas is not available, contact AWS support to request an increase for this quota."
    )
    return Refusal(status=400, code="ResourceLimitExceeded", message=message)


class ServiceQuotas:
    """The Service Quotas API over them; moto knows no quota of SageMaker.

    Args:
        quotas: To show.
        region: Of the service.
        account_id: Of the caller.
    """

    name = "service_quotas"

    def __init__(self, quotas: Quotas, *, region: str, account_id: str) -> None:
        self._quotas = quotas
        self._arn = f"arn:aws:servicequotas:{region}:{account_id}:{SERVICE_CODE}"

    def operation(self, head: Request) -> str:
        """Read the target header."""
        return target_operation(head)

    def action(self, operation: str) -> str:
        """Name the action, which is called as the operation is."""
        return f"servicequotas:{operation}"

    def answer(self, request: Request) -> Answer:
        """Show quotas.

        Raises:
            Refusal: no such service, quota or operation.
        """
        parameters, operation = read_parameters(request), target_operation(request)
        if parameters.get("ServiceCode") != SERVICE_CODE:
            raise _unknown()
        rows = [self._row(name, value) for name, value in sorted(self._quotas.all().items())]
        if operation == "GetServiceQuota":
            found = [row for row in rows if row["QuotaCode"] == parameters.get("QuotaCode")]
            if not found:
                raise _unknown()
            return json_answer({"Quota": found[0]})
        if operation != "ListServiceQuotas":
            raise Refusal(status=400, code="UnknownOperationException", message=f"{operation} is not played here")
        return json_answer(_page(rows, parameters))

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as JSON."""
        return json_refusal(refusal)

    def reset(self) -> None:
        """Take back every grant."""
        self._quotas.clear()

    def _row(self, name: str, value: float) -> dict[str, Any]:
        code = quota_code(name)
        return {
            "ServiceCode": SERVICE_CODE,
            "ServiceName": "Amazon SageMaker",
            "QuotaArn": f"{self._arn}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def quota_code(name: str) -> str:
    """Make a code for a quota; the real ones follow no rule, so nobody may rely on these."""
    return f"L-{hashlib.sha256(name.encode()).hexdigest()[:8].upper()}"


def _page(rows: list[dict[str, Any]], parameters: Mapping[str, Any]) -> dict[str, Any]:
    most = int(parameters.get("MaxResults", 100))
    start = int(parameters.get("NextToken", 0))
    page = {"Quotas": rows[start : start + most]}
    return page | ({"NextToken": str(start + most)} if start + most < len(rows) else {})


def _unknown() -> Refusal:
    message = "The request failed because the specified service or quota does not exist."
    return Refusal(status=400, code="NoSuchResourceException", message=message)
