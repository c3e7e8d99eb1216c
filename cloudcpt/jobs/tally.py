"""How far an upload is: counted by the threads that send, shown by whoever asked."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.objects import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadProgress:
    """How far an upload is.

    Args:
        files: To be sent, each distinct content once.
        files_done: Complete in the store.
        size_bytes: Of all files.
        done_bytes: Of `size_bytes`, how many are in the store.
        sent_bytes: Sent and acknowledged by this run; more than needed when something had to be sent twice.
        resumed_bytes: Found in the store, not sent by this run.
        retries: Requests that were sent again.
        last_retry: Why, see `ObjectStore.last_retry`.
    """

    files: int
    files_done: int
    size_bytes: int
    done_bytes: int
    sent_bytes: int
    resumed_bytes: int
    retries: int
    last_retry: str


class Tally:
    """Counts what happens to the files of one upload, from any thread.

    Args:
        store: Knows the retries.
        files: To be sent, each key once.
        show: Called after every change, never by two threads at once.
    """

    def __init__(
        self, store: ObjectStore, files: Sequence[LocalFile], show: Callable[[UploadProgress], None] | None
    ) -> None:
        self._store = store
        self._show = show
        self._done = {file.key: 0 for file in files}
        self._size_bytes = sum(file.size_bytes for file in files)
        self._files_done = self._done_bytes = self._sent = self._resumed = 0
        self._lock = threading.Lock()

    def progress(self) -> UploadProgress:
        """Give the present state."""
        return UploadProgress(
            files=len(self._done),
            files_done=self._files_done,
            size_bytes=self._size_bytes,
            done_bytes=self._done_bytes,
            sent_bytes=self._sent,
            resumed_bytes=self._resumed,
            retries=self._store.retries,
            last_retry=self._store.last_retry,
        )

    def add_sent(self, file: LocalFile, size_bytes: int) -> None:
        """Count bytes that this run sent and the store has."""
        with self._lock:
            self._sent += size_bytes
            self._advance(file, self._done[file.key] + size_bytes)

    def add_found(self, file: LocalFile, size_bytes: int) -> None:
        """Count bytes that the store had already."""
        with self._lock:
            self._resumed += size_bytes
            self._advance(file, self._done[file.key] + size_bytes)

    def start_over(self, file: LocalFile) -> None:
        """Take back what was done of a file whose upload is lost."""
        with self._lock:
            self._advance(file, 0)

    def finish(self, file: LocalFile) -> None:
        """Count a file that is complete; what this run did not send of it was there."""
        with self._lock:
            self._files_done += 1
            self._resumed += file.size_bytes - self._done[file.key]
            self._advance(file, file.size_bytes)

    def _advance(self, file: LocalFile, done_bytes: int) -> None:
        self._done_bytes += done_bytes - self._done[file.key]
        self._done[file.key] = done_bytes
        if self._show:
            self._show(self.progress())
