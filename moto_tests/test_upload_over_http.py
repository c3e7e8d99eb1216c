"""An upload over HTTP: killed with SIGKILL at every boundary, with credentials that expire, beside rivals."""

import functools
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import CloudcptError, SetupError
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import EXPIRED_TOKEN
from cloudcpt.fake.s3_rules import OWNER_HEADER, S3Rules
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import FileChanged, LocalFile
from cloudcpt.jobs.stale import abort_stale, stale_uploads
from cloudcpt.jobs.tally import UploadProgress
from cloudcpt.jobs.upload import upload
from moto_tests.mortals import Mortals
from moto_tests.upload_lanes import PART, make_files

BUCKET, PREFIX = "bucket", "team"
KEY = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    fake_cloud.s3.service.rules = S3Rules(min_part_bytes=PART)
    return fake_cloud


def open_store(cloud: FakeCloud, **options: str) -> S3ObjectStore:
    return S3ObjectStore(AwsSession(region="us-east-1"), bucket=BUCKET, owner=cloud.account_id, **options)


@pytest.fixture
def store(cloud: FakeCloud) -> S3ObjectStore:
    return open_store(cloud)


def files_of(folder: Path, *sizes: int, seed: int = 0) -> list[LocalFile]:
    return make_files(folder / f"data-{seed}", seed, list(sizes), prefix=PREFIX)


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


@functools.cache
def moto(cloud: FakeCloud) -> Any:
    """Give a client past the judge; making one takes long."""
    return cloud.store()


def empty(cloud: FakeCloud, files: list[LocalFile]) -> None:
    """Take files away, here and in the store, so that later ones are all that is there."""
    for file in files:
        moto(cloud).delete_object(Bucket=BUCKET, Key=file.key)
    shutil.rmtree(files[0].path.parent)


def require_right(cloud: FakeCloud, store: S3ObjectStore, files: list[LocalFile], journal: Path) -> None:
    cloud.s3.faults.clear()
    listed = moto(cloud).list_objects_v2(Bucket=BUCKET).get("Contents", ())
    assert sorted(row["Key"] for row in listed) == sorted(file.key for file in files)
    for file in files:
        assert moto(cloud).get_object(Bucket=BUCKET, Key=file.key)["Body"].read() == file.path.read_bytes()
    left = stale_uploads(store, PREFIX, older_than_s=0, now=time.time() + 60)
    abort_stale(store, left, UploadJournal(journal))
    assert cloud.s3.service.uploads() == ()
    assert list(journal.glob("*.json")) == []


def test_a_second_upload_sends_nothing(cloud, store, tmp_path):
    files = files_of(tmp_path, 2 * PART + 9, 100, 0)
    done = send(store, files, tmp_path / "journal")
    assert (done.sent_bytes, done.resumed_bytes) == (2 * PART + 109, 0)
    cloud.s3.calls.clear()
    again = send(store, files, tmp_path / "another journal")
    assert (again.sent_bytes, again.resumed_bytes) == (0, 2 * PART + 109)
    assert sent_bytes(cloud) == 0
    require_right(cloud, store, files, tmp_path / "journal")


def test_credentials_that_expire_at_any_call_stop_clean_and_the_rest_is_sent_later(cloud, store, tmp_path):
    for number in count(1):
        files = files_of(tmp_path, 2 * PART + 9, seed=number)
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
        empty(cloud, files)


def test_an_upload_that_nobody_finished_is_adopted_by_a_client_without_a_journal(cloud, store, tmp_path):
    files = files_of(tmp_path, 6 * PART + 9)
    cloud.s3.faults.add(EXPIRED_TOKEN, operation="UploadPart", nth=4, times=999)
    with pytest.raises(SetupError, match="CPT401"):
        send(store, files, tmp_path / "journal", in_flight=1)
    cloud.s3.faults.clear()
    done = send(store, files, tmp_path / "journal of a colleague")
    assert done.resumed_bytes == 3 * PART
    assert done.sent_bytes == 3 * PART + 9
    assert len(cloud.s3.calls.all("CreateMultipartUpload")) == 1
    send(store, files, tmp_path / "journal")  # it is told there, and does not believe its journal
    require_right(cloud, store, files, tmp_path / "journal")


@pytest.mark.parametrize("size", [10, 2 * PART])
def test_an_object_under_another_key_is_refused_and_stays(cloud, store, tmp_path, size):
    files = files_of(tmp_path, size)
    send(store, files, tmp_path / "journal")
    with pytest.raises(SetupError, match=rf"CPT413.*not encrypted with the key `{KEY}`"):
        send(open_store(cloud, kms_key_id=KEY), files, tmp_path / "journal")
    require_right(cloud, store, files, tmp_path / "journal")


def test_a_file_that_changes_while_it_is_sent_becomes_no_object(cloud, store, tmp_path):
    """Size and time of the file end as they were, so that sooner or later only the hash of what was read tells."""
    (file,) = files_of(tmp_path, 20 * PART + 9)

    def meddle(progress: UploadProgress) -> None:
        if progress.sent_bytes == PART:
            before = file.path.stat()
            content = file.path.read_bytes()
            file.path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(FileChanged, match="CPT411"):
        upload(
            store,
            [file],
            journal=UploadJournal(tmp_path / "journal"),
            resume="again",
            parts_in_flight=1,
            smallest_part_bytes=PART,
            progress=meddle,
        )
    assert moto(cloud).list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert cloud.s3.service.uploads() == ()
    assert cloud.s3.calls.all("CompleteMultipartUpload") == ()


@pytest.mark.parametrize("rivals", [2, 3, 4])
@pytest.mark.parametrize("shares_journal", [True, False])
def test_rivals_with_the_same_files_make_one_object_of_each(cloud, tmp_path, rivals, shares_journal):
    """They resume, adopt, complete and abort each other's uploads; each of them ends well."""
    stores = [open_store(cloud) for _ in range(rivals)]
    for number in range(3):
        files = files_of(tmp_path, 4 * PART + 9, 100, 2 * PART, seed=number)
        gate = threading.Barrier(rivals)

        def client(name: int, files=files, gate=gate, number=number) -> UploadProgress:
            gate.wait(10)
            return send(stores[name], files, tmp_path / f"journal-{number}-{0 if shares_journal else name}")

        with ThreadPoolExecutor(rivals) as clients:
            done = list(clients.map(client, range(rivals)))
        assert [state.files_done for state in done] == [3] * rivals
        assert cloud.s3.service.uploads() == (), "whoever loses cleans up"
        require_right(cloud, stores[0], files, tmp_path / f"journal-{number}-0")
        empty(cloud, files)
    owners = {call.headers.get(OWNER_HEADER) for call in cloud.s3.calls.all()}
    assert owners == {cloud.account_id}


@pytest.fixture
def clients(cloud: FakeCloud) -> Iterator[Mortals]:  # after `cloud`, whose environment it passes on
    started = Mortals("moto_tests.upload_client")
    yield started
    started.end()


def order(files: list[LocalFile], journal: Path) -> dict[str, Any]:
    listed = [(str(file.path), file.size_bytes, file.blake3, file.key) for file in files]
    return {"files": listed, "journal": str(journal), "parts_in_flight": 2, "part_bytes": PART}


@pytest.mark.slow
def test_sigkill_at_every_request_answer_and_journal_write_loses_nothing(cloud, store, clients, tmp_path):
    for event in count():
        files = files_of(tmp_path, 2 * PART + 9, 100, seed=event)
        journal = tmp_path / f"journal-{event}"
        cloud.s3.calls.clear()
        (ended,) = clients.run(order(files, journal), die_at=[event])
        if ended["signal"] == 0:
            assert ended["codes"] == []
            assert event >= ended["events"] > 20
            break
        assert ended["signal"] == signal.SIGKILL
        assert clients.run(order(files, journal))[0]["codes"] == []
        assert sent_bytes(cloud) <= sum(file.size_bytes for file in files) + 2 * PART
        require_right(cloud, store, files, journal)
        empty(cloud, files)


def kill_at_random(cloud: FakeCloud, store: S3ObjectStore, clients: Mortals, folder: Path, wanted: int) -> None:
    """Upload files in rounds of up to three kills each, at any event or moment, until `wanted` have happened."""
    kills = 0
    for number in count():  # a quick machine outlives some of its kills: as many rounds as that takes
        if kills >= wanted:
            break
        chance = random.Random(number)
        sizes = [chance.randint(1, 5) * PART + 9, chance.randint(0, PART)]
        files, journal = files_of(folder, *sizes, seed=number), folder / f"journal-{number}"
        cloud.s3.calls.clear()
        here = 0
        for _ in range(chance.randint(1, 3)):
            if chance.random() < 0.8:
                (ended,) = clients.run(order(files, journal), die_at=[chance.randrange(24)])
            else:  # how far it comes is for the machine to decide; each moment is right or wrong by itself
                (ended,) = clients.run(order(files, journal), kill_after_s=chance.uniform(0.005, 0.1))
            here += ended["signal"] == signal.SIGKILL
        assert clients.run(order(files, journal))[0]["codes"] == [], f"round {number}"
        assert sent_bytes(cloud) <= sum(sizes) + here * 2 * PART, f"round {number}"
        require_right(cloud, store, files, journal)
        empty(cloud, files)
        kills += here


@pytest.mark.slow
def test_sigkill_at_200_random_moments_loses_nothing(cloud, store, clients, tmp_path):
    kill_at_random(cloud, store, clients, tmp_path, wanted=200)


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_sigkill_at_2000_random_moments_loses_nothing(cloud, store, clients, tmp_path):
    kill_at_random(cloud, store, clients, tmp_path, wanted=2000)
