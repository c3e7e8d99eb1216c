"""Where a job stands: its journal, and what a journal cannot say itself, such as that nobody writes it any more."""

from cloudcpt.errors import Blame
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.folder import JobFolder
from cloudcpt.local.lock import is_claimed
from cloudcpt.local.record import Journal, read_journal
from cloudcpt.wire import Failure

NEVER_STARTED = Failure(
    code="CPT452",
    blame=Blame.PLATFORM,
    message="the job was prepared, but the client was killed before it could start it",
    hint="submit again: the job that is there will be started",
)

SUPERVISOR_DIED = Failure(
    code="CPT451",
    blame=Blame.PLATFORM,
    message="the supervisor of the job ended before the job did: it was killed, or the machine went down",
    hint="submit again with `--force`",
)


def standing(folder: JobFolder) -> Journal:
    """Give the journal as it would be if every end had been written down.

    A job whose lock is free has nobody to watch over it; it is never reported as running.

    Raises:
        SetupError: the journal cannot be read.
    """
    journal = read_journal(folder.journal)
    if journal.state.is_final:
        return journal
    if is_claimed(folder.lock):
        if folder.stop.exists() and journal.state is not JobState.STOPPING:
            return journal.entering(JobState.STOPPING, folder.stop.stat().st_mtime)
        return journal
    # The lock came free after we read the journal: look again before calling anybody dead.
    journal = read_journal(folder.journal)
    if journal.state.is_final:
        return journal
    failure = NEVER_STARTED if journal.state is JobState.PENDING else SUPERVISOR_DIED
    return journal.entering(JobState.FAILED, folder.log.stat().st_mtime, failure)
