"""Clients that upload side by side, each to a bucket and through a front of its own: one's faults are not another's.

All fronts stand before one moto. A client is made once and uploads one set of files after the other, because making
one takes longer than uploading a few small parts.
"""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.front import Front
from cloudcpt.fake.http import Request
from cloudcpt.fake.passing import Moto
from cloudcpt.fake.s3_rules import S3Rules
from cloudcpt.fake.strict_s3 import StrictS3
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.plan.keys import object_key

SIGNED = "AWS4-HMAC-SHA256 Credential=fake/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=fake"
PART = 1024
"""Small, so that hundreds of uploads take seconds; the rules of a lane allow it."""


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One client's way to its bucket.

    Args:
        bucket: Its name.
        front: What stands before moto: faults, calls, rules.
        service: Behind the front.
        store: What the client uploads with.
        moto: Behind everything, for looking at what is really there.
    """

    bucket: str
    front: Front
    service: StrictS3
    store: S3ObjectStore
    moto: Moto

    def clear(self, rules: S3Rules) -> None:
        """Forget calls and faults, and be as strict as is said."""
        self.front.faults.clear()
        self.front.calls.clear()
        self.service.rules = rules

    def stored(self, key: str) -> bytes | None:
        """Give the bytes of an object as moto has them; None when it has none."""
        answer = self.moto.pass_on(
            Request(method="GET", path=f"/{self.bucket}/{key}", headers={"host": "s3", "authorization": SIGNED})
        )
        return answer.body if answer.status == 200 else None

    def sent_bytes(self) -> int:
        """Count the bytes of parts and objects that arrived, whether or not they were taken."""
        calls = [call for operation in ("UploadPart", "PutObject") for call in self.front.calls.all(operation)]
        return sum(call.size_bytes for call in calls)


@contextmanager
def open_lanes(cloud: FakeCloud, count: int) -> Iterator[tuple[Lane, ...]]:
    """Open lanes, and close their fronts in the end.

    Raises:
        AssertionError: a front broke.
    """
    buckets = [f"lane-{number}" for number in range(count)]
    there = cloud.store()
    for bucket in buckets:
        there.create_bucket(Bucket=bucket)
    lanes = tuple(_open_lane(cloud, bucket) for bucket in buckets)
    try:
        yield lanes
    finally:
        for lane in lanes:
            lane.front.close()
    assert [crash for lane in lanes for crash in lane.front.crashes] == []


def _open_lane(cloud: FakeCloud, bucket: str) -> Lane:
    moto = Moto(cloud.moto_url)
    service = StrictS3(moto, account_id=ACCOUNT_ID)
    front = Front(service, account_id=ACCOUNT_ID)
    with _environment({"AWS_ENDPOINT_URL_S3": front.url}):
        store = S3ObjectStore(AwsSession(region=cloud.region), bucket=bucket, owner=ACCOUNT_ID)
    return Lane(bucket=bucket, front=front, service=service, store=store, moto=moto)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def make_files(folder: Path, seed: int, sizes: list[int], *, prefix: str) -> list[LocalFile]:
    """Write files of noise that no other seed has."""
    folder.mkdir(parents=True)
    files = []
    for number, size in enumerate(sizes):
        path, content = folder / f"{number}.jsonl", random.Random(f"{seed}:{number}").randbytes(size)
        path.write_bytes(content)
        digest = blake3(content).hexdigest()
        key = object_key(prefix, blake3=digest, name=path.name)
        files.append(LocalFile(path=path, size_bytes=size, blake3=digest, key=key))
    return files
