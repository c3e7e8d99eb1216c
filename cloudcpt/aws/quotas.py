"""How many instances of a type an account may use: 0 of every large GPU type until somebody asks for more.

Two more limits are about any job: how long it may run, five days in a new account, and on how many machines.

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
LONGEST, MACHINES = "Longest run time for a training job", "Maximum number of instances per training job"


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
    values = quotas(client, [LONGEST, MACHINES, *(f"{one} for {usage}" for one in types for usage in usages)])
    if beyond := _beyond_limits(name, plan, values):
        return beyond
    unlisted = [f"{one} for {usage}" for one in types for usage in usages if f"{one} for {usage}" not in values]
    if unlisted:
        return not_checked(name, f"the account lists no quota `{unlisted[0]}`")
    return _judge(name, plan.world.nodes, types, usages, values)


def _beyond_limits(name: str, plan: Plan, values: Mapping[str, float]) -> Check | None:
    """Fail when a job of any kind may not run for so long, or on so many machines; a limit that is not listed holds."""
    longest, machines = values.get(LONGEST), values.get(MACHINES)
    if longest is not None and plan.max_runtime_s > longest:
        message = f"the quota `{LONGEST}` is {longest:,.0f} s, the time limit of the job {plan.max_runtime_s:,} s"
        hours = f"{longest / 3600:g}"
        hint = f"set `launch.max_runtime_hours` to {hours} or less, or ask for more in the Service Quotas console"
        return failed(name, "CPT419", message, hint=hint)
    if machines is not None and plan.world.nodes > machines:
        message = f"the quota `{MACHINES}` is {machines:.0f}, the job needs {plan.world.nodes}"
        hint = f"ask for {plan.world.nodes} in the Service Quotas console, service `Amazon SageMaker`"
        return failed(name, "CPT419", message, hint=hint)
    return None


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
