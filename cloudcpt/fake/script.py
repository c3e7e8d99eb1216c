"""What happens to a training job that nothing really runs: a script, written by a test.

All times are seconds of the fake's clock. Source of the phases: botocore, sagemaker 2017-07-24, SecondaryStatus.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cloudcpt.fake.job_request import DEFAULT_MAX_RUNTIME_S, JobRequest, is_spot, stopping

STOP_GRACE_S = 120.0
"""From SIGTERM to SIGKILL. Source: SageMaker API reference, StopTrainingJob."""

REASON_LIMIT = 1024
"""Characters of a FailureReason. Source: botocore, sagemaker 2017-07-24, FailureReason."""


@dataclass(frozen=True, kw_only=True)
class ScriptedFailure:
    """How a job fails.

    Args:
        kind: `AlgorithmError` after the training time, `ClientError` after the download, `CapacityError` after the
            wait for instances, `InternalServerError` after the training time of every attempt.
        text: What follows the kind, such as the failure file's text.
        exit_code: Of the container, shown behind the text of an AlgorithmError.
    """

    kind: str
    text: str
    exit_code: int = 1

    @property
    def reason(self) -> str:
        """Word the FailureReason."""
        ending = f", exit code: {self.exit_code}" if self.kind == "AlgorithmError" else ""
        return f"{self.kind}: {self.text}{ending}"[:REASON_LIMIT]


NO_CAPACITY = ScriptedFailure(
    kind="CapacityError",
    text="Unable to provision requested ML compute capacity. Please retry using a different ML instance type.",
)
"""How a job ends that found no instances. Source: DIAGNijmegen/rse-grand-challenge#2631."""

INTERNAL_ERROR = ScriptedFailure(
    kind="InternalServerError", text="We encountered an internal error. Please retry the training job."
)
"""How a job ends whose last attempt broke through no fault of its own."""


@dataclass(frozen=True, kw_only=True)
class ScriptedLine:
    """One line of a job's log.

    Args:
        after_s: Seconds after the first training phase began.
        text: Without the line break.
        host: Number of the instance, from 1.
    """

    after_s: float
    text: str
    host: int = 1


@dataclass(frozen=True, kw_only=True)
class JobScript:
    """The life of a job.

    Args:
        starting_s: Until instances are asked for.
        pending_s: Waiting for capacity; 0.0 leaves the phase out.
        downloading_s: Image and channels.
        training_s: What the training needs in all.
        uploading_s: Model and output.
        stopping_s: What the container needs to end after SIGTERM; it is killed after 120 s.
        interruptions: Spot only: training times after which the instances are taken away, one per attempt.
        interrupted_s: How long there are no spot instances.
        internal_errors: How many attempts break through no fault of the job.
        failure: How the job fails in the end; None when it completes.
        unavailable: Instance types without capacity, for InstancePreferences.
        billable_share: Billable time per training time: below 1.0 for spot.
        log: Lines that appear as time passes.
        log_delay_s: How much later than written a line appears.
        model: Files of `/opt/ml/model`, uploaded at the end.
        output: Files of `/opt/ml/output/data`, uploaded at the end.
    """

    starting_s: float = 60.0
    pending_s: float = 0.0
    downloading_s: float = 120.0
    training_s: float = 600.0
    uploading_s: float = 30.0
    stopping_s: float = 5.0
    interruptions: tuple[float, ...] = ()
    interrupted_s: float = 300.0
    internal_errors: int = 0
    failure: ScriptedFailure | None = None
    unavailable: frozenset[str] = frozenset()
    billable_share: float = 1.0
    log: tuple[ScriptedLine, ...] = ()
    log_delay_s: float = 0.0
    model: Mapping[str, bytes] = field(default_factory=dict)
    output: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits that a request sets to a job's time, in seconds; None where there is none."""

    runtime_s: float
    wait_s: float | None
    pending_s: float | None
    retries: int


def limits_of(request: JobRequest) -> Limits:
    """Read the limits of a request."""
    condition = stopping(request)
    return Limits(
        runtime_s=float(condition.get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)),
        wait_s=condition.get("MaxWaitTimeInSeconds") if is_spot(request) else None,
        pending_s=condition.get("MaxPendingTimeInSeconds"),
        retries=int(request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0)),
    )
