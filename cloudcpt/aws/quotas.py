"""How many instances of a type an account may use: 0 of every large GPU type until somebody asks for more.

Quota codes follow no rule, so the quotas are found by their names in the whole list.
Source: AWS general reference, "Amazon SageMaker endpoints and quotas" (names), 2026-11.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from cloudcpt.aws.errors import translated
from cloudcpt.jobs.checks import Check, failed, not_checked, passed
from cloudcpt.plan.plan import Plan

SERVICE = "sagemaker"
TRAINING, SPOT, WARM_POOL = "training job usage", "spot training job usage", "training warm pool usage"


def quotas(client: Any, names: Iterable[str]) -> Mapping[str, float]:
    """Read quotas by name; one that the service does not list is left out.

    Args:
        client: Of Service Quotas.
        names: Such as `ml.p5.48xlarge for training job usage`.
    """
    wanted = set(names)
    found: dict[str, float] = {}
    with translated("read the quotas of SageMaker"):
        for page in client.get_paginator("list_service_quotas").paginate(
            ServiceCode=SERVICE, PaginationConfig={"PageSize": 100}
        ):
            found |= {row["QuotaName"]: row["Value"] for row in page["Quotas"] if row["QuotaName"] in wanted}
            if len(found) == len(wanted):
                break  # there are thousands
    return found


def check_quotas(client: Any, plan: Plan) -> Check:
    """Compare what a plan needs with what the account may use; what other jobs use at the moment is not counted."""
    name, launch = "quota", plan.launch
    assert launch is not None, f"a plan for `{plan.target}` has no quota"
    if launch.training_plan_arn:
        return passed(name, "not counted: the capacity is reserved by a training plan")
    types = tuple(dict.fromkeys(launch.instance_preferences or (plan.world.instance_type,)))
    usages = (SPOT if launch.spot else TRAINING, *((WARM_POOL,) if launch.keep_alive_s else ()))
    values = quotas(client, [f"{one} for {usage}" for one in types for usage in usages])
    unlisted = [f"{one} for {usage}" for one in types for usage in usages if f"{one} for {usage}" not in values]
    if unlisted:
        return not_checked(name, f"the account lists no quota `{unlisted[0]}`")
    return _judge(name, plan.world.nodes, types, usages, values)


def _judge(
    name: str, nodes: int, types: tuple[str, ...], usages: tuple[str, ...], values: Mapping[str, float]
) -> Check:
    """Fail when no type has room in every quota that it counts against."""
    short = {one: [usage for usage in usages if values[f"{one} for {usage}"] < nodes] for one in types}
    words = "; ".join(f"{values[f'{one} for {usage}']:.0f} x {one} for {usage}" for one in types for usage in usages)
    if all(short.values()):
        quota = f"{types[0]} for {short[types[0]][0]}"
        message = f"the quota `{quota}` is {values[quota]:.0f}, the job needs {nodes}"
        hint = f"ask for {nodes} in the Service Quotas console, service `Amazon SageMaker`, quota `{quota}`"
        return failed(name, "CPT419", message, hint=hint)
    return passed(name, f"{words}; the job needs {nodes}")
