"""The fake really runs a job: channels down, a process in /opt/ml, its log, its results, its ending."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.container import Trainer

BUCKET = "bucket"
PATIENCE_S = 60.0

TRAINER = """
import json, os, pathlib, signal, sys, time
root = pathlib.Path(sys.argv[sys.argv.index("--root") + 1])
config = {path.stem: json.loads(path.read_text()) for path in (root / "input/config").iterdir()}
wish = config["hyperparameters"]
data = root / "input/data"
files = {str(path.relative_to(data)): path.read_text() for path in data.rglob("*") if path.is_file()}
def end(*_):
    (root / "output/data/stopped").write_text("yes")
    sys.exit(7)
signal.signal(signal.SIGTERM, signal.SIG_IGN if wish.get("deaf") else end)
for number in range(int(wish.get("lines", 3))):
    print("line", number, config["resourceconfig"]["current_host"], flush=True)
print("on stderr", file=sys.stderr, flush=True)
kept = root / "checkpoints"
print("found", sorted(str(one.relative_to(kept)) for one in kept.rglob("*") if one.is_file()), flush=True)
if wish.get("keep"):
    (kept / "sub").mkdir(exist_ok=True)
    (kept / "old").write_text("old")
    if wish.get("wait"):
        time.sleep(60)
    time.sleep(0.3)  # long enough to be copied
    (kept / "old").unlink()
    (kept / "sub/new").write_text("new")
if wish.get("wait"):
    time.sleep(60)
(root / "model/sub").mkdir()
(root / "model/sub/weights").write_bytes(b"w" * 10)
if wish.get("fail"):
    (root / "output/failure").write_text(wish["fail"] + chr(10) + "t" * 2000)
    sys.exit(3)
(root / "output/tensorboard").mkdir()
(root / "output/tensorboard/events").write_text("tb")
(root / "output/data/seen.json").write_text(json.dumps({"files": files, "environment": dict(os.environ), **config}))
"""


def request(name: str = "job-1", *, compression: str = "NONE", hosts: int = 1, **changes) -> dict:
    made = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": f"{ACCOUNT_ID}.dkr.ecr.us-east-1.amazonaws.com/cloudcpt:1",
            "TrainingInputMode": "File",
        },
        "RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/cloudcpt",
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out/", "CompressionType": compression},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": hosts, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    return made | changes


def channel(name: str, uri: str, kind: str = "S3Prefix", **more) -> dict:
    source = {"S3DataType": kind, "S3Uri": uri, **more}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


@pytest.fixture
def cloud(fake_cloud: FakeCloud, tmp_path: Path) -> FakeCloud:
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER, "utf-8")
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    fake_cloud.sagemaker.service.play = Trainer(command=(sys.executable, str(script)), grace_s=0.3)
    return fake_cloud


def put(cloud: FakeCloud, **objects: str) -> None:
    for key, text in objects.items():
        cloud.store().put_object(Bucket=BUCKET, Key=key.replace("__", "/"), Body=text.encode())


def run(cloud: FakeCloud, made: dict) -> dict:
    start(cloud, made)
    return wait(cloud, made["TrainingJobName"])


def start(cloud: FakeCloud, made: dict) -> None:
    cloud.client("sagemaker").create_training_job(**made)


def wait(cloud: FakeCloud, name: str) -> dict:
    assert cloud.sagemaker.service.execution(name).join(PATIENCE_S)
    return cloud.client("sagemaker").describe_training_job(TrainingJobName=name)


def wait_for_line(cloud: FakeCloud, name: str, count: int = 1) -> None:
    """Wait until the container has started and printed something."""
    logs = cloud.store("logs")
    for _ in range(int(PATIENCE_S * 20)):
        groups = logs.describe_log_groups()["logGroups"]
        streams = logs.describe_log_streams(logGroupName=groups[0]["logGroupName"])["logStreams"] if groups else []
        if len([one for one in streams if one["logStreamName"].startswith(f"{name}/")]) >= count:
            return
        cloud.sagemaker.service.execution(name).join(0.05)
    raise AssertionError("the container printed nothing")


def results(cloud: FakeCloud) -> dict[str, bytes]:
    rows = cloud.store().list_objects_v2(Bucket=BUCKET, Prefix="out/").get("Contents", [])
    return {row["Key"]: cloud.store().get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read() for row in rows}


def lines(cloud: FakeCloud, name: str) -> list[str]:
    found = cloud.store("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/algo-1-"
    )
    return [event["message"] for event in found["events"]]


def test_a_job_runs_from_uploaded_objects_to_output_objects(cloud):
    put(cloud, in__train__a="A", in__train__sub__b="B", objects__h1__c="C", objects__h2__c="D")
    manifest = [{"prefix": f"s3://{BUCKET}/objects/"}, "h1/c", "h2/c"]
    put(cloud, plans__m=json.dumps(manifest))
    job = run(
        cloud,
        request(
            InputDataConfig=[
                channel("train", f"s3://{BUCKET}/in/train"),
                channel("exact", f"s3://{BUCKET}/in/train/a"),
                channel("model", f"s3://{BUCKET}/plans/m", "ManifestFile"),
            ],
            HyperParameters={"plan_hash": "x"},
            Environment={"MINE": "yes"},
            TensorBoardOutputConfig={"S3OutputPath": f"s3://{BUCKET}/out/board"},
        ),
    )
    phases = [row["Status"] for row in job["SecondaryStatusTransitions"]]
    assert phases == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    found = results(cloud)
    assert set(found) == {
        "out/job-1/output/model/sub/weights",
        "out/job-1/output/data/seen.json",
        "out/board/job-1/tensorboard-output/events",
    }
    assert found["out/job-1/output/model/sub/weights"] == b"w" * 10
    seen = json.loads(found["out/job-1/output/data/seen.json"])
    assert seen["files"] == {"train/a": "A", "train/sub/b": "B", "exact/a": "A", "model/h1/c": "C", "model/h2/c": "D"}
    assert seen["hyperparameters"] == {"plan_hash": "x"}
    assert seen["inputdataconfig"]["train"] == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    assert (seen["resourceconfig"]["current_host"], seen["resourceconfig"]["hosts"]) == ("algo-1", ["algo-1"])
    environment = seen["environment"]
    assert (environment["TRAINING_JOB_NAME"], environment["MINE"], environment["AWS_REGION"]) == (
        "job-1",
        "yes",
        "us-east-1",
    )
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"} & set(environment)
    assert lines(cloud, "job-1") == ["line 0 algo-1", "line 1 algo-1", "line 2 algo-1", "on stderr", "found []"]


def test_the_checkpoint_folder_has_a_copy_that_the_next_job_begins_with(cloud):
    config = {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/out/kept", "LocalPath": "/opt/ml/checkpoints"}}
    run(cloud, request("job-1", HyperParameters={"keep": "1"}, **config))
    assert {key: body for key, body in results(cloud).items() if "kept" in key} == {"out/kept/sub/new": b"new"}
    run(cloud, request("job-2", **config))
    assert "found ['sub/new']" in lines(cloud, "job-2")
    run(cloud, request("job-3"))
    assert "found []" in lines(cloud, "job-3")


def test_an_interrupted_job_begins_again_with_what_it_had_kept(cloud):
    config = {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/out/kept/"}}
    start(cloud, request(HyperParameters={"keep": "1", "wait": "1"}, **config))
    wait_for_line(cloud, "job-1")
    cloud.clock.advance(10)
    cloud.sagemaker.service.execution("job-1").interrupt()
    wait_for_line(cloud, "job-1", count=2)
    cloud.client("sagemaker").stop_training_job(TrainingJobName="job-1")
    wait(cloud, "job-1")
    assert "found ['old']" in lines(cloud, "job-1")


def test_a_log_of_thousands_of_lines_arrives_whole_and_in_order(cloud):
    run(cloud, request(HyperParameters={"lines": "3000"}))
    cloud.logs.service.page_size = 500
    logs, group = cloud.client("logs"), "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group)["logStreams"][0]["logStreamName"]
    found, token = [], {}
    while True:
        page = logs.get_log_events(logGroupName=group, logStreamName=stream, startFromHead=True, **token)
        found += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token.get("nextToken"):
            break
        token = {"nextToken": page["nextForwardToken"]}
    assert found[:-2] == [f"line {number} algo-1" for number in range(3000)]


def test_compressed_results_are_two_archives(cloud):
    run(cloud, request(compression="GZIP"))
    found = results(cloud)
    assert set(found) == {"out/job-1/output/model.tar.gz", "out/job-1/output/output.tar.gz"}
    with tarfile.open(fileobj=io.BytesIO(found["out/job-1/output/model.tar.gz"])) as tar:
        assert tar.extractfile("./sub/weights").read() == b"w" * 10
    with tarfile.open(fileobj=io.BytesIO(found["out/job-1/output/output.tar.gz"])) as tar:
        assert "data/seen.json" in tar.getnames()


def test_a_failed_job_tells_the_failure_file_and_uploads_no_model(cloud):
    job = run(cloud, request(HyperParameters={"fail": "CPT604 [user] loss is not finite"}))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: CPT604 [user] loss is not finite\nttt")
    assert len(job["FailureReason"]) == 1024
    assert not [key for key in results(cloud) if "/model/" in key]


def test_a_stop_is_a_sigterm_and_what_was_written_is_uploaded(cloud):
    start(cloud, request(HyperParameters={"wait": "1"}))
    wait_for_line(cloud, "job-1")
    cloud.client("sagemaker").stop_training_job(TrainingJobName="job-1")
    job = wait(cloud, "job-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert [row["Status"] for row in job["SecondaryStatusTransitions"]][-3:] == ["Stopping", "Uploading", "Stopped"]
    assert results(cloud)["out/job-1/output/data/stopped"] == b"yes"


def test_a_process_that_does_not_hear_is_killed_after_the_grace(cloud):
    start(cloud, request(HyperParameters={"wait": "1", "deaf": "1"}))
    wait_for_line(cloud, "job-1")
    cloud.client("sagemaker").stop_training_job(TrainingJobName="job-1")
    assert wait(cloud, "job-1")["TrainingJobStatus"] == "Stopped"
    assert "out/job-1/output/data/stopped" not in results(cloud)


def test_the_run_time_limit_is_measured_by_the_clock_of_the_fake(cloud):
    start(cloud, request(HyperParameters={"wait": "1"}))
    wait_for_line(cloud, "job-1")
    cloud.clock.advance(3601)
    job = wait(cloud, "job-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_an_interrupted_job_begins_again(cloud):
    start(cloud, request(HyperParameters={"wait": "1"}))
    wait_for_line(cloud, "job-1")
    cloud.clock.advance(10)  # so that the second attempt has a log stream of its own
    cloud.sagemaker.service.execution("job-1").interrupt()
    wait_for_line(cloud, "job-1", count=2)
    cloud.client("sagemaker").stop_training_job(TrainingJobName="job-1")
    phases = [row["Status"] for row in wait(cloud, "job-1")["SecondaryStatusTransitions"]]
    assert phases == [
        *("Starting", "Downloading", "Training", "Interrupted"),
        *("Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"),
    ]


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ([{"prefix": f"s3://{BUCKET}/objects/"}, "missing"], "Data download failed: s3://bucket/objects/missing"),
        ([{"prefix": f"s3://{BUCKET}/objects/"}], "must have an s3:// prefix and at least one file"),
        ([{"prefix": f"s3://{BUCKET}/"}, "../x"], "leaves its channel"),
        (["no prefix"], "could not be read"),
    ],
)
def test_a_channel_that_cannot_be_brought_fails_the_job(cloud, manifest, reason):
    put(cloud, plans__m=json.dumps(manifest))
    job = run(cloud, request(InputDataConfig=[channel("train", f"s3://{BUCKET}/plans/m", "ManifestFile")]))
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")
    assert reason in job["FailureReason"]


def test_every_host_runs_and_gets_its_share(cloud):
    put(cloud, in__a="A", in__b="B", in__c="C")
    shared = channel("train", f"s3://{BUCKET}/in/", S3DataDistributionType="ShardedByS3Key")
    job = run(cloud, request(hosts=2, InputDataConfig=[shared]))
    assert job["TrainingJobStatus"] == "Completed"
    streams = cloud.store("logs").describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs")["logStreams"]
    assert [one["logStreamName"].split("-")[2] for one in streams] == ["1", "2"]
    seen = json.loads(results(cloud)["out/job-1/output/data/seen.json"])
    assert seen["resourceconfig"]["hosts"] == ["127.0.0.1", "127.0.0.2"]
    assert seen["files"] in ({"train/a": "A", "train/c": "C"}, {"train/b": "B"})


def test_a_reset_ends_what_still_runs(cloud):
    start(cloud, request(HyperParameters={"wait": "1", "deaf": "1"}))
    wait_for_line(cloud, "job-1")
    execution = cloud.sagemaker.service.execution("job-1")
    cloud.reset()
    assert execution.join(0.0)
