"""Let a job go on that was interrupted, from its recovery state: the same plan, the same data, bit for bit.

    failed | stopped, with a state  ->  a new attempt that begins with the state
    everything else                 ->  refused, with what to do instead

Nobody does this by itself but the service, after an error of its own or when spot capacity comes back.
"""

from dataclasses import replace

from cloudcpt.errors import Diagnostic, UsageProblem, error
from cloudcpt.jobs.ports import JobService, JobState, JobStatus, Submission
from cloudcpt.wire import Failure

_STATE_IS_REFUSED = ("CPT665", "CPT666")
"""Failures of a job that could not go on from its state: to send it there again would end in the same way."""


def resume(jobs: JobService, status: JobStatus) -> Submission:
    """Let a job go on.

    Args:
        jobs: Where it ran.
        status: Where it stands.

    Raises:
        UsageProblem: it runs or has completed, or has no state to go on from.
        CloudcptError: whatever keeps it from being started.
    """
    if fault := refusal(status):
        raise UsageProblem(fault)
    return jobs.resume(status.name)


def refusal(status: JobStatus) -> Diagnostic | None:
    """Say why a job cannot go on; None when it can."""
    name = status.name
    if status.state is JobState.COMPLETED:
        return error("CPT479", f"job `{name}` has completed", hint=f"its model: `cloudcpt fetch {name}`")
    if not status.state.is_final:
        hint = f"watch it: `cloudcpt logs -f {name}`"
        return error("CPT479", f"job `{name}` is {status.state}, there is nothing to resume", hint=hint)
    if status.failure is not None and status.failure.code in _STATE_IS_REFUSED:
        message = f"job `{name}` could not go on from its state: {status.failure.message}"
        return error("CPT479", message, hint=f"start it over with `submit --force`; why: `cloudcpt logs {name}`")
    if status.recovery_step is None:
        message = f"job `{name}` left no state to go on from"
        hint = "start it over with `submit --force`; with `checkpoint.recovery_every_steps` in the recipe it leaves one"
        return error("CPT479", message, hint=hint)
    return None


def with_way_on(failure: Failure, step: int | None) -> Failure:
    """Add to a failure from where the job can go on; nothing where it tried in vain, or where it is said already.

    Args:
        failure: Why the job ended.
        step: After which there is a recovery state.
    """
    if step is None or failure.code in _STATE_IS_REFUSED or "cloudcpt resume" in failure.text():
        return failure
    return replace(failure, message=f"{failure.message}; `cloudcpt resume` goes on after step {step}")
