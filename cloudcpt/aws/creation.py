"""Create a training job exactly once, whatever is killed, lost or repeated.

    record, not confirmed -> CreateTrainingJob --ok------------------------> confirmed, ours
                                  |--anything else--> DescribeTrainingJob
                                                        |--this plan's hash -> confirmed, found
                                                        |--another hash -----> refused, record dropped
                                                        |--no such job ------> the refusal; record dropped, unless the
                                                        |                      name was in use: not seen yet, it stays
                                                        |--no answer --------> nobody knows; record stays

AWS has no token for this call, so the name carries the identity: it can be given once, and it ends in digits of the
plan's hash. What a refusal says is never trusted to mean that there is no job: a lost answer is followed by "the name
is in use", and a job that uses the whole quota makes its own repetition look like one too many.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloudcpt.aws.adoption import hash_of
from cloudcpt.aws.records import CloudRecord, Records
from cloudcpt.aws.training_jobs import Description, NameInUse, TrainingJobs
from cloudcpt.errors import CloudcptError, ServiceRefused, TransientError, error


def is_created(jobs: TrainingJobs, records: Records, record: CloudRecord, request: Mapping[str, Any]) -> bool:
    """Create a job unless it is there, and tell whether this call did; either way the record is confirmed then.

    Args:
        jobs: Of the record's region.
        records: Where the record is, not confirmed.
        record: Of the job.
        request: For the job.

    Raises:
        ServiceRefused: another plan has the name, a quota is used up, or the request is refused.
        SetupError: credentials or permissions.
        TransientError: nobody knows whether there is a job now.
    """
    found = _create_or_find(jobs, records, record, request)
    if found is not None and hash_of(found) != record.plan_hash:
        records.forget(record.name)
        raise name_taken(record.name)
    records.write(replace(record, is_confirmed=True))
    return found is None


def name_taken(name: str) -> ServiceRefused:
    """Say that a name is that of a job of something else."""
    message = f"the name `{name}` is taken by a job of another plan, or by one that is not cloudcpt's"
    return ServiceRefused(error("CPT457", message, hint="give this one another `run.name`"))


def _create_or_find(
    jobs: TrainingJobs, records: Records, record: CloudRecord, request: Mapping[str, Any]
) -> Description | None:
    """Create a job; where that fails, for whatever reason, look whether it is there. None when it was created."""
    try:
        jobs.create(request)
    except CloudcptError as refused:
        try:
            found = jobs.describe(record.name)
        except CloudcptError as unknown:
            # That the name is in use says nothing yet; that nobody could look whose it is does.
            raise (unknown if isinstance(refused, NameInUse) else refused) from None
        if found is not None:
            return found
        if isinstance(refused, NameInUse):
            raise _not_seen_yet(record.name) from refused
        if not isinstance(refused, TransientError):
            records.forget(record.name)
        raise
    return None


def _not_seen_yet(name: str) -> TransientError:
    """Say that a name is in use by a job that cannot be looked at: it may well be ours, from a moment ago."""
    message = f"the service says that the name `{name}` is in use, and does not show the job yet"
    return TransientError(error("CPT407", message, hint="wait a little and submit again: there will be one job"))
