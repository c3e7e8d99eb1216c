"""An `ObjectStore` in memory that judges as S3 does, and a line to it on which things go wrong.

`FakeObjects` refuses what S3 refuses: bytes that do not have their checksum, parts that are too small, unknown or out
of date, an object whose size or checksum is not the announced one, a write where something is. The same conformance
tests (tests/jobs/store_promises.py) run against it and against the real adapter.

`Line` stands between a client and a store. It counts every event, store calls and journal writes alike, and lets
something happen at chosen ones: the client dies, an answer is lost, a bit flips.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from cloudcpt.dataset.checksum import as_text, crc64nvme
from cloudcpt.errors import ServiceRefused, TransientError, error
from cloudcpt.jobs.journal import JournalEntry, UploadJournal
from cloudcpt.jobs.objects import (
    Bytes,
    BytesDamaged,
    CredentialsExpired,
    ObjectExists,
    PendingUpload,
    StoredObject,
    StoredPart,
    UploadGone,
    WriteConflict,
)


def checksum_of(content: Bytes) -> str:
    return as_text(crc64nvme(content))


@dataclass
class FakeUpload:
    """An upload under way: `parts` maps numbers to content, etag and time."""

    key: str
    started_at: float
    is_checked_whole: bool = True
    parts: dict[int, tuple[bytes, str, float]] = field(default_factory=dict)


class FakeObjects:
    """One bucket in memory.

    Args:
        min_part_bytes: The least that every part but the last must have.
        now: The clock, in seconds since 1970; may be turned.
        encryption: The key that objects are said to be encrypted with.
    """

    def __init__(self, *, min_part_bytes: int = 5 * 1024**2, now: float = 1e9, encryption: str = "") -> None:
        self.min_part_bytes = min_part_bytes
        self.now = now
        self.encryption = encryption
        self.uri = "s3://bucket"
        self.retries = 0
        self.last_retry = ""
        self.objects: dict[str, bytes] = {}
        self.unchecked: set[str] = set()
        self.sealed_with: dict[str, str] = {}
        self.uploads: dict[str, FakeUpload] = {}
        self._names = 0
        self._lock = threading.RLock()

    def head(self, key: str) -> StoredObject | None:
        with self._lock:
            if key not in self.objects:
                return None
            content = self.objects[key]
            return StoredObject(
                size_bytes=len(content),
                crc64nvme="" if key in self.unchecked else checksum_of(content),
                is_encrypted_as_asked=self.sealed_with.get(key, self.encryption) == self.encryption,
            )

    def get(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes | None:
        with self._lock:
            return self.objects[key][start:stop] if key in self.objects else None

    def put(self, key: str, content: Bytes, *, crc64nvme: str) -> None:
        with self._lock:
            self._refuse_damaged(content, crc64nvme)
            self._refuse_existing(key)
            self.objects[key] = bytes(content)
            self.sealed_with[key] = self.encryption

    def create_upload(self, key: str) -> str:
        with self._lock:
            self._names += 1
            upload_id = f"upload-{self._names}"
            self.uploads[upload_id] = FakeUpload(key=key, started_at=self.now)
            return upload_id

    def put_part(self, key: str, upload_id: str, number: int, content: Bytes, *, crc64nvme: str) -> str:
        with self._lock:
            upload = self._upload(key, upload_id)
            assert 1 <= number <= 10_000, f"S3 numbers parts from 1 to 10,000, this is {number}"
            self._refuse_damaged(content, crc64nvme)
            # A new etag each time, also for the same bytes: so it is with KMS keys.
            self._names += 1
            etag = f'"part-{self._names}"'
            upload.parts[number] = (bytes(content), etag, self.now)
            return etag

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, StoredPart]:
        with self._lock:
            return {
                number: StoredPart(
                    size_bytes=len(content), crc64nvme=checksum_of(content), etag=etag, arrived_at=arrived_at
                )
                for number, (content, etag, arrived_at) in sorted(self._upload(key, upload_id).parts.items())
            }

    def complete(self, key: str, upload_id: str, etags: Mapping[int, str], *, size_bytes: int, crc64nvme: str) -> None:
        with self._lock:
            upload = self._upload(key, upload_id)
            self._refuse_existing(key)
            numbers = sorted(etags)
            assert numbers, "S3 wants at least one part"
            if any(upload.parts.get(number, (b"", "", 0.0))[1] != etags[number] for number in numbers):
                raise BytesDamaged(error("CPT414", "InvalidPart"))
            contents = [upload.parts[number][0] for number in numbers]
            if any(len(content) < self.min_part_bytes for content in contents[:-1]):
                raise ServiceRefused(error("CPT409", "EntityTooSmall"))
            whole = b"".join(contents)
            if len(whole) != size_bytes:
                raise ServiceRefused(error("CPT409", "InvalidRequest: the announced size is another one"))
            self._refuse_damaged(whole, crc64nvme)
            self.objects[key] = whole
            self.sealed_with[key] = self.encryption
            del self.uploads[upload_id]

    def abort(self, key: str, upload_id: str) -> None:
        with self._lock, suppress(UploadGone):
            self._upload(key, upload_id)
            del self.uploads[upload_id]

    def list_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        with self._lock:
            found = [
                PendingUpload(
                    key=upload.key,
                    upload_id=upload_id,
                    started_at=upload.started_at,
                    is_checked_whole=upload.is_checked_whole,
                )
                for upload_id, upload in self.uploads.items()
                if upload.key.startswith(prefix)
            ]
        return iter(found)

    def _upload(self, key: str, upload_id: str) -> FakeUpload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise UploadGone(error("CPT415", "NoSuchUpload"))
        return upload

    def _refuse_existing(self, key: str) -> None:
        if key in self.objects:
            raise ObjectExists(error("CPT415", "PreconditionFailed"))

    def _refuse_damaged(self, content: Bytes, expected: str) -> None:
        if checksum_of(content) != expected:
            raise BytesDamaged(error("CPT414", "BadDigest"))


class Killed(BaseException):
    """The client is dead from here on, as after SIGKILL."""


class Fault(Enum):
    """What happens at an event."""

    KILL_BEFORE = auto()
    KILL_AFTER = auto()
    LOST_ANSWER = auto()
    """It happened, and the client is told that nobody knows."""
    REPEATED = auto()
    """The answer was lost on the way and the adapter sent the request again, as botocore does."""
    BUSY = auto()
    """503 until the adapter gave up."""
    FLIPPED_BIT = auto()
    CUT_BODY = auto()
    EXPIRED = auto()
    CONFLICT = auto()
    """409 for a conditional write; nothing for the others."""


KILLS = (Fault.KILL_BEFORE, Fault.KILL_AFTER)


class Line:
    """What goes through between a client and the world, one event after the other.

    Args:
        faults: What happens at which event, counted from 0.
    """

    def __init__(self, faults: Mapping[int, Fault] | None = None) -> None:
        self.faults = dict(faults or {})
        self.events = 0
        self.is_dead = False
        self.sent_bytes = 0
        self.happened: list[Fault] = []
        self._lock = threading.Lock()

    def count(self, content: Bytes) -> None:
        """Count what is put on the line, whether or not it arrives."""
        with self._lock:
            self.sent_bytes += len(content)

    def store(self, store: FakeObjects) -> "StoreOnLine":
        """Give the store as the client sees it."""
        return StoreOnLine(self, store)

    def pass_on(
        self, act: Callable[[], Any], *, damaged: Callable[[Fault], Any] | None = None, writes: bool = False
    ) -> Any:
        """Let one event happen, or what has been chosen instead."""
        with self._lock:
            if self.is_dead:
                raise Killed
            fault = self.faults.pop(self.events, None)
            self.events += 1
            if fault in KILLS:
                self.is_dead = True
            if fault:
                self.happened.append(fault)
        match fault:
            case Fault.KILL_BEFORE:
                raise Killed
            case Fault.KILL_AFTER:
                act()
                raise Killed
            case Fault.LOST_ANSWER:
                act()
                raise TransientError(error("CPT408", "the answer was lost"))
            case Fault.REPEATED:
                with suppress(UploadGone, ObjectExists):
                    act()
            case Fault.BUSY:
                raise TransientError(error("CPT407", "SlowDown"))
            case Fault.EXPIRED:
                raise CredentialsExpired(error("CPT401", "ExpiredToken"))
            case Fault.CONFLICT if writes:
                raise WriteConflict(error("CPT415", "ConditionalRequestConflict"))
            case Fault.FLIPPED_BIT | Fault.CUT_BODY if damaged:
                return damaged(fault)
        return act()


def damage(content: Bytes, fault: Fault) -> bytes:
    """Give what arrives of a body."""
    if fault is Fault.CUT_BODY:
        return bytes(content[: len(content) // 2])
    return bytes([content[0] ^ 1]) + bytes(content[1:])


class StoreOnLine:
    """A store at the other end of a line; counts the bytes that are put on it."""

    def __init__(self, line: Line, store: FakeObjects) -> None:
        self._line = line
        self._store = store
        self.uri = store.uri
        self.encryption = store.encryption
        self.retries = 0
        self.last_retry = ""

    def head(self, key: str) -> StoredObject | None:
        return self._line.pass_on(lambda: self._store.head(key))

    def get(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes | None:
        return self._line.pass_on(lambda: self._store.get(key, start=start, stop=stop))

    def put(self, key: str, content: Bytes, *, crc64nvme: str) -> None:
        def act(body: Bytes = content) -> None:
            self._line.count(content)
            self._store.put(key, body, crc64nvme=crc64nvme)

        can_be_damaged = len(content) > 0
        self._line.pass_on(
            act, damaged=(lambda fault: act(damage(content, fault))) if can_be_damaged else None, writes=True
        )

    def create_upload(self, key: str) -> str:
        return self._line.pass_on(lambda: self._store.create_upload(key))

    def put_part(self, key: str, upload_id: str, number: int, content: Bytes, *, crc64nvme: str) -> str:
        def act(body: Bytes = content) -> str:
            self._line.count(content)
            return self._store.put_part(key, upload_id, number, body, crc64nvme=crc64nvme)

        return self._line.pass_on(act, damaged=lambda fault: act(damage(content, fault)))

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, StoredPart]:
        return self._line.pass_on(lambda: self._store.list_parts(key, upload_id))

    def complete(self, key: str, upload_id: str, etags: Mapping[int, str], *, size_bytes: int, crc64nvme: str) -> None:
        self._line.pass_on(
            lambda: self._store.complete(key, upload_id, etags, size_bytes=size_bytes, crc64nvme=crc64nvme), writes=True
        )

    def abort(self, key: str, upload_id: str) -> None:
        self._line.pass_on(lambda: self._store.abort(key, upload_id))

    def list_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        return self._line.pass_on(lambda: self._store.list_uploads(prefix))


class JournalOnLine(UploadJournal):
    """A journal whose writes are events too: only kills happen to them, for the disk is local."""

    def __init__(self, line: Line, folder: Path) -> None:
        super().__init__(folder)
        self._line = line

    def write(self, entry: JournalEntry) -> None:
        self._line.pass_on(lambda: super(JournalOnLine, self).write(entry))

    def forget(self, uri: str) -> None:
        self._line.pass_on(lambda: super(JournalOnLine, self).forget(uri))
