"""What a job in the cloud keeps on the way: where the service copies it, who finds it there, what goes on from it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.aws.engine import CloudEngine
from cloudcpt.errors import UsageProblem
from cloudcpt.fake.backstage import split_uri
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.jobs.fetch import fetch_checkpoint
from cloudcpt.jobs.ports import JobState
from cloudcpt.jobs.resume import resume
from cloudcpt.plan.plan import Checkpoints, Plan
from cloudcpt.wire import model_faults
from moto_tests.cloud_jobs import BUCKET, model_of, open_engine, put_inputs, script, small_cloud_plan

KEEPING = Checkpoints(every_steps=500, keep_last=2, recovery_every_steps=100)
OUTPUT = f"s3://{BUCKET}/cpt/output"


@pytest.fixture
def plan(fake_cloud: FakeCloud, tmp_path: Path) -> Plan:
    made = small_cloud_plan(tmp_path, checkpoints=KEEPING)
    put_inputs(fake_cloud, made)
    return made


@pytest.fixture
def engine(fake_cloud: FakeCloud, tmp_path: Path) -> CloudEngine:
    fake_cloud.clock.run(1.0)
    fake_cloud.sagemaker.service.play = script("fails", {})
    return open_engine(fake_cloud, tmp_path / "state")


def copied_away(cloud: FakeCloud, plan: Plan, folder: Path) -> None:
    """Put into the bucket what the service would have copied: a checkpoint, half of one, and two states."""
    files = {f"step-00000500/{name}": content for name, content in model_of(plan, folder).items()}
    files |= {"step-00001000/config.json": b"{}", "step-00001000/model.safetensors": b"half"}
    files |= {f".recovery/step-0000{step}/COMPLETE": b"" for step in ("0900", "1000")}
    for name, content in files.items():
        bucket, key = split_uri(f"{OUTPUT}/{plan.job_name}/checkpoints/{name}")
        cloud.store().put_object(Bucket=bucket, Key=key, Body=content)


def end_of(engine: CloudEngine, name: str, cloud: FakeCloud) -> JobState:
    while not engine.status(name).state.is_final:
        cloud.clock.advance(60.0)
    cloud.clock.advance(60.0)
    return engine.status(name).state


def sent(cloud: FakeCloud) -> list[dict]:
    return [json.loads(call.body) for call in cloud.sagemaker.calls.all("CreateTrainingJob")]


def test_a_job_that_keeps_nothing_has_no_place_for_it(engine, fake_cloud, tmp_path):
    plain = small_cloud_plan(tmp_path)
    put_inputs(fake_cloud, plain)
    engine.create(plain)
    assert "CheckpointConfig" not in sent(fake_cloud)[0]
    assert engine.record(plain.job_name).checkpoints_uri == ""
    listed = len(fake_cloud.s3.calls.all("ListObjectsV2"))
    assert engine.status(plain.job_name).checkpoints == ()
    assert len(fake_cloud.s3.calls.all("ListObjectsV2")) == listed


def test_status_lists_what_is_whole_and_says_from_where_the_job_can_go_on(engine, plan, fake_cloud, tmp_path):
    name = engine.create(plan).name
    copied_away(fake_cloud, plan, tmp_path / "model")
    assert end_of(engine, name, fake_cloud) is JobState.FAILED
    for found in (engine, open_engine(fake_cloud, tmp_path / "state"), open_engine(fake_cloud, tmp_path / "other")):
        status = found.status(name)
        assert (status.checkpoints, status.recovery_step) == ((500,), 1000)
        assert status.failure.message.endswith("; `cloudcpt resume` goes on after step 1000")


def test_an_attempt_that_goes_on_begins_with_what_the_last_one_left(engine, plan, fake_cloud, tmp_path):
    name = engine.create(plan).name
    copied_away(fake_cloud, plan, tmp_path / "model")
    end_of(engine, name, fake_cloud)
    again = resume(engine, engine.status(name))
    assert (again.name, again.adopted) == (f"{name}-r2", False)
    first, second = sent(fake_cloud)
    place = {"S3Uri": f"{OUTPUT}/{name}/checkpoints", "LocalPath": "/opt/ml/checkpoints"}
    assert (first["CheckpointConfig"], second["CheckpointConfig"]) == (place, place)
    assert second == first | {"TrainingJobName": f"{name}-r2"}
    assert engine.status(again.name).checkpoints == (500,)
    end_of(engine, again.name, fake_cloud)
    third = resume(engine, engine.status(again.name))
    assert third.name == f"{name}-r3"
    assert sent(fake_cloud)[-1]["CheckpointConfig"] == place


def test_an_attempt_that_starts_over_has_a_place_of_its_own(engine, plan, fake_cloud, tmp_path):
    name = engine.create(plan).name
    copied_away(fake_cloud, plan, tmp_path / "model")
    end_of(engine, name, fake_cloud)
    over = engine.create(plan, replace=True)
    assert sent(fake_cloud)[-1]["CheckpointConfig"]["S3Uri"] == f"{OUTPUT}/{over.name}/checkpoints"
    end_of(engine, over.name, fake_cloud)
    with pytest.raises(UsageProblem, match="CPT479"):
        resume(engine, engine.status(over.name))


def test_a_job_of_another_machine_goes_on_where_it_was(engine, plan, fake_cloud, tmp_path):
    name = engine.create(plan).name
    copied_away(fake_cloud, plan, tmp_path / "model")
    end_of(engine, name, fake_cloud)
    elsewhere = open_engine(fake_cloud, tmp_path / "elsewhere")
    again = resume(elsewhere, elsewhere.status(name))
    assert again.name == f"{name}-r2"
    assert resume(engine, engine.status(name)).adopted
    assert {one["TrainingJobName"] for one in sent(fake_cloud)} == {name, again.name}


def test_a_checkpoint_comes_here_and_is_verified(engine, plan, fake_cloud, tmp_path):
    name = engine.create(plan).name
    copied_away(fake_cloud, plan, tmp_path / "model")
    status = replace(engine.status(name), plan_hash=plan.hash)
    fetch_checkpoint(engine, status, 500, tmp_path / "here")
    assert model_faults(tmp_path / "here") == []


def test_whoever_may_not_look_into_the_bucket_sees_the_state_all_the_same(engine, plan, fake_cloud):
    name = engine.create(plan).name
    fake_cloud.store().delete_bucket_policy(Bucket=BUCKET)
    for key in [row["Key"] for row in fake_cloud.store().list_objects_v2(Bucket=BUCKET)["Contents"]]:
        fake_cloud.store().delete_object(Bucket=BUCKET, Key=key)
    fake_cloud.store().delete_bucket(Bucket=BUCKET)
    status = engine.status(name)
    assert (status.checkpoints, status.recovery_step) == ((), None)
