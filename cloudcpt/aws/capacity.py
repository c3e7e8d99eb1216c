"""Whether reserved capacity (a SageMaker training plan) is there, fits the job, and lasts long enough."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.errors import translated
from cloudcpt.jobs.checks import Check, failed, passed
from cloudcpt.plan.plan import Plan

_NAME = "training plan"
_TARGET = "training-job"


def check_training_plan(client: Any, plan: Plan) -> Check:
    """Look at the training plan that a job is to run in.

    Args:
        client: Of SageMaker.
        plan: Names it.
    """
    assert plan.launch is not None, f"a plan for `{plan.target}` has no training plan"
    name = plan.launch.training_plan_arn.rpartition("/")[2]
    with translated(f"look at the training plan `{name}`"):
        try:
            found = client.describe_training_plan(TrainingPlanName=name)
        except ClientError as exc:
            if exc.response["Error"]["Code"] not in ("ResourceNotFound", "ResourceNotFoundException"):
                raise
            return failed(_NAME, "CPT709", f"there is no training plan `{name}` in `{plan.launch.region}`")
    if fault := _fault(plan, name, found):
        return failed(_NAME, "CPT709", fault)
    return _judge_window(plan, name, found, datetime.now(UTC))


def _fault(plan: Plan, name: str, found: Mapping[str, Any]) -> str:
    """Say what keeps the job from starting in it; empty when nothing does."""
    status, nodes, wanted = found["Status"], plan.world.nodes, plan.world.instance_type
    types = {row["InstanceType"] for row in found.get("ReservedCapacitySummaries", ()) if "InstanceType" in row}
    targets = found.get("TargetResources", [_TARGET])
    if status in ("Expired", "Failed"):
        return f"the training plan `{name}` is {status}"
    if _TARGET not in targets:
        return f"the training plan `{name}` is for {', '.join(targets)}, not for training jobs"
    if types and wanted not in types:
        return f"the training plan `{name}` has {', '.join(sorted(types))}, the job needs {wanted}"
    if (total := found.get("TotalInstanceCount", nodes)) < nodes:
        return f"the training plan `{name}` has {total} instances, the job needs {nodes}"
    return ""


def _judge_window(plan: Plan, name: str, found: Mapping[str, Any], now: datetime) -> Check:
    """Compare the time that is left with the time that the job takes."""
    start, end = found.get("StartTime"), found.get("EndTime")
    if end is None:
        return passed(_NAME, f"`{name}` is {found['Status']}, without an end")
    hours = (end - max(now, start or now)).total_seconds() / 3600
    window = f"{f'{start:%Y-%m-%d %H:%M}' if start else 'now'} to {end:%Y-%m-%d %H:%M} UTC"
    if hours < plan.estimate.hours:
        message = f"the training plan `{name}` ({window}) leaves {max(hours, 0):.1f} hours, the job takes about "
        hint = "what runs when a training plan ends is stopped, and a job that is stopped leaves no model"
        return failed(_NAME, "CPT710", f"{message}{plan.estimate.hours:.1f}", hint=hint)
    free = found.get("AvailableInstanceCount")
    return passed(_NAME, f"{found['Status']}, {window}" + (f", {free} instances free" if free is not None else ""))
