"""Objects as they were: one version by its id, or of all objects those that were the newest at a moment.

S3 lists versions with the newest of each key first. A mark of deletion is a version too: an object whose newest
version at the moment is such a mark was not there. An object whose versions were deleted for good is not there either,
and nobody can tell.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.errors import translated
from cloudcpt.aws.s3_selection import ListedObject
from cloudcpt.errors import DatasetError, Place, error

_NO_SUCH_VERSION = (400, 404, 405)
"""Answers to HEAD with a version id: it cannot be one, there is none, it is a mark of deletion."""

Page = Mapping[str, Any]  # as botocore gives it


def newest_at(pages: Iterable[Page], moment: datetime) -> Iterator[ListedObject]:
    """Pick of each key the newest version that there was at a moment; keys in order, as they are listed.

    Args:
        pages: Of ListObjectVersions.
        moment: With its time zone; what was written in that very second counts.
    """
    decided = None
    for page in pages:
        # Versions and marks of deletion come in two lists, each in the order of keys, the newest first.
        entries = [(one, True) for one in page.get("Versions", ())]
        entries += [(one, False) for one in page.get("DeleteMarkers", ())]
        entries.sort(key=lambda entry: (entry[0]["LastModified"], entry[0]["IsLatest"]), reverse=True)
        entries.sort(key=lambda entry: entry[0]["Key"].encode())
        for found, is_object in entries:
            if found["Key"] == decided or found["LastModified"] > moment:
                continue
            decided = found["Key"]
            if is_object:
                yield ListedObject(
                    key=decided, size_bytes=found["Size"], etag=found["ETag"], version_id=found["VersionId"]
                )


def version_of(client: Any, bucket: str, key: str, version_id: str, owner: Mapping[str, str]) -> ListedObject:
    """Look at one version of one object.

    Raises:
        DatasetError: there is no such version.
        SetupError: we may not look.
    """
    uri = f"s3://{bucket}/{key}"
    with translated(f"look at a version of `{uri}`"):
        try:
            found = client.head_object(Bucket=bucket, Key=key, VersionId=version_id, **owner)
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] not in _NO_SUCH_VERSION:
                raise
            hint = f"`aws s3api list-object-versions --bucket {bucket} --prefix {key}` lists them"
            message = f"`{uri}` has no version `{version_id}`"
            raise DatasetError(error("CPT319", message, place=Place(path=uri), hint=hint)) from exc
    return ListedObject(key=key, size_bytes=found["ContentLength"], etag=found["ETag"], version_id=version_id)
