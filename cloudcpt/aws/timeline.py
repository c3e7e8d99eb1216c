"""What a description of a training job says about its course: states with their times, and what has been billed.

    Starting -> (Pending) -> Downloading -> Training -> Uploading -> Completed
       ^                                      |-> Interrupted | Restarting -> Starting       begins anew
                                              +-> Stopping -> (Uploading) -> Stopped | MaxRuntimeExceeded | ...

Source: botocore, sagemaker 2017-07-24, SecondaryStatus; StatusMessage is text for people and never read.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from cloudcpt.aws.training_jobs import FINAL, Description
from cloudcpt.jobs.ports import JobState, Phase

_STATES = {
    "Starting": JobState.PENDING,
    "LaunchingMLInstances": JobState.PENDING,
    "PreparingTrainingStack": JobState.PENDING,
    "Pending": JobState.PENDING,
    "Interrupted": JobState.PENDING,
    "Restarting": JobState.PENDING,
    "Downloading": JobState.PREPARING,
    "DownloadingTrainingImage": JobState.PREPARING,
    "Training": JobState.TRAINING,
    "Uploading": JobState.SAVING,
    "Stopping": JobState.STOPPING,
}
"""Secondary statuses of a job that goes on. One that is not here is new to us and changes nothing."""

_ON_INSTANCES = {JobState.PREPARING, JobState.TRAINING, JobState.SAVING, JobState.STOPPING}


def phases_of(described: Description, end: JobState | None) -> tuple[Phase, ...]:
    """List the states that a job went through, oldest first; `detail` is the service's own word for each.

    Args:
        described: The job.
        end: How it ended, since one status of the service can mean several ends; None while it goes on.
    """
    phases: list[Phase] = []
    state = JobState.PENDING
    for row in described.get("SecondaryStatusTransitions", ()):
        found = _STATES.get(row["Status"], state)
        # What is uploaded after a wish to stop does not make the job one that is about to complete.
        state = JobState.STOPPING if state is JobState.STOPPING else found
        if row["Status"] not in _ENDS:
            phases.append(Phase(state=state, at=_seconds(row["StartTime"]), detail=row["Status"]))
    if not phases:
        first = described.get("SecondaryStatus", "")
        phases.append(Phase(state=JobState.PENDING, at=_seconds(described["CreationTime"]), detail=first))
    if end is not None:
        phases.append(Phase(state=end, at=_ended_at(described), detail=described["SecondaryStatus"]))
    return tuple(phases)


def is_final(described: Description) -> bool:
    """Tell whether nothing will change any more."""
    return described["TrainingJobStatus"] in FINAL


def billed_s(described: Description, phases: Sequence[Phase], now: float) -> float:
    """Count the seconds that each instance is billed for so far.

    At the end the service says so itself, less than the training time for spot capacity. Until then it is the time
    from the download on, without the waits of a job that was interrupted. Instances that are kept warm afterwards are
    billed too and are not in it.
    """
    if "BillableTimeInSeconds" in described:
        return float(described["BillableTimeInSeconds"])
    if "TrainingStartTime" not in described:
        return 0.0
    ends = [*(after.at for _, after in pairwise(phases)), now]
    on_instances = (
        max(0.0, end - phase.at) for phase, end in zip(phases, ends, strict=True) if phase.state in _ON_INSTANCES
    )
    return sum(on_instances)


_ENDS = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})


def _ended_at(described: Description) -> float:
    rows = described.get("SecondaryStatusTransitions", ())
    if rows and rows[-1]["Status"] in _ENDS:
        return _seconds(rows[-1]["StartTime"])
    return _seconds(described.get("TrainingEndTime") or described["LastModifiedTime"])


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
