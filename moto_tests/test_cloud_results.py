"""The model of a job in S3: what can be said about it where it lies, and how it comes here whole or not at all."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.aws.results import JobModel
from cloudcpt.errors import InputError, SetupError, TransientError
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import CUT_ANSWER, FLIPPED_ANSWER, LOST_ANSWER, LOST_REQUEST, SLOW_DOWN
from cloudcpt.fake.script import JobScript
from cloudcpt.jobs.fetch import fetch_model
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import model_faults
from moto_tests.cloud_jobs import BUCKET, REGION, model_of, open_engine, put_inputs, session_of, small_cloud_plan

PREFIX = "cpt/output/job/output/model/"
URI = f"s3://{BUCKET}/{PREFIX}"


@pytest.fixture
def plan(fake_cloud: FakeCloud, tmp_path: Path) -> Plan:
    made = small_cloud_plan(tmp_path)
    put_inputs(fake_cloud, made)
    return made


@pytest.fixture
def files(plan: Plan, tmp_path: Path) -> dict[str, bytes]:
    return model_of(plan, tmp_path / "original")


@pytest.fixture
def put(fake_cloud: FakeCloud) -> Callable[..., None]:
    def written(name: str, content: bytes, **options: str) -> None:
        fake_cloud.store().put_object(Bucket=BUCKET, Key=PREFIX + name, Body=content, **options)

    return written


@pytest.fixture
def model(fake_cloud: FakeCloud, files: dict[str, bytes], put: Callable[..., None]) -> JobModel:
    """A whole model, read 1,000 bytes at a time."""
    for name, content in files.items():
        put(name, content)
    return open_model(fake_cloud)


def open_model(cloud: FakeCloud, **options: object) -> JobModel:
    said = {"uri": URI, "owner": cloud.account_id, "range_bytes": 1000, **options}
    return JobModel(session_of(4).client("s3", region=REGION), **said)


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_model_has_no_faults_and_nothing_large_is_read(model, plan, fake_cloud):
    assert model.faults(plan.hash) == []
    read = [call.path for call in fake_cloud.s3.calls.all("GetObject")]
    assert sorted(Path(path).name for path in read) == ["COMPLETE", "manifest.json"]


def test_the_copy_is_the_model(model, files, tmp_path):
    model.copy(tmp_path / "copy")
    assert read_all(tmp_path / "copy") == files
    assert model_faults(tmp_path / "copy") == []


def test_every_request_names_the_owner_of_the_bucket(model, plan, tmp_path, fake_cloud):
    model.faults(plan.hash)
    model.copy(tmp_path / "copy")
    calls = fake_cloud.s3.calls.all()
    assert len(calls) > 5
    assert {call.headers.get("x-amz-expected-bucket-owner") for call in calls} == {fake_cloud.account_id}


def test_a_bucket_of_somebody_else_is_not_read(model, fake_cloud, tmp_path):
    with pytest.raises(SetupError, match="CPT403"):
        open_model(fake_cloud, owner="999999999999").copy(tmp_path / "copy")


def test_what_is_missing_short_extra_or_of_another_plan_is_said(model, plan, put, fake_cloud):
    assert model.faults("f" * 64) == [f"it was made by another plan, `{plan.hash[:16]}...`"]
    put("config.json", b"{ }")
    put("notes.txt", b"mine")
    fake_cloud.store().delete_object(Bucket=BUCKET, Key=PREFIX + "provenance/plan.json")
    assert sorted(model.faults(plan.hash)) == [
        "`config.json` has 3 bytes, the manifest says 2",
        "`notes.txt` is not in the manifest",
        "`provenance/plan.json` is missing",
    ]
    put("COMPLETE", b"0" * 64 + b"\n")
    assert model.faults(plan.hash) == ["`manifest.json` is not the one that `COMPLETE` sealed"]
    fake_cloud.store().delete_object(Bucket=BUCKET, Key=PREFIX + "COMPLETE")
    assert model.faults(plan.hash) == ["`COMPLETE` is missing: the model was never finished"]


def test_a_sha256_that_s3_has_is_compared(model, plan, files, put):
    changed = bytes(reversed(files["model.safetensors"]))
    put("model.safetensors", changed, ChecksumAlgorithm="SHA256")
    assert model.faults(plan.hash) == ["`model.safetensors` does not have the SHA-256 of the manifest"]
    digest = base64.b64encode(hashlib.sha256(files["model.safetensors"]).digest()).decode()
    put("model.safetensors", files["model.safetensors"], ChecksumSHA256=digest)
    assert model.faults(plan.hash) == []


def test_a_changed_byte_that_s3_cannot_see_is_found_by_whoever_fetches(plan, files, fake_cloud, tmp_path):
    changed = {**files, "model.safetensors": bytes(reversed(files["model.safetensors"]))}
    fake_cloud.sagemaker.service.play = JobScript(model=changed)
    engine = open_engine(fake_cloud, tmp_path / "state")
    name = engine.create(plan).name
    fake_cloud.clock.advance(3600)
    assert engine.faults(name) == []
    with pytest.raises(InputError, match="does not have the SHA-256"):
        fetch_model(engine, engine.status(name), tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


@pytest.mark.parametrize("fault", [CUT_ANSWER, LOST_ANSWER, LOST_REQUEST, SLOW_DOWN])
def test_an_answer_that_breaks_off_is_gone_on_with(model, files, tmp_path, fake_cloud, fault):
    fake_cloud.s3.faults.add(fault, operation="GetObject", nth=4, times=2)
    model.copy(tmp_path / "copy")
    assert read_all(tmp_path / "copy") == files


def test_a_flipped_bit_on_the_way_never_becomes_a_model(plan, files, fake_cloud, tmp_path):
    fake_cloud.sagemaker.service.play = JobScript(model=files)
    engine = open_engine(fake_cloud, tmp_path / "state")
    name = engine.create(plan).name
    fake_cloud.clock.advance(3600)
    fake_cloud.s3.faults.add(FLIPPED_ANSWER, operation="GetObject", times=100)
    with pytest.raises((InputError, TransientError)):
        fetch_model(engine, engine.status(name), tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()
    fake_cloud.s3.faults.clear()
    fetch_model(engine, engine.status(name), tmp_path / "fetched")
    assert read_all(tmp_path / "fetched") == files


def test_a_network_that_is_gone_ends_the_copy(model, tmp_path, fake_cloud):
    fake_cloud.s3.faults.add(LOST_ANSWER, operation="GetObject", nth=4, times=1000)
    with pytest.raises(TransientError, match="CPT408"):
        model.copy(tmp_path / "copy")


def test_a_model_that_changes_meanwhile_is_refused(model, tmp_path, put, fake_cloud):
    client = model._client

    def changed(params: dict, **_: object) -> None:
        put("model.safetensors", b"x" * 10240)

    client.meta.events.register_first("before-parameter-build.s3.GetObject", changed)
    with pytest.raises(InputError, match="CPT446"):
        model.copy(tmp_path / "copy")


@pytest.mark.parametrize(
    "name", ["../escaped", "a/../../escaped", "/etc/passwd", "a//b", "./a", "a\\b", "a\u202eb", "..", "a/.."]
)
def test_a_key_that_would_leave_the_folder_stops_everything(model, put, tmp_path, plan, name):
    put(name, b"x")
    with pytest.raises(InputError, match="CPT445"):
        model.copy(tmp_path / "copy")
    with pytest.raises(InputError, match="CPT445"):
        model.faults(plan.hash)
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "escaped").exists()


def test_what_consoles_make_for_folders_is_no_file(model, put, files, tmp_path, plan):
    put("", b"")
    put("provenance/", b"")
    assert model.faults(plan.hash) == []
    model.copy(tmp_path / "copy")
    assert read_all(tmp_path / "copy") == files


def test_an_empty_file_is_a_file(model, put, tmp_path):
    put("empty", b"")
    model.copy(tmp_path / "copy")
    assert (tmp_path / "copy" / "empty").read_bytes() == b""
