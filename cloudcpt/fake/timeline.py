"""From a script to the phases of a job: a pure function of the script, the limits, and when somebody asked to stop.

    Starting -> (Pending) -> Downloading -> Training -> Uploading -> Completed
                                  ^            |-> Interrupted -> Starting        (spot)
                                  |            |-> Restarting -> Starting         (InternalServerError, RetryStrategy)
                                  |            |-> Failed
                                  +------------+-> Stopping -> (Uploading) -> Stopped | MaxRuntimeExceeded | ...

Source: botocore, sagemaker 2017-07-24, SecondaryStatus and StoppingCondition; the developer guide, "Managed spot
training" (Interrupted) and StopTrainingJob (120 s, the model written meanwhile is uploaded).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from cloudcpt.fake.script import STOP_GRACE_S, JobScript, Limits

MESSAGES: dict[str, str] = {
    "Starting": "Preparing the instances for training",
    "Pending": "Training job waiting for capacity",
    "Downloading": "Downloading the training image",
    "Training": "Training image download completed. Training in progress.",
    "Interrupted": "Training job interrupted",
    "Restarting": "Restarting the training job",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}
"""StatusMessage per secondary status; the API says that nobody should read meaning out of it."""

FINAL = {
    "Completed": "Completed",
    "Failed": "Failed",
    "Stopped": "Stopped",
    "MaxRuntimeExceeded": "Stopped",
    "MaxWaitTimeExceeded": "Stopped",
}
"""Final secondary statuses and the status of a job in them."""

ON_INSTANCES = frozenset({"Downloading", "Training", "Uploading"})
"""Phases that are training time and are paid for, as is Stopping after them."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of a job.

    Args:
        secondary: The secondary status.
        primary: The status meanwhile.
        start: When it began, in seconds since 1970.
        end: When it ended; infinity for the last one.
    """

    secondary: str
    primary: str
    start: float
    end: float


def phases_of(script: JobScript, limits: Limits, *, created_at: float, stop_at: float = inf) -> tuple[Phase, ...]:
    """Work out every phase of a job, past and to come.

    Args:
        script: What happens.
        limits: What the request allows.
        created_at: When the job was created.
        stop_at: When somebody asked to stop it.
    """
    found: list[Phase] = []
    now, on_instances, has_trained = created_at, 0.0, False
    for secondary, lasts in _undisturbed(script, limits):
        cut, ending = _cut(secondary, now, on_instances, limits, created_at=created_at, stop_at=stop_at)
        if secondary in FINAL or cut >= now + lasts:
            found.append(_phase(secondary, now, lasts))
            now += lasts
            on_instances += lasts if secondary in ON_INSTANCES else 0.0
            has_trained |= secondary == "Training"
            continue
        if cut > now:
            found.append(_phase(secondary, now, cut - now))
        has_trained |= secondary == "Training"
        found += _winding_down(script, max(now, cut), ending, has_trained=has_trained, secondary=secondary)
        break
    return tuple(found)


def _undisturbed(script: JobScript, limits: Limits) -> Iterator[tuple[str, float]]:
    """Give the phases that the script alone would have, with how long each lasts."""
    failure = script.failure
    yield "Starting", script.starting_s
    if script.pending_s:
        yield "Pending", script.pending_s
    if failure and failure.kind == "CapacityError":
        yield "Failed", inf
        return
    for trained_s in script.interruptions:
        yield from _attempt(script, trained_s)
        yield "Interrupted", script.interrupted_s
        yield "Starting", script.starting_s
    for _ in range(min(script.internal_errors, limits.retries)):
        yield from _attempt(script, script.training_s)
        yield "Restarting", 0.0
        yield "Starting", script.starting_s
    yield "Downloading", script.downloading_s
    if failure and failure.kind == "ClientError":
        yield "Failed", inf
        return
    yield "Training", script.training_s
    if failure or script.internal_errors > limits.retries:
        yield "Failed", inf
        return
    yield "Uploading", script.uploading_s
    yield "Completed", inf


def _attempt(script: JobScript, trained_s: float) -> Iterator[tuple[str, float]]:
    yield "Downloading", script.downloading_s
    yield "Training", trained_s


def _cut(
    secondary: str, now: float, on_instances: float, limits: Limits, *, created_at: float, stop_at: float
) -> tuple[float, str]:
    """Tell when this phase is cut short, and what the job ends as; infinity when it is not."""
    cuts = [(stop_at, "Stopped")]
    if secondary in ("Downloading", "Training"):
        cuts.append((now + limits.runtime_s - on_instances, "MaxRuntimeExceeded"))
    if limits.wait_s is not None and secondary != "Uploading":
        cuts.append((created_at + limits.wait_s, "MaxWaitTimeExceeded"))
    if secondary == "Pending" and limits.pending_s is not None:
        cuts.append((now + limits.pending_s, "Stopped"))
    return min(cuts)


def _winding_down(script: JobScript, now: float, ending: str, *, has_trained: bool, secondary: str) -> Iterator[Phase]:
    """Give the phases from the wish to stop to the end; a container that trained may save and is uploaded."""
    grace = min(script.stopping_s, STOP_GRACE_S) if secondary == "Training" else 0.0
    yield Phase(secondary="Stopping", primary="Stopping", start=now, end=now + grace)
    now += grace
    if has_trained and secondary in ("Training", "Uploading"):
        yield Phase(secondary="Uploading", primary="Stopping", start=now, end=now + script.uploading_s)
        now += script.uploading_s
    yield Phase(secondary=ending, primary=FINAL[ending], start=now, end=inf)


def _phase(secondary: str, start: float, lasts: float) -> Phase:
    return Phase(secondary=secondary, primary=FINAL.get(secondary, "InProgress"), start=start, end=start + lasts)


def training_s(phases: tuple[Phase, ...], now: float) -> float:
    """Add up the training time until now, which is what is paid for on demand."""
    total, before = 0.0, ""
    for phase in phases:
        if phase.secondary in ON_INSTANCES or (phase.secondary == "Stopping" and before == "Training"):
            total += min(phase.end, now) - phase.start
        before = phase.secondary
    return total
