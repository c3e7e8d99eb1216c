"""Bytes of an object, range by range: one content for as long as it is read, whatever happens on the way.

Each request names the ETag that was listed, so that S3 refuses to give bytes of anything else. An answer that breaks
off is gone on with at the byte where it broke; botocore itself repeats requests, but not the reading of their answers.
"""

from dataclasses import dataclass
from typing import Any

from botocore import exceptions as boto
from botocore.exceptions import ClientError
from urllib3.exceptions import HTTPError

from cloudcpt.aws.errors import translated
from cloudcpt.errors import CloudcptError, DatasetError, Place, TransientError, error

BREAKS = 5
"""Answers in a row that may break off without a single byte; botocore has tried each request ten times."""

_PIECE_BYTES = 256 << 10
"""Read at once: what came before a break is kept, at a loss of less than one piece."""

_BROKEN = (boto.IncompleteReadError, boto.HTTPClientError, boto.FlexibleChecksumError, HTTPError, OSError)
_OTHER_CONTENT = ("PreconditionFailed", "412")
_GONE = ("NoSuchKey", "NoSuchVersion", "404")


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredContent:
    """One content of an object.

    Args:
        bucket: Its bucket.
        key: Its key.
        etag: As S3 lists it, with its quotes.
        size_bytes: As S3 lists it.
        owner: The account that the bucket must belong to; empty when that is not known.
        version_id: Which version to ask for; empty for the newest, which must still be the one of the ETag.
    """

    bucket: str
    key: str
    etag: str
    size_bytes: int
    owner: str
    version_id: str = ""

    @property
    def uri(self) -> str:
        """Name the object."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some bytes, and the version that they are of; empty where the bucket keeps none."""

    content: bytearray
    version_id: str


def read_range(client: Any, stored: StoredContent, start: int, stop: int) -> Block:
    """Read the bytes from `start` up to `stop`, all of them.

    Raises:
        DatasetError: the object has another content by now, is gone, or is in an archive.
        SetupError: we may not read it.
        TransientError: S3 cannot be reached, or stays busy.
    """
    content = bytearray()
    version_id = ""
    breaks = 0
    while len(content) < stop - start:
        before = len(content)
        answer = _ask(client, stored, start + before, stop)
        version_id = answer.get("VersionId", "")
        broken = _receive(answer["Body"], content)
        breaks = breaks + 1 if len(content) == before else 0
        if breaks == BREAKS:
            raise _given_up(stored, broken) from broken
    return Block(content=content, version_id=version_id)


def _ask(client: Any, stored: StoredContent, start: int, stop: int) -> dict[str, Any]:
    wanted = {"Bucket": stored.bucket, "Key": stored.key, "IfMatch": stored.etag, "Range": f"bytes={start}-{stop - 1}"}
    if stored.owner:
        wanted["ExpectedBucketOwner"] = stored.owner
    if stored.version_id:
        wanted["VersionId"] = stored.version_id
    with translated(f"read `{stored.uri}`"):
        try:
            answer: dict[str, Any] = client.get_object(**wanted)
        except ClientError as exc:
            if ours := _refusal(stored, str(exc.response.get("Error", {}).get("Code", ""))):
                raise ours from exc
            raise
    if answer["ETag"] != stored.etag:  # a store that does not know the condition
        raise _changed(stored)
    if answer["ContentLength"] != stop - start:
        answer["Body"].close()
        message = f"asked for {stop - start} bytes of `{stored.uri}` and was offered {answer['ContentLength']}"
        raise TransientError(error("CPT408", message, hint="something on the way does not pass ranges on"))
    return answer


def _receive(body: Any, content: bytearray) -> Exception | None:
    """Take what comes, and give the reason when it broke off."""
    try:
        while piece := body.read(_PIECE_BYTES):
            content += piece
    except _BROKEN as exc:
        return exc
    finally:
        body.close()
    return None


def _refusal(stored: StoredContent, code: str) -> CloudcptError | None:
    if code in _OTHER_CONTENT:
        return _changed(stored)
    if code in _GONE:
        message = f"`{stored.uri}` was deleted while it was read"
        return DatasetError(error("CPT309", message, place=Place(path=stored.uri)))
    if code == "InvalidObjectState":
        hint = "restore it, or copy it to a storage class that can be read at once; a job could not read it either"
        message = f"`{stored.uri}` is in an archive of S3 and cannot be read"
        return DatasetError(error("CPT314", message, place=Place(path=stored.uri), hint=hint))
    return None


def _changed(stored: StoredContent) -> DatasetError:
    hint = "check it again once nothing writes to it"
    message = f"`{stored.uri}` changed while it was read"
    return DatasetError(error("CPT309", message, place=Place(path=stored.uri), hint=hint))


def _given_up(stored: StoredContent, exc: Exception | None) -> TransientError:
    message = f"cannot reach AWS to read `{stored.uri}`: its answer broke off {BREAKS} times: {exc or 'it ended early'}"
    return TransientError(error("CPT408", message, hint="check the network and try again"))
