"""Input channels: what CreateTrainingJob looks for in S3, and how files arrive under /opt/ml/input/data.

Source: botocore, sagemaker 2017-07-24, S3DataSource (prefix, manifest, distribution) and Channel.
"""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from cloudcpt.fake.backstage import Backstage, keys_under, split_uri
from cloudcpt.fake.front import Refusal
from cloudcpt.fake.job_request import JobRequest, channels
from cloudcpt.wire import MlFolder


class ChannelFailure(Exception):
    """A channel cannot be brought to the instances; the text is what follows `ClientError: `."""


def check_channels(back: Backstage, request: JobRequest) -> None:
    """Refuse a request whose input is not in S3.

    Raises:
        Refusal: no bucket in this region, or no object under the URL (`ValidationException`).
    """
    for channel in channels(request):
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            continue
        bucket, prefix = split_uri(source["S3Uri"])
        why = _absence(back, bucket, prefix)
        if why:
            message = (
                f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please ensure that '
                f"the bucket exists in the selected region ({back.region}), that objects exist under that S3 prefix, "
                f'and that the role "{request["RoleArn"]}" has "s3:ListBucket" permissions on bucket "{bucket}". '
                f"Error message from S3: {why}"
            )
            raise Refusal(status=400, code="ValidationException", message=message)


def download_channels(back: Backstage, request: JobRequest, ml: MlFolder, *, host: int, hosts: int) -> None:
    """Bring every channel to one host.

    Args:
        back: The service's access to S3.
        request: Of the job.
        ml: The host's folder.
        host: Place of the host among all, from 0.
        hosts: How many there are.

    Raises:
        ChannelFailure: an object is missing, a manifest is malformed, or the input mode is not played here.
    """
    default = request["AlgorithmSpecification"]["TrainingInputMode"]
    for channel in channels(request):
        name, mode = channel["ChannelName"], channel.get("InputMode", default)
        source = channel["DataSource"].get("S3DataSource")
        if source is None or mode == "Pipe":
            raise ChannelFailure(f"Data download failed: channel {name} is of a kind that this fake does not play")
        _download(back, source, ml.channel(name), host=host, hosts=hosts)


def _download(back: Backstage, source: Mapping[str, Any], folder: Path, *, host: int, hosts: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bucket, files = _listed(back, source)
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        files = files[host::hosts]
    for key, local in files:
        inside = PurePosixPath(local)
        if inside.is_absolute() or ".." in inside.parts:
            raise ChannelFailure(f"Data download failed: s3://{bucket}/{key} leaves its channel")
        target = folder / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            back.s3.download_file(bucket, key, str(target))
        except Exception as exc:
            raise ChannelFailure(f"Data download failed: s3://{bucket}/{key}: {exc}") from exc


def _listed(back: Backstage, source: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    """Give the bucket of a channel, and the key and local name of each of its files."""
    bucket, prefix = split_uri(source["S3Uri"])
    if source["S3DataType"] == "ManifestFile":
        return _manifest(back, bucket, prefix)
    if source["S3DataType"] != "S3Prefix":
        raise ChannelFailure(f"Data download failed: {source['S3DataType']} is not played by this fake")
    keys = keys_under(back.s3, bucket, prefix)
    return bucket, [(key, _local_name(key, prefix)) for key in keys if not key.endswith("/")]


def _local_name(key: str, prefix: str) -> str:
    """Name a file in its channel: relative to the prefix where that is a folder, else to the folder it lies in."""
    folder = prefix if prefix.endswith("/") else f"{prefix}/"
    if key.startswith(folder):
        return key.removeprefix(folder)
    return key[prefix.rfind("/") + 1 :]


def _manifest(back: Backstage, bucket: str, key: str) -> tuple[str, list[tuple[str, str]]]:
    try:
        rows = json.loads(back.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        home, folder = split_uri(rows[0]["prefix"])
        names = [str(row) for row in rows[1:]]
    except Exception as exc:
        raise ChannelFailure(f"Manifest s3://{bucket}/{key} could not be read: {exc}") from exc
    if not rows[0]["prefix"].startswith("s3://") or not names:
        raise ChannelFailure(f"Manifest s3://{bucket}/{key} must have an s3:// prefix and at least one file")
    return home, [(folder + name, name) for name in names]


def _absence(back: Backstage, bucket: str, prefix: str) -> str:
    """Say why there is nothing under a URL; empty when there is."""
    try:
        region = back.s3.head_bucket(Bucket=bucket)["BucketRegion"]
    except back.s3.exceptions.ClientError:
        return "The specified bucket does not exist"
    if region != back.region:
        return f"The bucket is in this region: {region}. Please use this region to retry the request"
    return "" if keys_under(back.s3, bucket, prefix, most=1) else "No objects found"
