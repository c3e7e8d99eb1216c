"""The port of an object store, as far as a job needs one: whole objects, uploads in parts, conditions, checksums.

Every object is written once and never over another: a write goes through only when nothing is at the key. Bucket,
its owner and the encryption are bound in the adapter, so no caller can forget them. A store that can be reached only
sometimes is an adapter's business too: it retries what may pass, and raises `TransientError` when it has given up.

    head -> nothing there -> create_upload -> put_part ... put_part -> complete -> head
                                 ^ list_uploads, list_parts: go on after a kill

An upload that is cut off stays, and can be gone on with, until it is completed or aborted.
The fake of this port is in tests/fake_objects.py; every adapter passes the same tests.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from cloudcpt.errors import ServiceRefused, SetupError, TransientError

Bytes = bytes | bytearray | memoryview
"""What is sent: it stays as it is until the call returns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """What a store knows about an object.

    Args:
        size_bytes: Exact size.
        crc64nvme: Of the whole object, as in `cloudcpt.dataset.checksum`; empty when the store did not compute one.
        is_encrypted_as_asked: It lies under the key that the store is bound to; true when it is bound to none.
    """

    size_bytes: int
    crc64nvme: str
    is_encrypted_as_asked: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredPart:
    """One part that has arrived.

    Args:
        size_bytes: Exact size.
        crc64nvme: Of this part; empty when the store does not say.
        etag: The store's name for these bytes, wanted back by `complete`.
        arrived_at: Seconds since 1970.
    """

    size_bytes: int
    crc64nvme: str
    etag: str
    arrived_at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingUpload:
    """An upload that was neither completed nor aborted.

    Args:
        key: Where its object will be.
        upload_id: The store's name for it.
        started_at: Seconds since 1970.
        is_checked_whole: It was created as `create_upload` does: CRC64NVME over the full object.
    """

    key: str
    upload_id: str
    started_at: float
    is_checked_whole: bool


class UploadGone(TransientError):
    """There is no such upload: it was completed, or aborted, or has expired."""


class WriteConflict(TransientError):
    """Somebody wrote to the same key at the same moment; an upload in parts must be started anew."""


class BytesDamaged(TransientError):
    """What arrived is not what was sent; nothing was stored."""


class ObjectExists(ServiceRefused):
    """Something is at the key already; nothing was stored."""


class CredentialsExpired(SetupError):
    """The credentials were good once; new ones make the same call work."""


class ObjectStore(Protocol):
    """Keeps objects under keys, in one bucket.

    Every method may raise `TransientError` (nobody knows whether the call took effect), `SetupError` and
    `ServiceRefused`; those that a caller handles are named.
    """

    @property
    def uri(self) -> str:
        """Name the bucket: `s3://bucket`."""
        ...

    @property
    def encryption(self) -> str:
        """Name the key that objects are encrypted with; empty for the bucket's own default."""
        ...

    @property
    def retries(self) -> int:
        """Count the requests that were sent again so far."""
        ...

    @property
    def last_retry(self) -> str:
        """Say why and how often the last of them was: `retry 3/10: SlowDown`; empty before the first."""
        ...

    def head(self, key: str) -> StoredObject | None:
        """Look at an object; None when there is none."""
        ...

    def get(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes | None:
        """Read the bytes of an object from `start` up to `stop`, or to its end; None when there is none."""
        ...

    def put(self, key: str, content: Bytes, *, crc64nvme: str) -> None:
        """Write a small object at once.

        Raises:
            ObjectExists: something is at the key.
            WriteConflict: somebody else was writing; the same call may be made again.
            BytesDamaged: the content does not have this checksum.
        """
        ...

    def create_upload(self, key: str) -> str:
        """Begin an upload in parts whose object will be verified against a CRC64NVME of all its bytes."""
        ...

    def put_part(self, key: str, upload_id: str, number: int, content: Bytes, *, crc64nvme: str) -> str:
        """Send one part, numbered from 1, and give its etag; a part of the same number is replaced.

        Raises:
            UploadGone: there is no such upload.
            BytesDamaged: the content does not have this checksum.
        """
        ...

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, StoredPart]:
        """Give the parts that have arrived, by number.

        Raises:
            UploadGone: there is no such upload.
        """
        ...

    def complete(self, key: str, upload_id: str, etags: Mapping[int, str], *, size_bytes: int, crc64nvme: str) -> None:
        """Make the parts one object, provided that nothing is at the key and size and checksum are right.

        Args:
            key: Of the upload.
            upload_id: Of the upload.
            etags: Of every part, by number.
            size_bytes: Of the object.
            crc64nvme: Of the object.

        Raises:
            ObjectExists: something is at the key.
            UploadGone: there is no such upload; perhaps an earlier call completed it and its answer was lost.
            WriteConflict: somebody else was writing.
            BytesDamaged: the parts do not add up to this object.
        """
        ...

    def abort(self, key: str, upload_id: str) -> None:
        """Drop an upload and its parts; one that is gone is not an error."""
        ...

    def list_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """Find the uploads below a prefix that were neither completed nor aborted. A store may list them late."""
        ...
