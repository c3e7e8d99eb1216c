"""An output below a prefix of an object store: the `Destination` of `cloudcpt.corpus` over the `ObjectStore` port."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.objects import ObjectStore
from cloudcpt.jobs.upload import upload


class StoredOutput:
    """A prefix of a bucket; see `cloudcpt.corpus.destination.Destination`.

    Args:
        store: The bucket.
        prefix: Of the keys, with a `/` at its end unless it is empty.
        is_empty: Tells whether no key has this prefix.
    """

    def __init__(self, store: ObjectStore, prefix: str, *, is_empty: Callable[[], bool]) -> None:
        self._store = store
        self._prefix = prefix
        self._is_empty = is_empty

    @property
    def uri(self) -> str:
        """Name it."""
        return f"{self._store.uri}/{self._prefix}"

    def is_empty(self) -> bool:
        """Tell whether nothing is below it."""
        return self._is_empty()

    def size_of(self, name: str) -> int | None:
        """Give the bytes of an object; None when there is none."""
        found = self._store.head(self._prefix + name)
        return None if found is None else found.size_bytes

    def read(self, name: str) -> bytes | None:
        """Read a small object; None when there is none."""
        return self._store.get(self._prefix + name)

    def send(self, name: str, path: Path) -> None:
        """Write an object from a file; see `Destination.send`. A large one goes in parts, verified by its CRC64NVME."""
        from blake3 import blake3

        content = blake3().update_mmap(path)
        file = LocalFile(path=path, size_bytes=path.stat().st_size, blake3=content.hexdigest(), key=self._prefix + name)
        # A task that is killed begins its file anew, so nobody would look for a journal.
        with tempfile.TemporaryDirectory(prefix="cloudcpt-") as folder:
            upload(self._store, [file], journal=UploadJournal(Path(folder)), resume="the same command")
