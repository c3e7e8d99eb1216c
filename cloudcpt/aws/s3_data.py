"""Data that lies in S3, read where it is: the `DataPlace` port over boto3. Nothing is copied to a disk."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from cloudcpt.aws.errors import translated
from cloudcpt.aws.s3_ahead import ReadAhead, SmallStream
from cloudcpt.aws.s3_ranges import StoredContent, read_range
from cloudcpt.aws.s3_selection import ListedObject, Listing, select_objects
from cloudcpt.aws.s3_stream import S3Stream
from cloudcpt.aws.s3_versions import newest_at, version_of
from cloudcpt.aws.session import AwsSession
from cloudcpt.dataset.places import EXTENSION, InputFile, InputStream, Selection, require_usable
from cloudcpt.dataset.versions import Pin
from cloudcpt.errors import CloudcptError, DatasetError, error
from cloudcpt.jobs.access import split_uri

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_OURS = {"CPT400", "CPT401", "CPT402", "CPT404", "CPT408"}
"""Codes of what is wrong with this machine, its credentials or its network, whatever the bucket."""


class S3Data:
    """Every bucket that the user may read; see `DataPlace`.

    Args:
        region: Where to ask first; the configured one when empty. A bucket elsewhere is found all the same.
        owner: The account that the buckets must belong to; empty when it is not known.
    """

    def __init__(self, *, region: str = "", owner: str = "") -> None:
        self._region = region
        self._owner = {"ExpectedBucketOwner": owner} if owner else {}

    def require_reach(self, uri: str) -> None:
        """Find out quickly whether anything in S3 can be read from this machine: one request, tried once.

        Whoever is offline should not wait for ten tries, and hears whether credentials or network are missing. What
        is wrong with the bucket itself is left to whoever reads it.

        Raises:
            SetupError: there are no credentials, or none that are accepted.
            TransientError: S3 cannot be reached.
        """
        bucket, key = address_of(uri)
        client = AwsSession(region=self._region, attempts=1).client("s3")
        try:
            with translated("read from S3"):
                client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1, **self._owner)
        except CloudcptError as exc:
            if any(found.code in _OURS for found in exc.diagnostics):
                raise

    def select(self, path: str) -> Selection:
        """Find the objects that a URI means.

        Raises:
            DatasetError: it is no URI of S3, nothing is there, no object fits, or a name cannot be used.
            SetupError: there is no such bucket, or we may not list it.
            TransientError: S3 cannot be reached, or stays busy.
        """
        bucket, key = address_of(path)
        return self._select(bucket, key, path, lambda prefix: self.objects(bucket, prefix))

    def select_version(self, path: str, pin: Pin) -> Selection:
        """Find the objects that a URI means in a version of them; see `select`.

        Args:
            path: The URI.
            pin: A moment, or the id of one version, which only one object can have.

        Raises:
            DatasetError: as `select`; and there is no such version.
        """
        bucket, key = address_of(path)
        if pin.moment is not None:
            moment = pin.moment
            return self._select(bucket, key, path, lambda prefix: self._objects_at(bucket, prefix, moment))
        if not key.endswith(EXTENSION):
            hint = "pin a moment, `2026-11-20T12:00:00Z`, or the content, `blake3:` and the first digits of its hash"
            message = f"`{pin.version_id}` can be a version of one `{EXTENSION}` object, `{path}` names no such object"
            raise DatasetError(error("CPT318", message, hint=hint))
        found = version_of(self.client, bucket, key, pin.version_id, self._owner)
        return self._select(bucket, key, path, lambda prefix: iter([found] if key.startswith(prefix) else []))

    def _select(self, bucket: str, key: str, path: str, below: Callable[[str], Iterator[ListedObject]]) -> Selection:
        listing = Listing(bucket=bucket, below=below, beside=lambda name: self._beside(bucket, name))
        selection = select_objects(listing, key, path)
        self._ahead.expect(selection.files)
        return selection

    def _stored(self, file: InputFile) -> StoredContent:
        bucket, key = split_uri(file.path)
        return self.stored(bucket, key, etag=file.etag, size_bytes=file.size_bytes, version_id=file.version_id)

    @cached_property
    def _ahead(self) -> ReadAhead:
        return ReadAhead(lambda file: read_range(self.client, self._stored(file), 0, file.size_bytes))

    def open(self, file: InputFile) -> InputStream:
        """Begin to read an object as it was listed; small ones that come after it are asked for as well."""
        coming = self._ahead.take(file)
        if coming is not None:
            return SmallStream(file.size_bytes, coming)
        return S3Stream(self.client, self._stored(file))

    def stored(self, bucket: str, key: str, *, etag: str, size_bytes: int, version_id: str = "") -> StoredContent:
        """Say what is to be read of an object that was listed."""
        owner = self._owner.get("ExpectedBucketOwner", "")
        return StoredContent(
            bucket=bucket, key=key, etag=etag, size_bytes=size_bytes, owner=owner, version_id=version_id
        )

    def objects(self, bucket: str, prefix: str, *, is_deep: bool = True) -> Iterator[ListedObject]:
        """List the objects whose keys begin with a prefix, in the order of their keys, a page at a time.

        Args:
            bucket: Its name.
            prefix: Of the keys.
            is_deep: Those too whose keys have a `/` after the prefix.
        """
        for page in self._pages(bucket, prefix, **({} if is_deep else {"Delimiter": "/"})):
            for found in page.get("Contents", ()):
                yield ListedObject(key=found["Key"], size_bytes=found["Size"], etag=found["ETag"])

    @cached_property
    def client(self) -> Any:
        """Make the client, which many threads may use."""
        return AwsSession(region=self._region).client("s3")

    def _objects_at(self, bucket: str, prefix: str, moment: datetime) -> Iterator[ListedObject]:
        """List the objects that there were at a moment."""
        pages = self.client.get_paginator("list_object_versions")
        with translated(f"list versions below `s3://{bucket}/{prefix}`"):
            yield from newest_at(pages.paginate(Bucket=bucket, Prefix=prefix, **self._owner), moment)

    def __getstate__(self) -> dict[str, Any]:
        """Leave behind what is connected: another process connects for itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("client", "_ahead")}

    def _beside(self, bucket: str, key: str) -> list[str]:
        """List names next to a key, as many as one page holds: it is only for a hint."""
        folder = key.rstrip("/").rpartition("/")[0]
        page = next(self._pages(bucket, f"{folder}/" if folder else "", Delimiter="/"), {})
        names = [found["Key"] for found in page.get("Contents", ())]
        names += [found["Prefix"] for found in page.get("CommonPrefixes", ())]
        return [name.rstrip("/").rpartition("/")[2] for name in names]

    def _pages(self, bucket: str, prefix: str, **options: str) -> Iterator[Mapping[str, Any]]:
        pages = self.client.get_paginator("list_objects_v2")
        with translated(f"list `s3://{bucket}/{prefix}`"):
            yield from pages.paginate(Bucket=bucket, Prefix=prefix, **options, **self._owner)


def address_of(uri: str) -> tuple[str, str]:
    """Take a URI apart.

    Raises:
        DatasetError: it names no bucket that there could be, or holds characters that cannot be shown.
    """
    require_usable([uri])
    bucket, key = split_uri(uri)
    if not _BUCKET.fullmatch(bucket):
        hint = "a bucket has 3 to 63 lower-case letters, digits, dots and hyphens: `s3://my-bucket/folder/`"
        raise DatasetError(error("CPT313", f"`{uri}` names no bucket of S3", hint=hint))
    return bucket, key
