"""How a local job ended, from what its trainer left: an exit status, a failure file, a model."""

import signal

from cloudcpt.errors import Blame, ExitCode
from cloudcpt.jobs.ports import JobState
from cloudcpt.wire import COMPLETE_FILE, Failure, MlFolder, Progress, failure_in


def outcome(ml: MlFolder, status: int, reason: Failure | None) -> tuple[JobState, Failure | None]:
    """Judge the end of a trainer.

    Args:
        ml: The job's folders.
        status: Exit status of the trainer: 0 completed, 7 stopped; minus the number of a signal that killed it.
        reason: Why it was asked to stop, if it was.

    Returns:
        The final state, and why, unless it is `completed`.
    """
    is_complete = (ml.model / COMPLETE_FILE).is_file()
    if status == 0 and is_complete:
        return JobState.COMPLETED, None  # even when a stop came too late to matter
    if reason is not None:
        return JobState.STOPPED, reason
    # Somebody may have told the trainer itself to stop, and it knows the plan's time limit too.
    state = JobState.STOPPED if status == ExitCode.JOB_STOPPED else JobState.FAILED
    return state, failure_in(ml.failure) or _inferred(status)


def stopped(code: str, what: str, progress: Progress | None, *, hint: str | None = None) -> Failure:
    """Say why a job is being stopped and how far it was."""
    where = f"its last logged step is {progress.step} of {progress.total_steps}" if progress else "no step was logged"
    return Failure(code=code, blame=Blame.USER, message=f"the job {what}: {where}, and no model was saved", hint=hint)


def _inferred(status: int) -> Failure:
    if status == 0:
        message = "the trainer ended as if all were well, but left no complete model"
        return Failure(code="CPT470", blame=Blame.BUG, message=message, hint="the log may say more")
    if -status == signal.SIGKILL:
        message = "the trainer was killed, which is what the system does when memory runs out"
        hint = "see `dmesg` for `oom-kill`; lower `training_config.micro_batch_size` or `max_length`"
        return Failure(code="CPT471", blame=Blame.PLATFORM, message=message, hint=hint)
    how = f"on signal {-status}" if status < 0 else f"with exit code {status}"
    message = f"the trainer ended {how} and did not say why"
    return Failure(code="CPT472", blame=Blame.BUG, message=message, hint="the end of the log may say more")
