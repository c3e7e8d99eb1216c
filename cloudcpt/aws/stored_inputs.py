"""Whether the inputs that lie in S3 already are still those that the plan was made with."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.errors import translated
from cloudcpt.jobs.access import split_uri
from cloudcpt.jobs.checks import Check, failed, passed
from cloudcpt.plan.plan import DataFile

MOST_LOOKED_AT = 2000
"""Of many files, so many from the start: a look each is a request each, and the trainer verifies every one anyway."""

_AT_ONCE = 16


def check_stored_inputs(client: Any, files: Sequence[DataFile], *, owner: str) -> Check:
    """Look at each object: there, and of the size that was read.

    Args:
        client: Of S3.
        files: In S3.
        owner: The account that their buckets must belong to.
    """
    name, looked_at = "inputs in S3", files[:MOST_LOOKED_AT]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        faults = [
            fault for found in pool.map(lambda file: list(_faults(client, file, owner)), looked_at) for fault in found
        ]
    if faults:
        more = f", and {len(faults) - 1} more like it" if len(faults) > 1 else ""
        return failed(
            name, "CPT711", f"{faults[0]}{more}", hint="plan again: the numbers of this plan are of other data"
        )
    total = sum(file.size_bytes for file in looked_at)
    words = f"{len(looked_at):,} of {len(files):,} files looked at, {total:,} bytes"
    return passed(name, words)


def _faults(client: Any, file: DataFile, owner: str) -> Iterator[str]:
    bucket, key = split_uri(file.uri)
    with translated(f"look at `{file.uri}`"):
        try:
            found = client.head_object(Bucket=bucket, Key=key, ExpectedBucketOwner=owner)
        except ClientError as exc:
            if exc.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            yield f"`{file.uri}` is gone"
            return
    if found["ContentLength"] != file.size_bytes:
        yield f"`{file.uri}` has {found['ContentLength']:,} bytes, the plan was made with {file.size_bytes:,}"
