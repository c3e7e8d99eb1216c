"""The engine of the cloud keeps the promises of the ports, over HTTP against an account that judges what it is sent."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.fake.backstage import split_uri
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.container import Trainer
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.jobs.fetch import fetch_model
from cloudcpt.jobs.follow import follow
from cloudcpt.jobs.ports import JobState
from cloudcpt.plan.keys import object_key
from cloudcpt.plan.plan import DataFile, Plan, read_plan
from cloudcpt.wire import model_faults
from moto_tests.cloud_jobs import (
    BUCKET,
    advance,
    model_of,
    open_engine,
    put_inputs,
    script,
    small_cloud_plan,
)
from tests.jobs.cloud_plans import cloud_launch, source
from tests.jobs.port_promises import *  # noqa: F403
from tests.jobs.port_promises import Place


@pytest.fixture
def make_plan(fake_cloud: FakeCloud, tmp_path: Path) -> Callable[[int], Plan]:
    def make(seed: int) -> Plan:
        plan = small_cloud_plan(tmp_path, seed=seed)
        put_inputs(fake_cloud, plan)
        return plan

    return make


@pytest.fixture
def place_where_a_job(fake_cloud: FakeCloud, tmp_path: Path) -> Callable[[str], Place]:
    fake_cloud.clock.run(1.0)  # jobs that are created one after the other are not of the same moment

    def make(way: str) -> Place:
        model = model_of(small_cloud_plan(tmp_path), tmp_path / "model-of-the-job")
        fake_cloud.sagemaker.service.play = script(way, model)
        engine = open_engine(fake_cloud, tmp_path / "state")
        return Place(engine, engine, engine, pause=advance(fake_cloud, 40.0))

    return make


def test_listing_and_naming_cost_no_call(place_where_a_job, make_plan, fake_cloud):
    place = place_where_a_job("completes")
    name = place.jobs.create(make_plan(42)).name
    place.end_of(name)
    fake_cloud.clock.advance(60)
    ended = place.jobs.status(name)
    before = len(fake_cloud.sagemaker.calls.operations()), len(fake_cloud.logs.calls.operations())
    assert place.jobs.names() == (name,)
    assert place.jobs.status(name) == ended
    assert (len(fake_cloud.sagemaker.calls.operations()), len(fake_cloud.logs.calls.operations())) == before
    assert "ListTrainingJobs" not in fake_cloud.sagemaker.calls.operations()


def real_plan(folder: Path, fake_cloud: FakeCloud) -> Plan:
    """A plan of a few steps that the bundled loop can execute, its data in S3."""
    template = read_plan(Path(__file__).parents[1] / "tests" / "train" / "data_plan.json")
    content = "".join(json.dumps({"text": f"sand and stone and river {n}" * 3}) + "\n" for n in range(60)).encode()
    launch = cloud_launch(volume_gb=30)
    digest = blake3(content).hexdigest()
    uri = object_key(launch.input_uri, blake3=digest, name="train.jsonl")
    file = DataFile(name="train.jsonl", uri=uri, size_bytes=len(content), blake3=digest)
    domain = replace(source("train", file), name="domain", documents=60, tokens=1, rows=1, exact=False)
    plan = replace(
        template,
        target="sagemaker",
        log_every_steps=1,
        sources=(domain,),
        model=replace(template.model, stand_in=True, files=()),
        world=replace(template.world, nodes=1, processes_per_node=1, device="cpu", instance_type="ml.m5.xlarge"),
        launch=launch,
    )
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    for place, body in {uri: content, **channel_documents(plan)}.items():
        bucket, key = split_uri(place)
        fake_cloud.store().put_object(Bucket=bucket, Key=key, Body=body)
    return plan


@pytest.mark.train
@pytest.mark.slow
def test_the_real_loop_is_followed_and_its_model_fetched(fake_cloud, tmp_path):
    fake_cloud.clock.run(1.0)
    fake_cloud.sagemaker.service.play = Trainer(environment={"OMP_NUM_THREADS": "1"})
    plan = real_plan(tmp_path, fake_cloud)
    engine = open_engine(fake_cloud, tmp_path / "state")
    name = engine.create(plan).name
    lines, status = [], None
    for update in follow(engine, engine, name, pause=lambda _: fake_cloud.sagemaker.service.execution(name).join(0.5)):
        lines += update.lines
        status = update.status
    assert status.state is JobState.COMPLETED, (status.failure, lines[-20:], sys.executable)
    assert status.progress.step == plan.geometry.steps
    assert status.model == f"s3://{BUCKET}/cpt/output/{name}/output/model/"
    assert sum(line.startswith(f"{plan.geometry.steps}|") for line in lines) == 1
    assert engine.faults(name) == []
    fetch_model(engine, status, tmp_path / "model")
    assert model_faults(tmp_path / "model") == []
