"""The multipart uploads under way and the checksums of what is stored: the memory of the strict S3 front.

moto keeps the bytes. It does not keep the checksum of a part, nor when an upload began, and it lists both wrongly; so
the front remembers them and answers the two list operations itself.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import escape

from cloudcpt.fake.checksums import Checksum
from cloudcpt.fake.front import Refusal

_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part as it was stored.

    Args:
        number: From 1 to 10,000.
        size_bytes: Of the decoded body.
        etag: As moto gave it, in quotes.
        checksum: Of the upload's algorithm, computed here.
        stored_at: Seconds since 1970.
    """

    number: int
    size_bytes: int
    etag: str
    checksum: Checksum
    stored_at: float


@dataclass(kw_only=True)
class Upload:
    """One multipart upload.

    Args:
        upload_id: As moto gave it.
        bucket: Where to.
        key: Where to.
        algorithm: Of its checksums.
        checksum_type: FULL_OBJECT or COMPOSITE.
        is_declared: The client named the algorithm; otherwise S3 chose it.
        initiated_at: Seconds since 1970; tests may set it back to make an upload old.
        parts: By number.
    """

    upload_id: str
    bucket: str
    key: str
    algorithm: str
    checksum_type: str
    is_declared: bool
    initiated_at: float
    parts: dict[int, Part] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StoredChecksum:
    """What S3 knows about a stored object's integrity, as long as it still is the object with that ETag."""

    etag: str
    checksum: Checksum
    checksum_type: str


class Ledger:
    """Uploads under way, and checksums and birth of stored objects."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.uploads: dict[str, Upload] = {}
        self.stored: dict[tuple[str, str], StoredChecksum] = {}
        self.born_at: dict[tuple[str, str], float] = {}

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Find an upload.

        Raises:
            Refusal: there is none, or it is for another key (`NoSuchUpload`).
        """
        found = self.uploads.get(upload_id)
        if found is None or (found.bucket, found.key) != (bucket, key):
            message = (
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
                "aborted or completed."
            )
            raise Refusal(status=404, code="NoSuchUpload", message=message)
        return found

    def uploads_to(self, bucket: str, *, prefix: str, key_marker: str, id_marker: str) -> list[Upload]:
        """Give the uploads of a bucket under a prefix and after the markers, in the order of key and time."""
        with self._lock:
            found = [one for one in self.uploads.values() if one.bucket == bucket and one.key.startswith(prefix)]
        found.sort(key=lambda one: (one.key, one.initiated_at, one.upload_id))
        places = [at for at, one in enumerate(found) if (one.key, one.upload_id) == (key_marker, id_marker)]
        if places:
            return found[places[0] + 1 :]
        return [one for one in found if one.key > key_marker] if key_marker else found

    def store(self, bucket: str, key: str, stored: StoredChecksum) -> None:
        """Remember an object that was just stored."""
        with self._lock:
            self.stored[bucket, key] = stored
            self.born_at.setdefault((bucket, key), time.time())

    def forget(self, bucket: str, key: str) -> None:
        """Forget an object that was deleted."""
        with self._lock:
            self.stored.pop((bucket, key), None)
            self.born_at.pop((bucket, key), None)

    def younger_than(self, bucket: str, seconds: float) -> set[str]:
        """Name the keys of a bucket that have existed for less than so many seconds."""
        since = time.time() - seconds
        with self._lock:
            return {key for (home, key), born_at in self.born_at.items() if home == bucket and born_at > since}

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.uploads.clear()
            self.stored.clear()
            self.born_at.clear()


def list_parts_xml(upload: Upload, *, after: int, most: int) -> str:
    """Word the answer to ListParts.

    Args:
        upload: Whose parts.
        after: Number of the last part that the client has.
        most: How many to give.
    """
    parts = [upload.parts[number] for number in sorted(upload.parts) if number > after]
    page, is_truncated = parts[:most], len(parts) > most
    rows = "".join(
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{_time(part.stored_at)}</LastModified>"
        f"<ETag>{escape(part.etag)}</ETag><Size>{part.size_bytes}</Size>{checksum_xml(part.checksum)}</Part>"
        for part in page
    )
    return (
        f"<ListPartsResult {_NAMESPACE}><Bucket>{upload.bucket}</Bucket><Key>{escape(upload.key)}</Key>"
        f"<UploadId>{upload.upload_id}</UploadId><PartNumberMarker>{after}</PartNumberMarker>"
        f"<NextPartNumberMarker>{page[-1].number if page else 0}</NextPartNumberMarker><MaxParts>{most}</MaxParts>"
        f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>{_kind_xml(upload)}{rows}</ListPartsResult>"
    )


def list_uploads_xml(uploads: list[Upload], *, bucket: str, most: int, encode: bool) -> str:
    """Word the answer to ListMultipartUploads.

    Args:
        uploads: Those after the client's markers, in the order of key and time.
        bucket: That was asked for.
        most: How many to give.
        encode: The client asked for URL-encoded keys.
    """
    page = uploads[:most]
    rows = "".join(
        f"<Upload><Key>{_key(upload.key, encode)}</Key>"
        f"<UploadId>{upload.upload_id}</UploadId><Initiated>{_time(upload.initiated_at)}</Initiated>"
        f"<StorageClass>STANDARD</StorageClass>{_kind_xml(upload)}</Upload>"
        for upload in page
    )
    encoding = "<EncodingType>url</EncodingType>" if encode else ""
    more = ""
    if len(uploads) > most:
        marker = f"<NextUploadIdMarker>{page[-1].upload_id}</NextUploadIdMarker>"
        more = f"<NextKeyMarker>{_key(page[-1].key, encode)}</NextKeyMarker>{marker}"
    return (
        f"<ListMultipartUploadsResult {_NAMESPACE}><Bucket>{bucket}</Bucket><KeyMarker/><UploadIdMarker/>{encoding}"
        f"{more}<MaxUploads>{most}</MaxUploads><IsTruncated>{str(bool(more)).lower()}</IsTruncated>{rows}"
        "</ListMultipartUploadsResult>"
    )


def checksum_xml(checksum: Checksum) -> str:
    """Word one checksum."""
    return f"<Checksum{checksum.algorithm}>{checksum.value}</Checksum{checksum.algorithm}>"


def _key(key: str, encode: bool) -> str:
    return quote(key) if encode else escape(key)


def _kind_xml(upload: Upload) -> str:
    kind = f"<ChecksumType>{upload.checksum_type}</ChecksumType>"
    return f"<ChecksumAlgorithm>{upload.algorithm}</ChecksumAlgorithm>{kind}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
