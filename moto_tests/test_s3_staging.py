"""A model in a bucket comes into a folder here like one from a hub: resumed, verified, whole or not at all."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.aws.s3_data import S3Data
from cloudcpt.aws.s3_publisher import S3Publisher
from cloudcpt.cli.main import main
from cloudcpt.errors import CloudcptError, TransientError
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.faults import CUT_ANSWER, FLIPPED_ANSWER, LOST_ANSWER
from cloudcpt.jobs.stage import StagedModel, stage_model
from cloudcpt.plan.staged import STAGED_FILE
from tests.fake_hubs import LEFT_OUT, MODEL

BUCKET = "models"
OWNED = {"Bucket": BUCKET, "ExpectedBucketOwner": ACCOUNT_ID}
URI = f"s3://{BUCKET}/base/"
WHOLE = sum(map(len, MODEL.values()))


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    store = fake_cloud.client("s3")
    for name, body in {**MODEL, **LEFT_OUT}.items():
        store.put_object(**OWNED, Key=f"base/{name}", Body=body, ChecksumAlgorithm="CRC64NVME")
    store.put_object(**OWNED, Key="base/", Body=b"")
    store.put_object(**OWNED, Key="base-2/config.json", Body=b"{}")
    return fake_cloud


@pytest.fixture
def publisher(cloud: FakeCloud) -> S3Publisher:
    return S3Publisher(S3Data(owner=ACCOUNT_ID), range_bytes=1 << 19)


def stage(publisher: S3Publisher, folder: Path, uri: str = URI) -> StagedModel:
    return stage_model(publisher, publisher.find(uri, ""), folder, show=lambda _: None)


def failure(action: Callable[[], object]) -> CloudcptError:
    with pytest.raises(CloudcptError) as caught:
        action()
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != STAGED_FILE}


@pytest.mark.parametrize("uri", [URI, URI.rstrip("/")])
def test_what_a_job_needs_comes_and_nothing_else(publisher: S3Publisher, tmp_path: Path, uri: str) -> None:
    staged = stage(publisher, tmp_path / "model", uri)
    assert contents(tmp_path / "model") == MODEL
    assert (staged.record.source, staged.record.endpoint, staged.record.repo) == ("s3", "", URI)
    assert {file.name: file.sha256 for file in staged.record.files} == {
        name: hashlib.sha256(body).hexdigest() for name, body in MODEL.items()
    }
    again = stage(publisher, tmp_path / "model", uri)
    assert (again.progress.fetched_bytes, again.progress.kept_bytes) == (0, WHOLE)


def test_a_stretch_of_an_object_is_exactly_that(publisher: S3Publisher) -> None:
    publication = publisher.find(URI, "")
    file = publication.file("b.safetensors")
    for start, stop in ((0, 1), (7, 7), (100, 3_000_000), (file.size_bytes - 1, file.size_bytes)):
        assert b"".join(publisher.stream(publication, file, start, stop)) == MODEL["b.safetensors"][start:stop]


def test_a_checksum_of_the_whole_is_asked_for_and_compared(publisher: S3Publisher, cloud: FakeCloud) -> None:
    body = b"# with another checksum"
    cloud.client("s3").put_object(**OWNED, Key="base/README.md", Body=body, ChecksumAlgorithm="SHA256")
    files = {file.name: file for file in publisher.find(URI, "").files}
    assert files["README.md"].sha256 == hashlib.sha256(body).hexdigest()
    assert files["b.safetensors"].crc64nvme
    assert {name for name in files if "/" in name} == set()


def test_a_bit_that_flips_on_the_way_is_found(publisher: S3Publisher, cloud: FakeCloud, tmp_path: Path) -> None:
    publication = publisher.find(URI, "")
    cloud.s3.faults.add(FLIPPED_ANSWER, operation="GetObject", nth=5)  # after config, index and two headers
    damaged = failure(lambda: stage_model(publisher, publication, tmp_path / "model", show=lambda _: None))
    assert isinstance(damaged, TransientError)
    assert [found.code for found in damaged.diagnostics] == ["CPT737", "CPT743"]
    assert "its CRC64NVME is" in damaged.diagnostics[0].message
    assert not (tmp_path / "model").exists()
    stage(publisher, tmp_path / "model")
    assert contents(tmp_path / "model") == MODEL


def test_a_broken_answer_is_gone_on_with(publisher: S3Publisher, cloud: FakeCloud, tmp_path: Path) -> None:
    cloud.s3.faults.add(CUT_ANSWER, LOST_ANSWER, CUT_ANSWER, operation="GetObject", nth=2)
    stage(publisher, tmp_path / "model")
    assert contents(tmp_path / "model") == MODEL


def test_an_object_that_changes_meanwhile_is_refused(publisher: S3Publisher, cloud: FakeCloud, tmp_path: Path) -> None:
    publication = publisher.find(URI, "")
    cloud.client("s3").put_object(**OWNED, Key="base/README.md", Body=b"# another")
    refusal = failure(lambda: stage_model(publisher, publication, tmp_path / "model", show=lambda _: None))
    assert refusal.diagnostics[0].code == "CPT309"
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("s3://models/nothing", "CPT730"),
        ("s3://no-such-bucket/x", "CPT405"),
        ("s3://", "CPT313"),
        (URI + "config.json", "CPT730"),
    ],
)
def test_what_is_not_there_is_said(publisher: S3Publisher, uri: str, code: str) -> None:
    assert failure(lambda: publisher.find(uri, "")).diagnostics[0].code == code


def test_the_command_brings_a_model_from_a_bucket(
    cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Models are read from the buckets of others too, so the command names no owner.
    cloud.s3.service.rules = replace(cloud.s3.service.rules, require_owner=False)
    monkeypatch.chdir(tmp_path)
    assert main(["model", "stage", URI, "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["folder"] == str(tmp_path / "models" / "base")
    assert contents(tmp_path / "models" / "base") == MODEL
    assert main(["model", "stage", "s3://models/nothing"]) == 2
    assert "error[CPT730]" in capsys.readouterr().err
