"""Bring the files of a plan into the store: each distinct content once, whatever is killed, lost or repeated.

    refuse          files that changed, vanished or are too large, all of them, before a byte is sent
    small files     side by side, each with one conditional request        `delivery`
    large files     one after the other, in parts that travel side by side  `multipart`, `flight`

Running it again is how it is resumed: whatever is there is found there. Nothing that has been sent is dropped because
credentials expired or a network went away.
"""

from collections.abc import Callable, Sequence
from functools import partial

from cloudcpt.errors import Diagnostic, InputError, ServiceRefused, SetupError, TransientError, note
from cloudcpt.jobs.crew import Crew
from cloudcpt.jobs.delivery import send_at_once
from cloudcpt.jobs.flight import Means
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import Content, LocalFile
from cloudcpt.jobs.multipart import send_in_parts
from cloudcpt.jobs.objects import ObjectStore
from cloudcpt.jobs.parts import PART_BYTES, cut
from cloudcpt.jobs.tally import Tally, UploadProgress

PARTS_IN_FLIGHT = 4
"""Requests under way at once. One connection to S3 carries some 100 MB/s; four fill most lines."""


def upload(
    store: ObjectStore,
    files: Sequence[LocalFile],
    *,
    journal: UploadJournal,
    resume: str,
    parts_in_flight: int = PARTS_IN_FLIGHT,
    smallest_part_bytes: int = PART_BYTES,
    progress: Callable[[UploadProgress], None] | None = None,
) -> UploadProgress:
    """Make sure that every file is in the store, verified, under its key.

    Args:
        store: Where they go.
        files: What to send; the same key twice is the same content twice.
        journal: Remembers uploads in parts from one run to the next.
        resume: The command that goes on with this upload, for the message when it is cut off.
        parts_in_flight: Requests under way at once; at most so many parts are sent again after a kill.
        smallest_part_bytes: Of every part but the last; a file up to this size is sent in one piece.
        progress: Called after every change, from the threads that send, never by two at once.

    Returns:
        What was sent and what was there.

    Raises:
        InputError: files cannot be read, are too large, or are not those that were validated.
        SetupError: credentials, permissions, or another object at a key.
        TransientError: the store cannot be reached.
        ServiceRefused: the store said no.
    """
    distinct = tuple({file.key: file for file in files}.values())
    _refuse_unfit(distinct, smallest_part_bytes)
    tally = Tally(store, distinct, progress)
    try:
        with Crew(parts_in_flight) as crew:
            _send_all(
                Means(store=store, journal=journal, crew=crew, tally=tally, smallest_part_bytes=smallest_part_bytes),
                distinct,
            )
    except (SetupError, TransientError, ServiceRefused) as exc:
        raise type(exc)(*exc.diagnostics, _how_to_go_on(tally.progress(), resume)) from exc
    return tally.progress()


def _send_all(means: Means, files: Sequence[LocalFile]) -> None:
    small = [file for file in files if file.size_bytes <= means.smallest_part_bytes]
    sending = [(file, means.crew.give(partial(send_at_once, means.store, file, means.tally))) for file in small]
    try:
        for file, future in sending:
            future.result()
            means.tally.finish(file)
    except Exception:
        means.crew.call_off(future for _, future in sending)
        raise
    for file in files:
        if file.size_bytes > means.smallest_part_bytes:
            send_in_parts(means, file)
            means.tally.finish(file)


def _refuse_unfit(files: Sequence[LocalFile], smallest_part_bytes: int) -> None:
    """Report everything that can be known before a byte is sent, together."""
    problems: list[Diagnostic] = []
    for file in files:
        try:
            cut(file.size_bytes, smallest=smallest_part_bytes)
            Content(file).close()
        except InputError as exc:
            problems.extend(exc.diagnostics)
    if problems:
        raise InputError(*problems)


def _how_to_go_on(reached: UploadProgress, resume: str) -> Diagnostic:
    message = f"{reached.done_bytes:,} of {reached.size_bytes:,} bytes are in the store and stay there"
    return note("CPT418", message, hint=f"go on with `{resume}`; only the rest is sent")
