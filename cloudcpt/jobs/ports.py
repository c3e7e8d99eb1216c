"""The ports that a place where jobs run implements, and the data that crosses them.

`JobService`, `LogSource`, `ModelSource` and `CheckpointSource` are drawn so that a folder on this machine and a
training-job service fit equally well: names are unique and derived from the plan, positions are opaque strings, nothing
is pushed. One fake per port is in tests/fakes.py; every adapter passes the same conformance tests.

    pending -> preparing -> training -> saving -> completed
       |           |           |          |
       +-----------+-----+-----+----------+--> failed
                         +--> stopping ------> stopped

A job that failed or was stopped can be pending again: `resume` goes on from its recovery state.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cloudcpt.plan.plan import Plan
from cloudcpt.wire import Evaluation, Failure, Progress

START = ""
"""The position before the first line of a log."""


class JobState(StrEnum):
    """Where a job is on its way; the last three are final."""

    PENDING = "pending"
    PREPARING = "preparing"
    TRAINING = "training"
    SAVING = "saving"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing will change any more."""
        return self in {JobState.COMPLETED, JobState.FAILED, JobState.STOPPED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A state that the job entered, and when, in seconds since 1970; `detail` is the service's own word for it."""

    state: JobState
    at: float
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobStatus:
    """What is known about a job at one moment.

    Args:
        name: Unique where the job runs; ends in the first digits of the plan's hash.
        target: Where it runs, as in the plan.
        plan_hash: The plan that it executes.
        phases: Every state so far, oldest first; at least one.
        failure: Why it failed or was stopped; None while it runs and when it completed.
        progress: The last logged step; None before the first.
        evaluations: First and last of each held-out set, as far as they have been made.
        files: Where its files are: a folder or an S3 prefix.
        model: Where the model is once the job has completed.
        is_rehearsal: A tiny random model took the place of the real one, so what it learned means nothing.
        checkpoints: Steps of which a whole model is kept beside the final one, first to last.
        recovery_step: Step after which the job can go on; None when there is no state to go on from.
        cost_usd: Billed so far, at the plan's price; None where nothing is billed.
        link: Page of the service's console; None where there is none.
    """

    name: str
    target: str
    plan_hash: str
    phases: tuple[Phase, ...]
    failure: Failure | None
    progress: Progress | None
    evaluations: tuple[Evaluation, ...]
    files: str
    model: str | None
    is_rehearsal: bool
    checkpoints: tuple[int, ...] = ()
    recovery_step: int | None = None
    cost_usd: float | None = None
    link: str | None = None

    @property
    def state(self) -> JobState:
        """Give the present state."""
        return self.phases[-1].state

    @property
    def created_at(self) -> float:
        """Give the moment the job came into being, in seconds since 1970."""
        return self.phases[0].at


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """The one job of a plan, and whether it was there before: `adopted`."""

    name: str
    adopted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LogChunk:
    """The next lines of a log.

    Args:
        lines: In order, without line ends, as the job wrote them: not safe for a terminal.
        position: Hand it to the next read to go on after these lines; may be kept for another day.
        ended: Every line written so far has been given. After a final status was seen, no line will follow.
    """

    lines: tuple[str, ...]
    position: str
    ended: bool


class JobService(Protocol):
    """Starts and stops jobs, and knows about them."""

    def create(self, plan: Plan, *, replace: bool = False) -> Submission:
        """Make sure that the one job of a plan exists and is under way.

        Calling it again, at once or from somewhere else, finds the same job, in whatever state it is by then.

        Args:
            plan: What to execute; its `job_name` is the job's name.
            replace: Start over when the job failed or was stopped. A job in another state is adopted all the same.

        Raises:
            CloudcptError: the job cannot be started here, with everything that is missing.
        """
        ...

    def status(self, name: str) -> JobStatus:
        """Look at a job.

        Raises:
            UsageProblem: there is no such job.
        """
        ...

    def resume(self, name: str) -> Submission:
        """Let a job that failed or was stopped go on from its recovery state; see `cloudcpt.jobs.resume`.

        Calling it again finds the job under way.

        Raises:
            UsageProblem: there is no such job.
            CloudcptError: it cannot be started here.
        """
        ...

    def stop(self, name: str) -> None:
        """Ask a job to stop; asking again, or asking a job that has ended, changes nothing.

        Raises:
            UsageProblem: there is no such job.
        """
        ...

    def names(self) -> tuple[str, ...]:
        """Name every job, newest first."""
        ...


class LogSource(Protocol):
    """Reads what a job printed."""

    def read(self, name: str, position: str = START) -> LogChunk:
        """Read on from a position: every line once, in order, each complete.

        Raises:
            UsageProblem: there is no such job.
        """
        ...


class ModelSource(Protocol):
    """Holds the models that jobs made."""

    def faults(self, name: str) -> list[str]:
        """List what keeps the job's model, where it lies, from being complete and unaltered; empty when it is.

        Raises:
            UsageProblem: there is no such job.
        """
        ...

    def copy(self, name: str, folder: Path) -> None:
        """Copy every file that lies in the job's model folder into a new folder, whether or not it is complete.

        Raises:
            UsageProblem: there is no such job.
        """
        ...


class CheckpointSource(Protocol):
    """Holds the models that jobs keep of earlier steps, in the layout of the final one."""

    def copy_checkpoint(self, name: str, step: int, folder: Path) -> None:
        """Copy every file of the model of a step into a new folder, whether or not it is complete.

        Raises:
            UsageProblem: there is no such job.
        """
        ...
