"""Training jobs on the fake live as scripted: phases, endings, names, quotas, lists, logs and results."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import inf

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.fake.clock import Clock
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.faults import INTERNAL_ERROR, LOST_ANSWER, LOST_REQUEST, THROTTLED, TOO_MANY_REQUESTS
from cloudcpt.fake.script import JobScript, Limits, ScriptedFailure, ScriptedLine
from cloudcpt.fake.timeline import FINAL, phases_of

IMAGE = f"{ACCOUNT_ID}.dkr.ecr.us-east-1.amazonaws.com/cloudcpt:1"
BUCKET = "bucket"
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 10_000, "MaxWaitTimeInSeconds": 20_000},
}


def request(name: str = "job-1", **changes) -> dict:
    made = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/cloudcpt",
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": "NONE"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    return made | changes


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    return fake_cloud


@pytest.fixture
def sagemaker(cloud: FakeCloud):
    return cloud.client("sagemaker")


def describe(sagemaker, name: str = "job-1") -> dict:
    return sagemaker.describe_training_job(TrainingJobName=name)


def statuses(sagemaker, name: str = "job-1") -> list[str]:
    return [row["Status"] for row in describe(sagemaker, name)["SecondaryStatusTransitions"]]


def test_a_job_goes_through_its_phases_as_the_clock_goes_on(cloud, sagemaker):
    cloud.sagemaker.service.play = JobScript(
        starting_s=10, pending_s=20, downloading_s=30, training_s=40, uploading_s=50
    )
    sagemaker.create_training_job(**request())
    seen = []
    for _ in range(16):
        job = describe(sagemaker)
        seen.append((job["TrainingJobStatus"], job["SecondaryStatus"]))
        cloud.clock.advance(10)
    running = ["Starting"] + ["Pending"] * 2 + ["Downloading"] * 3 + ["Training"] * 4 + ["Uploading"] * 5
    assert seen == [("InProgress", one) for one in running] + [("Completed", "Completed")]
    job = describe(sagemaker)
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (120, 120)
    assert (job["TrainingStartTime"] - job["CreationTime"]).total_seconds() == pytest.approx(30)
    assert (job["TrainingEndTime"] - job["TrainingStartTime"]).total_seconds() == pytest.approx(120)
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/out/job-1/output/model/"
    assert all("EndTime" in row for row in job["SecondaryStatusTransitions"])


def test_describe_gives_back_what_was_asked_for(sagemaker):
    made = request(HyperParameters={"a": "1"}, Environment={"E": "2"}, RetryStrategy={"MaximumRetryAttempts": 2})
    sagemaker.create_training_job(**made, Tags=[{"Key": "k", "Value": "v"}])
    job = describe(sagemaker)
    same = ("HyperParameters", "Environment", "RetryStrategy", "ResourceConfig", "AlgorithmSpecification", "RoleArn")
    assert {name: job[name] for name in same} == {name: made[name] for name in same}
    assert "Tags" not in job
    assert job["EnableNetworkIsolation"] is False
    assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
    sagemaker.add_tags(ResourceArn=job["TrainingJobArn"], Tags=[{"Key": "l", "Value": "w"}])
    assert len(sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]) == 2


def test_spot_instances_come_and_go(cloud, sagemaker):
    cloud.sagemaker.service.play = JobScript(
        starting_s=10, downloading_s=10, training_s=100, interruptions=(50, 60), interrupted_s=500, billable_share=0.3
    )
    sagemaker.create_training_job(**request(**SPOT))
    cloud.clock.advance(5000)
    loop = ["Starting", "Downloading", "Training", "Interrupted"]
    assert statuses(sagemaker) == [*loop, *loop, "Starting", "Downloading", "Training", "Uploading", "Completed"]
    job = describe(sagemaker)
    assert (job["TrainingTimeInSeconds"], job["BillableTimeInSeconds"]) == (270, 81)


def test_spot_instances_that_stay_away_end_the_wait(cloud, sagemaker):
    cloud.sagemaker.service.play = JobScript(interruptions=(50,), interrupted_s=50_000)
    sagemaker.create_training_job(**request(**SPOT))
    cloud.clock.advance(20_001)
    job = describe(sagemaker)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


@pytest.mark.parametrize(("needs_s", "takes_s"), [(5, 5), (10_000, 120)])
def test_a_stop_gives_the_container_120_seconds_and_keeps_its_results(cloud, sagemaker, needs_s, takes_s):
    cloud.sagemaker.service.play = JobScript(
        starting_s=0, downloading_s=0, stopping_s=needs_s, uploading_s=30, output={"metrics.jsonl": b"{}"}
    )
    sagemaker.create_training_job(**request())
    cloud.clock.advance(100)
    sagemaker.stop_training_job(TrainingJobName="job-1")
    assert describe(sagemaker)["TrainingJobStatus"] == "Stopping"
    cloud.clock.advance(takes_s + 29)
    assert describe(sagemaker)["TrainingJobStatus"] == "Stopping"
    cloud.clock.advance(2)
    assert describe(sagemaker)["TrainingJobStatus"] == "Stopped"
    assert statuses(sagemaker)[-4:] == ["Training", "Stopping", "Uploading", "Stopped"]
    assert cloud.store().get_object(Bucket=BUCKET, Key="out/job-1/output/data/metrics.jsonl")["Body"].read() == b"{}"


def test_a_job_that_has_not_begun_stops_at_once_and_leaves_nothing(cloud, sagemaker):
    cloud.sagemaker.service.play = JobScript(output={"metrics.jsonl": b"{}"})
    sagemaker.create_training_job(**request())
    sagemaker.stop_training_job(TrainingJobName="job-1")
    cloud.clock.advance(1)
    assert statuses(sagemaker) == ["Stopping", "Stopped"]
    assert "Contents" not in cloud.store().list_objects_v2(Bucket=BUCKET)


def test_a_job_that_has_ended_cannot_be_stopped(cloud, sagemaker):
    sagemaker.create_training_job(**request())
    cloud.clock.advance(10_000)
    with pytest.raises(ClientError, match=r"ValidationException.*the training job is in status Completed\."):
        sagemaker.stop_training_job(TrainingJobName="job-1")


def test_the_run_time_limit_stops_a_job_and_keeps_its_results(cloud, sagemaker):
    cloud.sagemaker.service.play = JobScript(training_s=10_000, model={"a": b"1"})
    sagemaker.create_training_job(**request())
    cloud.clock.advance(10_000)
    job = describe(sagemaker)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    stopping = next(row for row in job["SecondaryStatusTransitions"] if row["Status"] == "Stopping")
    assert (stopping["StartTime"] - job["TrainingStartTime"]).total_seconds() == pytest.approx(3600)
    assert cloud.store().get_object(Bucket=BUCKET, Key="out/job-1/output/model/a")["Body"].read() == b"1"


@pytest.mark.parametrize(
    ("failure", "reason", "before"),
    [
        (
            ScriptedFailure(kind="AlgorithmError", text="CPT604 [user] x"),
            "AlgorithmError: CPT604 [user] x, exit code: 1",
            "Training",
        ),
        (ScriptedFailure(kind="AlgorithmError", text="y" * 5000), "AlgorithmError: " + "y" * 1008, "Training"),
        (ScriptedFailure(kind="ClientError", text="no image"), "ClientError: no image", "Downloading"),
        (ScriptedFailure(kind="CapacityError", text="none"), "CapacityError: none", "Starting"),
    ],
)
def test_a_failure_has_a_reason_of_its_kind_within_1024_characters(cloud, sagemaker, failure, reason, before):
    cloud.sagemaker.service.play = JobScript(failure=failure, model={"a": b"1"})
    sagemaker.create_training_job(**request())
    cloud.clock.advance(10_000)
    job = describe(sagemaker)
    assert (job["TrainingJobStatus"], job["FailureReason"]) == ("Failed", reason)
    assert statuses(sagemaker)[-2:] == [before, "Failed"]
    assert "Contents" not in cloud.store().list_objects_v2(Bucket=BUCKET)


@pytest.mark.parametrize(("errors", "ending"), [(2, "Completed"), (3, "Failed")])
def test_internal_errors_are_tried_again_as_often_as_the_request_says(cloud, sagemaker, errors, ending):
    cloud.sagemaker.service.play = JobScript(internal_errors=errors)
    sagemaker.create_training_job(**request(RetryStrategy={"MaximumRetryAttempts": 2}))
    cloud.clock.advance(100_000)
    assert statuses(sagemaker).count("Restarting") == 2
    assert statuses(sagemaker)[-1] == ending


def test_the_first_preferred_instance_type_with_capacity_is_selected(cloud, sagemaker):
    for instance_type in ("ml.p5.48xlarge", "ml.p4d.24xlarge"):
        cloud.quotas.set(instance_type, 8)
    preferences = [
        {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 1},
        {"InstanceType": "ml.p4d.24xlarge", "InstanceCount": 2},
    ]
    resources = {"ResourceConfig": {"InstancePreferences": preferences}}
    service = cloud.sagemaker.service
    service.cast["one"] = JobScript(unavailable=frozenset({"ml.p5.48xlarge"}))
    service.cast["none"] = JobScript(unavailable=frozenset({"ml.p5.48xlarge", "ml.p4d.24xlarge"}))
    sagemaker.create_training_job(**request("one", **resources))
    sagemaker.create_training_job(**request("none", **resources))
    cloud.clock.advance(10_000)
    config = describe(sagemaker, "one")["ResourceConfig"]
    assert (config["SelectedInstanceType"], config["SelectedInstanceCount"]) == ("ml.p4d.24xlarge", 2)
    assert describe(sagemaker, "none")["FailureReason"].startswith("CapacityError: ")


def test_waiting_for_capacity_has_a_limit(cloud, sagemaker):
    cloud.sagemaker.service.play = JobScript(pending_s=5000)
    condition = {"MaxRuntimeInSeconds": 3600, "MaxPendingTimeInSeconds": 1800}
    sagemaker.create_training_job(**request(StoppingCondition=condition))
    cloud.clock.advance(1900)
    assert statuses(sagemaker) == ["Starting", "Pending", "Stopping", "Stopped"]


def test_a_name_is_taken_even_by_a_job_that_has_ended(cloud, sagemaker):
    sagemaker.create_training_job(**request())
    for seconds in (0, 10_000):
        cloud.clock.advance(seconds)
        with pytest.raises(ClientError, match=r"ResourceInUse.*must be unique"):
            sagemaker.create_training_job(**request())
    sagemaker.delete_training_job(TrainingJobName="job-1")
    sagemaker.create_training_job(**request())


def test_of_rival_clients_exactly_one_creates_the_job(sagemaker):
    def create(_: int) -> str:
        try:
            sagemaker.create_training_job(**request())
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "ok"

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == ["ResourceInUse"] * 7 + ["ok"]


def test_a_job_under_way_cannot_be_deleted(sagemaker):
    sagemaker.create_training_job(**request())
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.delete_training_job(TrainingJobName="job-1")


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job", "delete_training_job"])
def test_an_unknown_job_is_a_validation_exception(sagemaker, operation):
    with pytest.raises(ClientError, match=r"ValidationException.*Requested resource not found\."):
        getattr(sagemaker, operation)(TrainingJobName="nobody")


def test_large_gpu_types_have_no_quota_until_it_is_granted(cloud, sagemaker):
    p5 = {"ResourceConfig": {"InstanceType": "ml.p5.48xlarge", "InstanceCount": 2}}
    text = "'ml.p5.48xlarge for training job usage' is 0 Instances, with current utilization of 0 .* delta of 2"
    with pytest.raises(ClientError, match=f"ResourceLimitExceeded.*{text}"):
        sagemaker.create_training_job(**request(**p5))
    cloud.quotas.set("ml.p5.48xlarge", 3)
    sagemaker.create_training_job(**request(**p5))
    with pytest.raises(ClientError, match="is 3 Instances, with current utilization of 2"):
        sagemaker.create_training_job(**request("job-2", **p5))
    with pytest.raises(ClientError, match="spot training job usage"):
        sagemaker.create_training_job(**request("job-2", **SPOT, **p5))
    cloud.clock.advance(10_000)
    sagemaker.create_training_job(**request("job-2", **p5))


def test_a_lost_answer_leaves_a_job_and_the_retry_finds_the_name_taken(cloud, sagemaker):
    cloud.sagemaker.faults.add(LOST_ANSWER, operation="CreateTrainingJob")
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.create_training_job(**request())
    assert [call.status for call in cloud.sagemaker.calls.all("CreateTrainingJob")] == [None, 400]
    assert describe(sagemaker)["TrainingJobName"] == "job-1"


@pytest.mark.parametrize("fault", [LOST_REQUEST, INTERNAL_ERROR, THROTTLED, TOO_MANY_REQUESTS])
def test_what_did_not_reach_the_service_can_be_sent_again(cloud, sagemaker, fault):
    cloud.sagemaker.faults.add(fault, operation="CreateTrainingJob")
    sagemaker.create_training_job(**request())
    assert len(cloud.sagemaker.calls.all("CreateTrainingJob")) == 2


def test_a_denied_action_is_named(cloud, sagemaker):
    cloud.denied.add("sagemaker:CreateTrainingJob")
    with pytest.raises(ClientError, match=r"AccessDeniedException.*sagemaker:CreateTrainingJob"):
        sagemaker.create_training_job(**request())


def test_lists_are_filtered_sorted_and_paged(cloud, sagemaker):
    for number in range(5):
        sagemaker.create_training_job(**request(f"job-{number}"))
        cloud.clock.advance(200)
    sagemaker.stop_training_job(TrainingJobName="job-4")
    cloud.clock.advance(10)
    first = sagemaker.list_training_jobs(MaxResults=3)
    rest = sagemaker.list_training_jobs(MaxResults=3, NextToken=first["NextToken"])
    names = [row["TrainingJobName"] for row in first["TrainingJobSummaries"] + rest["TrainingJobSummaries"]]
    assert names == ["job-4", "job-3", "job-2", "job-1", "job-0"]
    assert "NextToken" not in rest
    page = sagemaker.list_training_jobs(MaxResults=1, StatusEquals="InProgress")
    assert (page["TrainingJobSummaries"], "NextToken" in page) == ([], True)
    found = sagemaker.list_training_jobs(NameContains="B-2", SortBy="Name", SortOrder="Ascending")
    assert [row["TrainingJobName"] for row in found["TrainingJobSummaries"]] == ["job-2"]


def test_lists_are_throttled_like_the_real_ones_when_told(cloud):
    sagemaker = boto3.client("sagemaker", config=Config(retries={"total_max_attempts": 1}))
    cloud.sagemaker.service.list_rate.limit(2.0)
    sagemaker.list_training_jobs()
    sagemaker.list_training_jobs()
    with pytest.raises(ClientError, match="ThrottlingException"):
        sagemaker.list_training_jobs()
    cloud.clock.advance(0.5)
    sagemaker.list_training_jobs()


def events(cloud: FakeCloud, name: str) -> list[str]:
    logs = cloud.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
    found = []
    for stream in streams:
        token: dict[str, str] = {}
        while True:
            page = logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True, **token
            )
            found += [event["message"] for event in page["events"]]
            if page["nextForwardToken"] == token.get("nextToken"):
                break
            token = {"nextToken": page["nextForwardToken"]}
    return found


def test_log_lines_appear_late_host_by_host_and_page_by_page(cloud, sagemaker):
    lines = tuple(ScriptedLine(after_s=n, text=f"line {n}", host=1 + n % 2) for n in range(7))
    cloud.sagemaker.service.play = JobScript(starting_s=10, downloading_s=10, log=lines, log_delay_s=100)
    sagemaker.create_training_job(**request())
    cloud.clock.advance(25)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        events(cloud, "job-1")
    cloud.clock.advance(97)
    assert events(cloud, "job-1") == ["line 0", "line 2", "line 1"]
    cloud.clock.advance(1000)
    cloud.logs.service.page_size, cloud.logs.service.empty_every = 1, 3
    assert events(cloud, "job-1") == ["line 0", "line 2", "line 4", "line 6", "line 1", "line 3", "line 5"]
    streams = cloud.store("logs").describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs")["logStreams"]
    assert all(stream["logStreamName"].startswith(("job-1/algo-1-1", "job-1/algo-2-1")) for stream in streams)


def test_a_clock_can_run_by_itself():
    clock = Clock(speed=1e9, start=0.0)
    assert clock.now() > 0.0
    clock.run(0.0)
    assert clock.now() == clock.now()
    clock.reset()
    assert clock.now() < 1e9


SECONDS = st.floats(min_value=0, max_value=10_000)


@given(
    script=st.builds(
        JobScript,
        starting_s=SECONDS,
        pending_s=SECONDS,
        downloading_s=SECONDS,
        training_s=SECONDS,
        uploading_s=SECONDS,
        stopping_s=SECONDS,
        interruptions=st.lists(SECONDS, max_size=3).map(tuple),
        interrupted_s=SECONDS,
        internal_errors=st.integers(0, 3),
        failure=st.none()
        | st.sampled_from(["AlgorithmError", "ClientError", "CapacityError"]).map(
            lambda kind: ScriptedFailure(kind=kind, text="x")
        ),
    ),
    limits=st.builds(
        Limits,
        runtime_s=SECONDS,
        wait_s=st.none() | SECONDS,
        pending_s=st.none() | SECONDS,
        retries=st.integers(0, 3),
    ),
    stop_at=st.just(inf) | SECONDS,
)
def test_every_life_is_without_gaps_and_ends_once(script, limits, stop_at):
    phases = phases_of(script, limits, created_at=0.0, stop_at=stop_at)
    assert phases[0].start == 0.0
    assert all(before.end == after.start for before, after in pairwise(phases))
    assert [phase.secondary in FINAL for phase in phases] == [False] * (len(phases) - 1) + [True]
    running = sum(p.end - p.start for p in phases if p.secondary in ("Downloading", "Training"))
    assert running <= limits.runtime_s + 1e-6
    begun = [phase for phase in phases if phase.secondary == "Stopping"]
    assert sum(phase.end - phase.start for phase in begun) <= 120.0 + 1e-6
    if stop_at != inf and not begun:
        assert phases[-1].start <= stop_at or phases[-2].secondary == "Uploading"
