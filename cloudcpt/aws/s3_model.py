"""A base model that lies in S3: the `ModelFolder` port. Only what has to be known is read, and nothing is kept."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from cloudcpt.aws.known_hashes import KnownHashes
from cloudcpt.aws.s3_data import S3Data, address_of
from cloudcpt.aws.s3_ranges import StoredContent, read_range
from cloudcpt.aws.s3_stream import S3Stream
from cloudcpt.plan.model_folder import TOKENIZER_FILES
from cloudcpt.plan.plan import DataFile

HASH_BLOCK_BYTES = 1 << 20
"""Hashed at once."""


class S3Model:
    """The objects directly below a prefix.

    Args:
        place: Reads S3.
        uri: Of the model; a `/` at its end does not matter.
        known: Hashes of contents that were read before.
        progress: Told, while weights are hashed: the file, bytes done, bytes in all.

    Raises:
        SetupError: there is no such bucket, or we may not list it.
    """

    def __init__(
        self,
        place: S3Data,
        uri: str,
        *,
        known: KnownHashes,
        progress: Callable[[str, int, int], None],
    ) -> None:
        self._place = place
        self._bucket, key = address_of(uri)
        self._prefix = key.rstrip("/")
        self._above = f"{self._prefix}/" if self._prefix else ""
        self._known = known
        self._progress = progress
        # Listed once, so that all that is read is of one moment. Consoles mark a folder with an empty name.
        directly = place.objects(self._bucket, self._above, is_deep=False)
        named = ((found.key[len(self._above) :], found) for found in directly)
        self._objects = {name: found for name, found in named if name}

    @property
    def shown(self) -> str:
        """Give the URI."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    @property
    def kind(self) -> Literal["folder", "file", "nothing"]:
        """Say what is there; a prefix without an object directly below it is no folder."""
        if self._objects:
            return "folder"
        first = next(self._place.objects(self._bucket, self._prefix), None) if self._prefix else None
        return "file" if first and first.key == self._prefix else "nothing"

    @property
    def names(self) -> frozenset[str]:
        """Name its objects."""
        return frozenset(self._objects)

    def size_bytes(self, name: str) -> int:
        """Give the size of an object."""
        return self._objects[name].size_bytes

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Read some bytes; see `read_range` for what it raises."""
        return bytes(read_range(self._place.client, self._stored(name), start, stop).content)

    def hashed(self, name: str) -> DataFile:
        """Recall the hash of an object, or stream the object through once."""
        stored = self._stored(name)
        blake3 = self._known.find(stored)
        if not blake3:
            blake3 = self._hash(name, stored)
            self._known.remember(stored, blake3)
        return DataFile(name=name, uri=stored.uri, size_bytes=stored.size_bytes, blake3=blake3)

    def sha256(self, name: str) -> None:
        """Say nothing: weights are read once, and the trainer holds what it is given against that."""

    def read_deeper(self, path: str) -> bytes | None:
        """Find an object further down and read it."""
        key = f"{self._above}{path}"
        found = next(self._place.objects(self._bucket, key), None)
        if found is None or found.key != key:
            return None
        stored = self._place.stored(self._bucket, key, etag=found.etag, size_bytes=found.size_bytes)
        return bytes(read_range(self._place.client, stored, 0, found.size_bytes).content)

    @contextmanager
    def tokenizer_folder(self) -> Iterator[Path]:
        """Copy the few files that a tokenizer is made of for a while: the library reads files."""
        with TemporaryDirectory(prefix="cloudcpt-tokenizer-") as folder:
            for name in self.names.intersection(TOKENIZER_FILES):
                Path(folder, name).write_bytes(self.read(name, 0, self.size_bytes(name)))
            yield Path(folder)

    def _hash(self, name: str, stored: StoredContent) -> str:
        from blake3 import blake3

        hasher, block, done = blake3(), bytearray(HASH_BLOCK_BYTES), 0
        with S3Stream(self._place.client, stored) as stream:
            while size := stream.readinto(block):
                hasher.update(memoryview(block)[:size])
                done += size
                self._progress(name, done, stored.size_bytes)
        return hasher.hexdigest()

    def _stored(self, name: str) -> StoredContent:
        found = self._objects[name]
        return self._place.stored(self._bucket, found.key, etag=found.etag, size_bytes=found.size_bytes)
