"""What the service does behind the customer's back: its own access to S3 and the logs, past the strict front.

SageMaker reads channels and writes results with the execution role, not with the caller's credentials. Here it talks to
moto directly, so nothing that it does shows up among the calls of the client under test.
"""

import functools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ACCESS_KEY, SECRET_KEY = "FAKEACCESSKEY", "fake-secret"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""Source: SageMaker developer guide, "Log groups and streams that SageMaker sends to CloudWatch Logs"."""


@dataclass(frozen=True, kw_only=True)
class Backstage:
    """The service's own clients.

    Args:
        s3: boto3 client of moto's S3.
        logs: boto3 client of moto's CloudWatch Logs.
        region: Of the service.
    """

    s3: Any
    logs: Any
    region: str


def backstage(url: str, region: str) -> Backstage:
    """Make the service's own clients."""
    return Backstage(s3=client("s3", url, region), logs=client("logs", url, region), region=region)


def client(service: str, url: str, region: str) -> Any:
    """Make a boto3 client of one endpoint that reads no credentials from the environment."""
    with _making:
        return _session().client(service, endpoint_url=url, region_name=region)


_making = threading.Lock()
"""A boto3 session makes one client at a time."""


@functools.cache
def _session() -> Any:
    """Keep one session: it has parsed the service models, which takes longer than most tests."""
    import boto3

    return boto3.session.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)


def split_uri(uri: str) -> tuple[str, str]:
    """Split an S3 URI into bucket and key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def keys_under(s3: Any, bucket: str, prefix: str, *, most: int | None = None) -> list[str]:
    """List the keys under a prefix, in order; at most so many."""
    keys: list[str] = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        keys += [row["Key"] for row in page.get("Contents", ())]
        if most is not None and len(keys) >= most:
            break
    return keys[:most]


class LogStream:
    """The log of one host of a job, which exists in CloudWatch from its first line on.

    Args:
        logs: boto3 client of CloudWatch Logs.
        job_name: Of the job.
        host: Number of the instance, from 1.
        started_at: When the container started; part of the stream's name.
    """

    def __init__(self, logs: Any, job_name: str, *, host: int, started_at: float) -> None:
        self.name = f"{job_name}/algo-{host}-{int(started_at)}"
        self._logs = logs
        self._exists = False

    def write(self, lines: Sequence[tuple[float, str]]) -> None:
        """Append lines, each with its time in seconds since 1970, in the order of time."""
        if not lines:
            return
        self._create()
        latest = time.time() + 3600  # moto drops what lies more than two hours ahead of the real clock
        events = [{"timestamp": int(min(at, latest) * 1000), "message": text or " "} for at, text in lines]
        self._logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=self.name, logEvents=events)

    def _create(self) -> None:
        if self._exists:
            return
        already = self._logs.exceptions.ResourceAlreadyExistsException
        for create, names in (
            (self._logs.create_log_group, {"logGroupName": LOG_GROUP}),
            (self._logs.create_log_stream, {"logGroupName": LOG_GROUP, "logStreamName": self.name}),
        ):
            try:
                create(**names)
            except already:
                continue
        self._exists = True
