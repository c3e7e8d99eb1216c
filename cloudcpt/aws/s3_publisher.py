"""A folder in S3 as a publisher of models: the way of a model from a bucket to this machine.

S3 says of an object its ETag, which every request names, and a checksum of the whole where it keeps one: that is what
the copy here is compared with. There are no revisions; what is there now is what comes.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from cloudcpt.aws.errors import translated
from cloudcpt.aws.s3_data import S3Data, address_of
from cloudcpt.aws.s3_selection import ListedObject
from cloudcpt.aws.s3_stream import RANGE_BYTES, S3Stream
from cloudcpt.errors import UsageProblem, error
from cloudcpt.jobs.published import Publication, PublishedFile

_BLOCK_BYTES = 1 << 20


class S3Publisher:
    """Every bucket that the user may read; see `cloudcpt.jobs.published.Publisher`.

    Args:
        place: Reads S3.
        range_bytes: Asked for at once.
    """

    def __init__(self, place: S3Data, *, range_bytes: int = RANGE_BYTES) -> None:
        self._place = place
        self._range_bytes = range_bytes

    def find(self, repo: str, revision: str) -> Publication:
        """List the objects directly below a URI; see `Publisher.find`.

        Raises:
            UsageProblem: there are none.
            DatasetError: the URI is none.
            CloudcptError: S3 does not let us.
        """
        bucket, key = address_of(repo)
        above = f"{key.rstrip('/')}/".lstrip("/")
        listed = [found for found in self._place.objects(bucket, above, is_deep=False) if found.key != above]
        uri = f"s3://{bucket}/{above}"
        if not listed:
            hint = "name the folder that holds config.json, tokenizer.json and the weights"
            raise UsageProblem(error("CPT730", f"there is no model at `{uri}`", hint=hint))
        files = tuple(self._file(bucket, found, found.key.removeprefix(above)) for found in listed)
        return Publication(source="s3", endpoint="", repo=uri, revision=revision, commit="", files=files)

    def stream(self, publication: Publication, file: PublishedFile, start: int, stop: int) -> Iterator[bytes]:
        """Give the bytes of an object as it was listed; see `Publisher.stream`."""
        bucket, above = address_of(publication.repo)
        stored = self._place.stored(bucket, f"{above}{file.name}", etag=file.mark, size_bytes=file.size_bytes)
        block = bytearray(_BLOCK_BYTES)
        with S3Stream(self._place.client, stored, range_bytes=self._range_bytes, start=start, stop=stop) as stream:
            while size := stream.readinto(block):
                yield bytes(memoryview(block)[:size])

    def _file(self, bucket: str, found: ListedObject, name: str) -> PublishedFile:
        answer = self._head(bucket, found)
        return PublishedFile(
            name=name,
            size_bytes=found.size_bytes,
            mark=found.etag,
            sha256=_in_hex(str(answer.get("ChecksumSHA256", ""))),
            crc64nvme=str(answer.get("ChecksumCRC64NVME", "")),
        )

    def _head(self, bucket: str, found: ListedObject) -> Mapping[str, Any]:
        stored = self._place.stored(bucket, found.key, etag=found.etag, size_bytes=found.size_bytes)
        owner = {"ExpectedBucketOwner": stored.owner} if stored.owner else {}
        with translated(f"look at `{stored.uri}`"):
            answer: Mapping[str, Any] = self._place.client.head_object(
                Bucket=bucket, Key=found.key, ChecksumMode="ENABLED", **owner
            )
        return answer


def _in_hex(checksum: str) -> str:
    """Write a SHA-256 as people do; empty when it is one of an upload's parts and not of the whole."""
    return "" if "-" in checksum else base64.b64decode(checksum).hex()
