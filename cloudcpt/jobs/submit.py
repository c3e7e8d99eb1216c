"""Start the one job of a plan, or find it: a plan is never two jobs, whatever was killed, lost or repeated."""

from typing import Protocol, TypeVar

from cloudcpt.errors import ServiceRefused, error
from cloudcpt.jobs.order import Order
from cloudcpt.jobs.outcome import outcome_error
from cloudcpt.jobs.ports import JobStatus, Submission
from cloudcpt.jobs.resume import refusal

AnyOrder = TypeVar("AnyOrder", bound=Order)
AnyOrder_contra = TypeVar("AnyOrder_contra", bound=Order, contravariant=True)


class Maker(Protocol[AnyOrder_contra]):
    """The half of a `JobService` that starting a job takes."""

    def create(self, plan: AnyOrder_contra, *, replace: bool = False) -> Submission:
        """Make sure that the one job exists and is under way; see `JobService.create`."""
        ...

    def status(self, name: str) -> JobStatus:
        """Look at a job; see `JobService.status`."""
        ...


def submit(jobs: Maker[AnyOrder], plan: AnyOrder, *, replace: bool = False) -> Submission:
    """Make sure that the job of a plan, or of work on data, is under way or has completed.

    Args:
        jobs: Where it runs.
        plan: What to execute.
        replace: Start over when the job failed or was stopped.

    Returns:
        The job; `adopted` when it was there before, running or completed.

    Raises:
        ServiceRefused: the name belongs to a job of another plan.
        JobFailed: the job of this plan has failed before.
        JobStopped: the job of this plan was stopped before.
        CloudcptError: whatever keeps the job from being created.
    """
    submission = jobs.create(plan, replace=replace)
    if not submission.adopted:
        return submission
    status = jobs.status(submission.name)
    if status.plan_hash != plan.hash:
        raise ServiceRefused(
            error(
                "CPT457",
                f"the name `{submission.name}` is taken by a job of another plan, `{status.plan_hash[:16]}...`",
                hint="give this one another `run.name`",
            )
        )
    ended = outcome_error(status)
    if ended is None:
        return submission
    can_go_on = refusal(status) is None
    way_on = f"`cloudcpt resume {submission.name}` goes on; or " if can_go_on else "remove the cause and "
    earlier = "the files of the earlier attempt are deleted then" if plan.launch is None else "the earlier job stays"
    again = error(
        "CPT456",
        f"job `{submission.name}` of this very plan has {status.state} before",
        hint=f"{way_on}submit again with `--force`; {earlier}",
    )
    raise type(ended)(*ended.diagnostics, again)
