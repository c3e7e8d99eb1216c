"""A plan is one training job, whatever is killed, lost, refused or repeated, and from however many machines."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.aws.engine import CloudEngine
from cloudcpt.errors import PlanError, ServiceRefused, SetupError, TransientError
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import (
    CUT_ANSWER,
    EXPIRED_TOKEN_JSON,
    FAILED_ANSWER,
    INTERNAL_ERROR,
    LOST_ANSWER,
    LOST_REQUEST,
    THROTTLED,
    Fault,
    FaultKind,
)
from cloudcpt.fake.script import JobScript
from cloudcpt.jobs.ports import JobState, Submission
from cloudcpt.jobs.request import training_job_request
from cloudcpt.jobs.submit import submit
from cloudcpt.plan.plan import Plan
from moto_tests.cloud_jobs import FAILURE, open_engine, put_inputs, small_cloud_plan
from tests.jobs.cloud_plans import cloud_launch

QUOTA_USED_UP = Fault(
    kind=FaultKind.REFUSE,
    status=400,
    code="ResourceLimitExceeded",
    message="The account-level service limit 'ml.m5.xlarge for training job usage' is 1 Instances, with current "
    "utilization of 1 Instances and a request delta of 1 Instances. Please use AWS Service Quotas.",
)

NOT_SHOWN = Fault(
    kind=FaultKind.REFUSE, status=400, code="ValidationException", message="Requested resource not found."
)


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.clock.run(1.0)
    fake_cloud.sagemaker.service.play = JobScript(training_s=1e6)
    return fake_cloud


@pytest.fixture
def plan(cloud: FakeCloud, tmp_path: Path) -> Plan:
    made = small_cloud_plan(tmp_path)
    put_inputs(cloud, made)
    return made


@pytest.fixture
def engine(cloud: FakeCloud, tmp_path: Path) -> CloudEngine:
    return open_engine(cloud, tmp_path / "state")


def created(cloud: FakeCloud) -> list[str]:
    return list(cloud.sagemaker.service.jobs)


def fail_all(cloud: FakeCloud) -> None:
    cloud.sagemaker.service.play = JobScript(training_s=1.0, failure=FAILURE)


def test_the_record_and_the_plan_are_on_disk_before_the_service_is_asked(cloud, engine, plan, tmp_path):
    folder = tmp_path / "state" / "cloud" / plan.job_name
    seen = []

    class Watched(Exception):
        pass

    def killed(**_):
        seen.append(json.loads((folder / "record.json").read_text("utf-8")))
        seen.append((folder / "plan.json").read_text("utf-8"))
        raise Watched

    client = engine._client("sagemaker", "us-east-1")
    client.meta.events.register("before-call.sagemaker.CreateTrainingJob", killed)
    with pytest.raises(Watched):
        engine.create(plan)
    client.meta.events.unregister("before-call.sagemaker.CreateTrainingJob", killed)
    record, text = seen
    assert (record["name"], record["region"], record["plan_hash"]) == (plan.job_name, "us-east-1", plan.hash)
    assert record["is_confirmed"] is False
    assert text == plan.to_json()
    assert engine.names() == (plan.job_name,)
    status = engine.status(plan.job_name)
    assert (status.state, status.failure.code) == (JobState.FAILED, "CPT448")
    engine.stop(plan.job_name)
    assert engine.create(plan) == Submission(name=plan.job_name, adopted=False)
    assert engine.status(plan.job_name).state is JobState.PENDING
    assert created(cloud) == [plan.job_name]


def test_the_request_is_that_of_the_plan(cloud, engine, plan):
    engine.create(plan)
    (call,) = cloud.sagemaker.calls.all("CreateTrainingJob")
    assert json.loads(call.body) == training_job_request(plan)


def test_a_repeated_submission_asks_the_service_to_create_nothing(cloud, engine, plan):
    engine.create(plan)
    assert engine.create(plan).adopted
    assert len(cloud.sagemaker.calls.all("CreateTrainingJob")) == 1


@pytest.mark.parametrize("fault", [LOST_ANSWER, FAILED_ANSWER, CUT_ANSWER, LOST_REQUEST, THROTTLED, INTERNAL_ERROR])
def test_a_lost_request_or_answer_ends_with_one_job(cloud, engine, plan, fault):
    cloud.sagemaker.faults.add(fault, operation="CreateTrainingJob")
    assert engine.create(plan).name == plan.job_name
    assert created(cloud) == [plan.job_name]
    assert engine.record(plan.job_name).is_confirmed


def test_when_every_answer_is_lost_the_job_is_found_all_the_same(cloud, engine, plan):
    cloud.sagemaker.faults.add(LOST_ANSWER, operation="CreateTrainingJob", times=4)
    assert engine.create(plan) == Submission(name=plan.job_name, adopted=True)
    assert created(cloud) == [plan.job_name]


def test_when_nobody_knows_the_record_stays_and_the_next_try_finds_out(cloud, engine, plan):
    cloud.sagemaker.faults.add(LOST_ANSWER, operation="CreateTrainingJob", times=4)
    cloud.sagemaker.faults.add(INTERNAL_ERROR, operation="DescribeTrainingJob", times=4)
    with pytest.raises(TransientError):
        engine.create(plan)
    assert not engine.records.read(plan.job_name).is_confirmed
    assert engine.create(plan).adopted
    assert created(cloud) == [plan.job_name]


def test_a_token_that_expires_behind_a_lost_answer_does_not_lose_the_job(cloud, engine, plan):
    cloud.sagemaker.faults.add(LOST_ANSWER, EXPIRED_TOKEN_JSON, operation="CreateTrainingJob")
    cloud.sagemaker.faults.add(EXPIRED_TOKEN_JSON, operation="DescribeTrainingJob")
    with pytest.raises(SetupError, match="CPT401"):
        engine.create(plan)
    assert engine.names() == (plan.job_name,)
    assert engine.create(plan).adopted
    assert created(cloud) == [plan.job_name]


def test_another_machine_adopts_the_job_of_the_same_plan(cloud, engine, plan, tmp_path):
    engine.create(plan)
    elsewhere = open_engine(cloud, tmp_path / "elsewhere")
    assert elsewhere.create(plan) == Submission(name=plan.job_name, adopted=True)
    assert elsewhere.names() == (plan.job_name,)
    assert elsewhere.create(plan, replace=True).adopted
    assert created(cloud) == [plan.job_name]


def test_a_job_that_uses_the_whole_quota_is_found_behind_the_refusal(cloud, engine, plan, tmp_path):
    engine.create(plan)
    cloud.sagemaker.faults.add(QUOTA_USED_UP, operation="CreateTrainingJob")
    assert open_engine(cloud, tmp_path / "elsewhere").create(plan).adopted


def test_eight_machines_at_once_make_one_job(cloud, plan, tmp_path):
    engines = [open_engine(cloud, tmp_path / f"state-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        submissions = list(pool.map(lambda engine: engine.create(plan), engines))
    assert {submission.name for submission in submissions} == {plan.job_name}
    assert sum(not submission.adopted for submission in submissions) == 1
    assert created(cloud) == [plan.job_name]


@pytest.mark.parametrize("hyperparameters", [{"plan_hash": "f" * 64}, {}])
def test_a_name_that_belongs_to_something_else_is_refused_and_not_recorded(cloud, engine, plan, hyperparameters):
    other = {**training_job_request(plan), "HyperParameters": hyperparameters}
    cloud.client("sagemaker").create_training_job(**other)
    for replaces in (False, True):
        with pytest.raises(ServiceRefused, match="CPT457"):
            engine.create(plan, replace=replaces)
    assert engine.names() == ()
    assert created(cloud) == [plan.job_name]


def test_a_job_that_the_service_does_not_show_yet_is_nobody_elses(cloud, engine, plan, tmp_path):
    """The name is in use at once, the description of the job may follow: reads are consistent in the end only."""
    engine.create(plan)
    cloud.sagemaker.faults.add(NOT_SHOWN, operation="DescribeTrainingJob")
    other = open_engine(cloud, tmp_path / "other")
    with pytest.raises(TransientError, match="does not show the job yet"):
        other.create(plan)
    assert other.names() == (plan.job_name,)
    assert other.create(plan) == Submission(name=plan.job_name, adopted=True)
    assert created(cloud) == [plan.job_name]


def test_a_quota_of_0_is_named_with_its_value_and_where_to_ask(cloud, engine, tmp_path):
    plan = small_cloud_plan(tmp_path, launch=cloud_launch())
    plan = replace(plan, world=replace(plan.world, instance_type="ml.p5.48xlarge", nodes=2))
    put_inputs(cloud, plan)
    with pytest.raises(ServiceRefused) as refused:
        engine.create(plan)
    (found,) = refused.value.diagnostics
    assert found.code == "CPT419"
    assert found.message == (
        "the quota `ml.p5.48xlarge for training job usage` is 0 in us-east-1, 0 in use, and the job needs 2"
    )
    assert "https://us-east-1.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas" in found.hint
    assert engine.names() == (), "what was refused is no job"


def test_a_refused_request_leaves_no_record(cloud, engine, plan):
    wrong = replace(plan, launch=replace(plan.launch, role_arn="arn:aws:iam::999999999999:role/theirs"))
    with pytest.raises(SetupError, match="CPT403"):
        engine.create(wrong)
    with pytest.raises(PlanError):
        engine.create(replace(plan, launch=replace(plan.launch, image="")))
    assert engine.names() == ()


def test_starting_over_makes_one_more_job_and_leaves_the_first_alone(cloud, engine, plan):
    fail_all(cloud)
    first = engine.create(plan).name
    cloud.clock.advance(3600)
    failed = engine.status(first)
    cloud.sagemaker.service.play = JobScript(training_s=1e6)
    second = submit(engine, plan, replace=True)
    assert second == Submission(name=f"{first}-r2", adopted=False)
    assert engine.create(plan, replace=True) == Submission(name=second.name, adopted=True), "it runs"
    assert engine.create(plan) == Submission(name=second.name, adopted=True)
    assert engine.names() == (second.name,)
    assert engine.status(first) == failed
    assert created(cloud) == [first, second.name]


def test_another_machine_finds_the_attempt_that_runs(cloud, engine, plan, tmp_path):
    fail_all(cloud)
    engine.create(plan)
    cloud.clock.advance(3600)
    engine.create(plan, replace=True)
    cloud.clock.advance(3600)
    cloud.sagemaker.service.play = JobScript(training_s=1e6)
    third = engine.create(plan, replace=True).name
    assert third == f"{plan.job_name}-r3"
    elsewhere = open_engine(cloud, tmp_path / "elsewhere")
    assert elsewhere.create(plan) == Submission(name=third, adopted=True)
    assert elsewhere.names() == (third,)
    assert len(created(cloud)) == 3


def test_two_machines_that_start_over_at_once_make_one_more_job(cloud, engine, plan, tmp_path):
    fail_all(cloud)
    engine.create(plan)
    cloud.clock.advance(3600)
    cloud.sagemaker.service.play = JobScript(training_s=1e6)
    engines = [open_engine(cloud, tmp_path / f"state-{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        names = set(pool.map(lambda one: one.create(plan, replace=True).name, engines))
    assert names == {f"{plan.job_name}-r2"}
    assert created(cloud) == [plan.job_name, f"{plan.job_name}-r2"]


def test_a_job_that_aws_has_forgotten_is_not_made_again(cloud, engine, plan):
    cloud.sagemaker.service.play = JobScript(training_s=1.0)
    engine.create(plan)
    cloud.clock.advance(3600)
    assert engine.status(plan.job_name).state is JobState.COMPLETED
    cloud.client("sagemaker").delete_training_job(TrainingJobName=plan.job_name)
    assert engine.create(plan).adopted
    assert created(cloud) == []


@pytest.mark.parametrize("seed", range(20))
def test_random_trouble_on_the_wire_ends_with_one_job_or_a_coded_error(cloud, plan, tmp_path, seed):
    cloud.sagemaker.faults.seed(seed, rate=0.5, faults=(LOST_ANSWER, LOST_REQUEST, CUT_ANSWER, EXPIRED_TOKEN_JSON))
    engines = [open_engine(cloud, tmp_path / f"state-{number}", attempts=1) for number in range(2)]
    for number in range(6):
        with suppress(SetupError, TransientError):  # anything else, such as "the name is taken", would be wrong
            engines[number % 2].create(plan)
    cloud.sagemaker.faults.clear()
    assert engines[0].create(plan).name == plan.job_name
    assert created(cloud) == [plan.job_name]
