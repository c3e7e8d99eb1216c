"""What a job in the cloud says about itself: its course, its end, its numbers, its cost, whichever machine asks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.aws.engine import CloudEngine
from cloudcpt.errors import ExitCode, ServiceRefused, SetupError, TransientError, UsageProblem
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import INTERNAL_ERROR, THROTTLED
from cloudcpt.fake.script import INTERNAL_ERROR as BROKEN
from cloudcpt.fake.script import NO_CAPACITY, JobScript, ScriptedFailure
from cloudcpt.jobs.outcome import outcome_error
from cloudcpt.jobs.ports import JobState, JobStatus
from cloudcpt.jobs.request import training_job_request
from cloudcpt.plan.plan import Plan
from moto_tests.cloud_jobs import BUCKET, FAILURE, LOG, USD_PER_HOUR, open_engine, put_inputs, small_cloud_plan
from tests.jobs.cloud_plans import cloud_launch

SPOT = cloud_launch(volume_gb=30, spot=True, max_wait_s=20_000)


@pytest.fixture
def engine(fake_cloud: FakeCloud, tmp_path: Path) -> CloudEngine:
    return open_engine(fake_cloud, tmp_path / "state")


@pytest.fixture
def begin(fake_cloud: FakeCloud, engine: CloudEngine, tmp_path: Path):
    """Start a job that follows a script, and let some time pass."""

    def started(script: JobScript, after_s: float, **changes) -> Plan:
        fake_cloud.sagemaker.service.play = script
        plan = small_cloud_plan(tmp_path, **changes)
        put_inputs(fake_cloud, plan)
        engine.create(plan)
        fake_cloud.clock.advance(after_s)
        return plan

    return started


def course(status: JobStatus) -> list[tuple[str, str]]:
    return [(phase.state.value, phase.detail) for phase in status.phases]


def test_a_running_job_shows_its_course_its_numbers_and_its_cost(engine, begin):
    plan = begin(JobScript(training_s=1000.0, log=LOG), after_s=60 + 120 + 35)
    status = engine.status(plan.job_name)
    assert course(status) == [("pending", "Starting"), ("preparing", "Downloading"), ("training", "Training")]
    assert [after.at - before.at for before, after in zip(status.phases, status.phases[1:], strict=False)] == [60, 120]
    assert status.progress.step == 2
    assert [(found.set_name, found.step) for found in status.evaluations] == [("domain", 0)]
    assert status.cost_usd == pytest.approx(USD_PER_HOUR * (120 + 35) / 3600)
    assert (status.model, status.failure) == (None, None)
    assert status.files == f"s3://{BUCKET}/cpt/output/{plan.job_name}"
    assert status.link == (
        f"https://us-east-1.console.aws.amazon.com/sagemaker/home?region=us-east-1#/jobs/{plan.job_name}"
    )
    assert engine.console_link(plan.job_name) == status.link


def test_a_job_that_waits_costs_nothing_and_its_log_is_not_missed(engine, begin):
    plan = begin(JobScript(pending_s=5000.0), after_s=600)
    status = engine.status(plan.job_name)
    assert course(status) == [("pending", "Starting"), ("pending", "Pending")]
    assert (status.cost_usd, status.progress) == (0.0, None)


def test_a_completed_job_has_all_its_numbers_and_what_was_billed(engine, begin):
    plan = begin(JobScript(training_s=600.0, log=LOG, billable_share=0.5), after_s=3600, nodes=2)
    status = engine.status(plan.job_name)
    assert status.state is JobState.COMPLETED
    assert status.progress.step == 3
    assert [(found.step, found.loss) for found in status.evaluations] == [(0, 3.5), (3, 2.5)]
    assert status.cost_usd == pytest.approx(USD_PER_HOUR * 2 * 0.5 * (120 + 600 + 30) / 3600)
    assert status.model == f"s3://{BUCKET}/cpt/output/{plan.job_name}/output/model/"


def test_a_final_status_is_kept_once_the_log_has_had_time_to_arrive(engine, begin, fake_cloud):
    plan = begin(JobScript(training_s=100.0, uploading_s=0.0, log=LOG, log_delay_s=90.0), after_s=60 + 120 + 101)
    early = engine.status(plan.job_name)
    assert early.state is JobState.COMPLETED
    assert early.progress is None, "its lines are still under way"
    fake_cloud.clock.advance(100)
    assert engine.status(plan.job_name).progress.step == 3
    calls = len(fake_cloud.sagemaker.calls.operations())
    assert engine.status(plan.job_name).progress.step == 3
    assert len(fake_cloud.sagemaker.calls.operations()) == calls


def test_an_interrupted_spot_job_begins_anew_and_its_wait_is_not_billed(engine, begin):
    script = JobScript(interruptions=(200.0,), interrupted_s=300.0, training_s=600.0)
    plan = begin(script, after_s=60 + 120 + 200 + 300 + 60 + 120 + 50, launch=SPOT)
    status = engine.status(plan.job_name)
    attempt = [("pending", "Starting"), ("preparing", "Downloading"), ("training", "Training")]
    assert course(status) == [*attempt, ("pending", "Interrupted"), *attempt]
    assert status.cost_usd == pytest.approx(USD_PER_HOUR * (120 + 200 + 120 + 50) / 3600)


def test_the_time_limit_of_a_job_is_not_a_success(engine, begin):
    plan = begin(JobScript(training_s=1e6, log=LOG), after_s=10_000, max_runtime_s=3600)
    status = engine.status(plan.job_name)
    assert course(status)[-3:] == [
        ("stopping", "Stopping"),
        ("stopping", "Uploading"),
        ("stopped", "MaxRuntimeExceeded"),
    ]
    assert (status.failure.code, status.model) == ("CPT465", None)
    assert "3600 s" in status.failure.message
    assert outcome_error(status).exit_code is ExitCode.JOB_STOPPED


def test_a_stop_gives_the_trainer_its_time_and_may_be_repeated(engine, begin, fake_cloud):
    plan = begin(JobScript(training_s=1e6, stopping_s=90.0), after_s=600)
    engine.stop(plan.job_name)
    engine.stop(plan.job_name)
    fake_cloud.clock.advance(60)
    assert engine.status(plan.job_name).state is JobState.STOPPING
    fake_cloud.clock.advance(60)
    status = engine.status(plan.job_name)
    assert (status.state, status.failure.code) == (JobState.STOPPED, "CPT464")
    assert outcome_error(status).exit_code is ExitCode.JOB_STOPPED
    engine.stop(plan.job_name)
    fake_cloud.clock.advance(60)
    engine.status(plan.job_name)
    engine.stop(plan.job_name)
    assert len(fake_cloud.sagemaker.calls.all("StopTrainingJob")) == 3, "the last one was not needed"


def test_a_stop_that_is_not_allowed_says_so(engine, begin, fake_cloud):
    plan = begin(JobScript(training_s=1e6), after_s=600)
    fake_cloud.denied.add("sagemaker:StopTrainingJob")
    with pytest.raises(SetupError, match="CPT403"):
        engine.stop(plan.job_name)


@pytest.mark.parametrize(
    ("script", "launch", "code", "state"),
    [
        (JobScript(failure=FAILURE), {}, "CPT604", JobState.FAILED),
        (JobScript(failure=NO_CAPACITY), {}, "CPT482", JobState.FAILED),
        (JobScript(failure=BROKEN), {}, "CPT483", JobState.FAILED),
        (
            JobScript(
                failure=ScriptedFailure(kind="ClientError", text="SageMaker was unable to assume the role 'arn:...'")
            ),
            {},
            "CPT484",
            JobState.FAILED,
        ),
        (JobScript(pending_s=1e6), {"max_pending_s": 3600}, "CPT482", JobState.STOPPED),
        (
            JobScript(training_s=1e6),
            {"spot": True, "max_wait_s": 8000},
            "CPT465",
            JobState.STOPPED,
        ),
        (
            JobScript(interruptions=(100.0,), interrupted_s=1e6),
            {"spot": True, "max_wait_s": 8000},
            "CPT491",
            JobState.STOPPED,
        ),
    ],
    ids=["ours", "capacity", "service", "role", "pending too long", "runtime", "waited too long"],
)
def test_every_unhappy_end_has_a_code(engine, begin, script, launch, code, state):
    plan = begin(script, after_s=20_000, launch=cloud_launch(volume_gb=30, **launch))
    status = engine.status(plan.job_name)
    assert (status.state, status.failure.code) == (state, code)
    assert outcome_error(status).diagnostics[0].code == code


def test_our_own_failure_file_comes_back_whole(engine, begin):
    plan = begin(JobScript(failure=FAILURE), after_s=20_000)
    failure = engine.status(plan.job_name).failure
    assert (failure.message, failure.hint) == ("loss is not finite at step 12", "lower the learning rate")
    assert "Traceback" in failure.detail


def test_the_machine_that_the_service_chose_is_the_one_that_is_priced(engine, begin):
    wanted = cloud_launch(volume_gb=30, instance_preferences=("ml.m5.xlarge", "ml.g5.xlarge"))
    plan = begin(JobScript(unavailable=frozenset({"ml.m5.xlarge"})), after_s=600, launch=wanted)
    assert engine.status(plan.job_name).cost_usd is None, "a type that the table has no price for"


def test_whoever_may_not_read_logs_sees_the_state(engine, begin, fake_cloud):
    plan = begin(JobScript(training_s=100.0, log=LOG), after_s=3600)
    fake_cloud.denied.add("logs:DescribeLogStreams")
    status = engine.status(plan.job_name)
    assert (status.state, status.progress) == (JobState.COMPLETED, None)
    fake_cloud.denied.clear()
    assert engine.status(plan.job_name).progress.step == 3, "what could not be read was not kept"


def test_a_busy_service_is_asked_again_and_then_given_up_on(engine, begin, fake_cloud):
    plan = begin(JobScript(training_s=1e6), after_s=600)
    fake_cloud.sagemaker.faults.add(THROTTLED, INTERNAL_ERROR, operation="DescribeTrainingJob")
    assert engine.status(plan.job_name).state is JobState.TRAINING
    fake_cloud.sagemaker.faults.add(THROTTLED, operation="DescribeTrainingJob", times=4)
    with pytest.raises(TransientError, match="CPT407"):
        engine.status(plan.job_name)


def test_a_job_from_another_machine_is_taken_over_by_its_name(engine, begin, fake_cloud, tmp_path):
    plan = begin(JobScript(training_s=1e6, log=LOG), after_s=600, nodes=2)
    here = engine.status(plan.job_name)
    elsewhere = open_engine(fake_cloud, tmp_path / "elsewhere")
    assert elsewhere.names() == ()
    assert elsewhere.status(plan.job_name) == here
    assert elsewhere.names() == (plan.job_name,)
    assert elsewhere.records.plan_path(plan.job_name).read_text("utf-8") == plan.to_json()
    ours, theirs = engine.record(plan.job_name), elsewhere.record(plan.job_name)
    assert replace(theirs, created_at=ours.created_at) == ours


def test_a_job_that_is_not_ours_is_nobodys_business(engine, fake_cloud, tmp_path):
    plan = small_cloud_plan(tmp_path)
    put_inputs(fake_cloud, plan)
    request = {**training_job_request(plan), "TrainingJobName": "theirs", "HyperParameters": {"lr": "1"}}
    fake_cloud.client("sagemaker").create_training_job(**request)
    for ask in (engine.status, engine.stop, engine.read):
        with pytest.raises(UsageProblem, match="CPT442"):
            ask("theirs")
    assert engine.names() == ()
    assert "StopTrainingJob" not in fake_cloud.sagemaker.calls.operations()


def test_a_job_whose_plan_is_gone_cannot_be_taken_over(engine, begin, fake_cloud, tmp_path):
    plan = begin(JobScript(), after_s=0)
    s3 = fake_cloud.store()
    key = f"cpt/cloudcpt/plans/{plan.hash}/plan.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    with pytest.raises(UsageProblem, match="CPT442"):
        open_engine(fake_cloud, tmp_path / "elsewhere").status(plan.job_name)
    s3.delete_object(Bucket=BUCKET, Key=key)
    with pytest.raises(UsageProblem, match="CPT442"):
        open_engine(fake_cloud, tmp_path / "elsewhere").status(plan.job_name)


def test_a_job_that_aws_does_not_know_any_more_is_not_called_failed(engine, begin, fake_cloud):
    plan = begin(JobScript(training_s=1.0), after_s=3600)
    fake_cloud.client("sagemaker").delete_training_job(TrainingJobName=plan.job_name)
    with pytest.raises(UsageProblem, match="CPT443"):
        engine.status(plan.job_name)
    with pytest.raises(ServiceRefused):
        engine.stop(plan.job_name)


def test_a_damaged_record_is_named_and_stays_in_the_list(engine, begin, tmp_path):
    plan = begin(JobScript(), after_s=0)
    path = tmp_path / "state" / "cloud" / plan.job_name / "record.json"
    document = json.loads(path.read_text("utf-8"))
    for damage in ("{", json.dumps({**document, "schema_version": 99}), json.dumps({**document, "extra": 1}), "[]"):
        path.write_text(damage, "utf-8")
        with pytest.raises(SetupError, match="CPT459"):
            engine.status(plan.job_name)
        assert engine.names() == (plan.job_name,)
