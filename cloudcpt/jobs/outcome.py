"""How a job ended, as the error that a command ends with."""

from cloudcpt.errors import CloudcptError, JobFailed, JobStopped, error
from cloudcpt.jobs.ports import JobState, JobStatus


def outcome_error(status: JobStatus) -> CloudcptError | None:
    """Turn an unhappy end into its exception, with the failure's own code, sentence and hint.

    A stopped job is not a success: a script that waits for a model must notice. So is one that ran out of time.

    Returns:
        `JobFailed` (exit code 6) or `JobStopped` (7); None when the job completed or has not ended.
    """
    if status.state not in {JobState.FAILED, JobState.STOPPED}:
        return None
    failure = status.failure
    assert failure is not None, f"job `{status.name}` is `{status.state}`, and such a status must say why"
    found = error(failure.code, failure.message, hint=failure.hint)
    return JobFailed(found) if status.state is JobState.FAILED else JobStopped(found)
