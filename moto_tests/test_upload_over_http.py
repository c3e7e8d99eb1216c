"""An upload over HTTP: killed with SIGKILL at every boundary, on lines that fail, with credentials that expire."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import CloudcptError
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import CONDITIONAL_CONFLICT, EXPIRED_TOKEN, SLOW_DOWN, TRANSIENT
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.stale import abort_stale, stale_uploads
from cloudcpt.jobs.tally import UploadProgress
from cloudcpt.jobs.upload import upload
from cloudcpt.plan.keys import object_key
from moto_tests.upload_client import PART

BUCKET, PREFIX = "bucket", "team"


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    return fake_cloud


@pytest.fixture
def store(cloud: FakeCloud) -> S3ObjectStore:
    return S3ObjectStore(AwsSession(region="us-east-1"), bucket=BUCKET, owner=cloud.account_id)


def make_file(folder: Path, size_bytes: int, seed: int = 0) -> LocalFile:
    path = folder / f"data-{seed}.jsonl"
    content = random.Random(seed).randbytes(size_bytes)
    path.write_bytes(content)
    digest = blake3(content).hexdigest()
    key = object_key(PREFIX, blake3=digest, name=path.name)
    return LocalFile(path=path, size_bytes=size_bytes, blake3=digest, key=key)


def send(store: S3ObjectStore, files: list[LocalFile], journal: Path, *, in_flight: int = 2) -> UploadProgress:
    return upload(
        store,
        files,
        journal=UploadJournal(journal),
        resume="cloudcpt submit plan.json",
        parts_in_flight=in_flight,
        smallest_part_bytes=PART,
    )


def sent_bytes(cloud: FakeCloud) -> int:
    return sum(call.size_bytes for operation in ("UploadPart", "PutObject") for call in cloud.s3.calls.all(operation))


def require_right(cloud: FakeCloud, store: S3ObjectStore, files: list[LocalFile], journal: Path) -> None:
    cloud.s3.faults.clear()
    listed = cloud.store().list_objects_v2(Bucket=BUCKET).get("Contents", ())
    assert sorted(row["Key"] for row in listed) == sorted(file.key for file in files)
    for file in files:
        assert cloud.store().get_object(Bucket=BUCKET, Key=file.key)["Body"].read() == file.path.read_bytes()
    left = stale_uploads(store, PREFIX, older_than_s=0, now=time.time() + 60)
    abort_stale(store, left, UploadJournal(journal))
    assert cloud.s3.service.uploads() == ()
    assert list(journal.glob("*.json")) == []


def test_a_second_upload_sends_nothing(cloud, store, tmp_path):
    files = [make_file(tmp_path, 2 * PART + 9, 1), make_file(tmp_path, 100, 2), make_file(tmp_path, 0, 3)]
    done = send(store, files, tmp_path / "journal")
    assert (done.sent_bytes, done.resumed_bytes) == (2 * PART + 109, 0)
    cloud.s3.calls.clear()
    again = send(store, files, tmp_path / "another journal")
    assert (again.sent_bytes, again.resumed_bytes) == (0, 2 * PART + 109)
    assert sent_bytes(cloud) == 0
    require_right(cloud, store, files, tmp_path / "journal")


def test_credentials_that_expire_at_any_call_stop_clean_and_the_rest_is_sent_later(cloud, store, tmp_path):
    for number in count(1):
        files = [make_file(tmp_path, 2 * PART + 9, seed=number)]
        cloud.s3.calls.clear()
        cloud.s3.faults.add(EXPIRED_TOKEN, nth=number, times=999)
        try:
            send(store, files, tmp_path / "journal", in_flight=1)
        except CloudcptError as exc:
            problem = exc
        else:
            assert number > 6
            break
        assert [found.code for found in problem.diagnostics] == ["CPT401", "CPT418"]
        assert "cloudcpt submit plan.json" in problem.diagnostics[1].hint
        cloud.s3.faults.clear()
        send(store, files, tmp_path / "journal", in_flight=1)
        arrived = sum(call.size_bytes for call in cloud.s3.calls.all("UploadPart") if call.status == 200)
        assert arrived == files[0].size_bytes
        cloud.store().delete_object(Bucket=BUCKET, Key=files[0].key)


@pytest.mark.parametrize("seed", range(16))
def test_a_line_on_which_everything_fails_now_and_then_ends_right(cloud, store, tmp_path, seed):
    files = [make_file(tmp_path, 2 * PART + 9, seed), make_file(tmp_path, 50, seed + 100)]
    faults = [fault for fault in TRANSIENT if fault != SLOW_DOWN]  # botocore sleeps seconds after that one
    cloud.s3.faults.seed(seed, rate=0.2, faults=[*faults, EXPIRED_TOKEN, CONDITIONAL_CONFLICT])
    for _ in range(20):
        try:
            send(store, files, tmp_path / "journal")
        except CloudcptError as exc:
            problem = exc
        else:
            break
        assert problem.diagnostics[-1].code == "CPT418", problem
        assert problem.diagnostics[-1].hint
    else:
        pytest.fail(f"not done after 20 runs: {problem}")
    require_right(cloud, store, files, tmp_path / "journal")


class Clients:
    """The program in upload_client.py, and the orders that it gets."""

    def __init__(self) -> None:
        root = str(Path(__file__).parents[1])
        self._program = subprocess.Popen(
            [sys.executable, "-m", "moto_tests.upload_client"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": root},
        )

    def run(
        self, files: list[LocalFile], journal: Path, *, die_at: int | None = None, kill_after_s: float | None = None
    ) -> dict[str, Any]:
        """Let a client upload, die by itself at an event or by our hand after a while; give how it ended."""
        order = {
            "files": [(str(file.path), file.size_bytes, file.blake3, file.key) for file in files],
            "journal": str(journal),
            "die_at": die_at,
            "kill_after_s": kill_after_s,
            "parts_in_flight": 2,
        }
        assert self._program.stdin
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        assert self._program.stdout
        ended: dict[str, Any] = json.loads(self._program.stdout.readline())
        return ended

    def end(self) -> None:
        """Let the program end."""
        self._program.communicate(timeout=30)


@pytest.fixture
def clients(cloud: FakeCloud) -> Iterator[Clients]:  # after `cloud`, whose environment it passes on
    started = Clients()
    yield started
    started.end()


@pytest.mark.slow
def test_sigkill_at_every_request_answer_and_journal_write_loses_nothing(cloud, store, clients, tmp_path):
    for event in count():
        files = [make_file(tmp_path, 2 * PART + 9, seed=event), make_file(tmp_path, 100, seed=event + 1000)]
        journal = tmp_path / f"journal-{event}"
        cloud.s3.calls.clear()
        ended = clients.run(files, journal, die_at=event)
        if ended["signal"] == 0:
            assert ended["codes"] == []
            assert event >= ended["events"] > 20
            break
        assert ended["signal"] == signal.SIGKILL
        assert clients.run(files, journal)["codes"] == []
        assert sent_bytes(cloud) <= sum(file.size_bytes for file in files) + 2 * PART
        require_right(cloud, store, files, journal)
        for file in files:
            cloud.store().delete_object(Bucket=BUCKET, Key=file.key)
            file.path.unlink()


@pytest.mark.slow
def test_sigkill_at_random_moments_loses_nothing(cloud, store, clients, tmp_path):
    files = [make_file(tmp_path, 6 * PART + 9)]
    journal, chance, kills = tmp_path / "journal", random.Random(0), 0
    for _ in range(8):
        # How far a client comes in such a time is for the machine to decide; each moment is right or wrong by itself.
        ended = clients.run(files, journal, kill_after_s=chance.uniform(0.01, 0.25))
        kills += ended["signal"] == signal.SIGKILL
    assert clients.run(files, journal)["codes"] == []
    assert sent_bytes(cloud) <= files[0].size_bytes + kills * 2 * PART
    require_right(cloud, store, files, journal)
