"""The commands about jobs in the cloud as a person types them, against an account over HTTP."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.aws.engine import CloudEngine
from cloudcpt.cli.cloud import AwsCloud
from cloudcpt.cli.places import Places
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import LOST_ANSWER, THROTTLED
from cloudcpt.fake.script import NO_CAPACITY, JobScript
from cloudcpt.local.engine import LocalEngine
from cloudcpt.wire import complete_model, model_faults
from moto_tests.cloud_jobs import LOG, open_engine, progress_line
from moto_tests.cloud_jobs import script as life
from tests.cli.clouds import Shown, nobody_asks, run

ACCOUNT, BUCKET = "123456789012", "team-bucket"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "sagemaker.amazonaws.com"}}],
}
RECIPE = """\
run:
  name: demo
  model_type: hf
  model_name_or_path: base
  replicas: 1
  data_s3_path: d.jsonl
  output_s3_path: s3://{bucket}/runs
training_config:
  max_length: 64
  global_batch_size: 32
  trainer:
    max_epochs: 1
  optim:
    lr: 1e-5
    sched:
      warmup_steps: 1
      min_lr: 1e-6
launch:
  target: sagemaker
  region: us-east-1
  instance_type: ml.m5.xlarge
  role: arn:aws:iam::{account}:role/cpt
  image: {image}
  max_runtime_hours: 2
"""

Type = Callable[..., Shown]


class TimedCloud(AwsCloud):
    """An account whose engine lives in the time of the fake, so that nothing waits."""

    def __init__(self, cloud: FakeCloud, region: str, state: Path) -> None:
        super().__init__(region, state)
        self._engine = open_engine(cloud, state, attempts=1)

    @property
    def jobs(self) -> CloudEngine:
        return self._engine


@pytest.fixture
def account(fake_cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    """An account with a bucket, a role and an image, and a folder with a recipe and its data."""
    monkeypatch.chdir(tmp_path)
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    fake_cloud.store("iam").create_role(RoleName="cpt", AssumeRolePolicyDocument=json.dumps(TRUST))
    ecr = fake_cloud.store("ecr")
    home = ecr.create_repository(repositoryName="cloudcpt")["repository"]["repositoryUri"]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})
    pushed = ecr.put_image(repositoryName="cloudcpt", imageManifest=manifest, imageTag="1")
    image = f"{home}@{pushed['image']['imageId']['imageDigest']}"
    (tmp_path / "r.yaml").write_text(RECIPE.format(bucket=BUCKET, account=ACCOUNT, image=image))
    (tmp_path / "d.jsonl").write_text("".join(f'{{"text": "document {n} says {n * 7919}"}}\n' for n in range(2000)))
    fake_cloud.sagemaker.service.play = life("goes on", {})
    return fake_cloud


@pytest.fixture
def places(account: FakeCloud, tmp_path: Path) -> Places:
    local = LocalEngine(tmp_path / "state")
    return Places(local, connect=lambda region, state: TimedCloud(account, region, state), cloud_poll_s=0.0)


@pytest.fixture
def type_(places: Places) -> Type:
    return lambda *arguments, at=places: run(at, *arguments)


def submit(type_: Type, *arguments: str) -> Shown:
    return type_("submit", "r.yaml", "--stand-in", "--yes", *arguments)


@pytest.fixture
def name(type_: Type) -> str:
    """Start the recipe's job and give its name."""
    started = json.loads(submit(type_, "--output", "json").out)
    assert (started["adopted"], started["target"]) == (False, "sagemaker")
    return str(started["name"])


def requests(account: FakeCloud) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in account.sagemaker.calls.all("CreateTrainingJob")]


# --- submit ----------------------------------------------------------------------------------------------------------


def test_what_a_dry_run_shows_is_what_is_sent(type_: Type, account: FakeCloud) -> None:
    before = len(account.s3.calls.operations())
    document = json.loads(submit(type_, "--dry-run").out)
    assert len(account.s3.calls.operations()) == before
    assert not account.sagemaker.calls.operations()
    submit(type_)
    assert requests(account) == [document["request"]]
    for uri in (*document["documents"], *(row["uri"] for row in document["uploads"])):
        account.store().head_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))


def test_submitting_twice_is_one_job_and_one_upload(type_: Type, account: FakeCloud, name: str) -> None:
    puts = len(account.s3.calls.all("PutObject"))
    again = submit(type_)
    assert (again.code, again.out) == (0, f"{name}: found, it is pending\n")
    assert len(requests(account)) == 1
    assert len(account.s3.calls.all("PutObject")) == puts


def test_a_client_that_has_forgotten_everything_finds_the_job(
    type_: Type, account: FakeCloud, name: str, tmp_path: Path
) -> None:
    other = Places(
        LocalEngine(tmp_path / "other"),
        connect=lambda region, state: TimedCloud(account, region, state),
        cloud_poll_s=0.0,
    )
    found = json.loads(type_("submit", "r.yaml", "--stand-in", "--yes", "--output", "json", at=other).out)
    assert (found["name"], found["adopted"]) == (name, True)
    third = Places(LocalEngine(tmp_path / "third"), connect=lambda region, state: TimedCloud(account, region, state))
    assert json.loads(type_("status", name, "--output", "json", at=third).out)["name"] == name


def test_a_lost_answer_is_one_job_all_the_same(type_: Type, account: FakeCloud) -> None:
    account.sagemaker.faults.add(LOST_ANSWER, operation="CreateTrainingJob")
    assert submit(type_).code == 0
    assert len(account.sagemaker.service.jobs) == 1


def test_a_quota_of_nothing_stops_before_a_byte_travels(type_: Type, account: FakeCloud) -> None:
    account.quotas.set("ml.m5.xlarge", 0)
    refused = submit(type_)
    assert (refused.code, refused.codes) == (4, ("CPT419",))
    assert not account.s3.calls.all("PutObject")
    assert requests(account) == []


def test_a_store_that_fails_says_how_to_go_on_and_then_goes_on(type_: Type, account: FakeCloud) -> None:
    account.denied.add("s3:PutObject")
    refused = submit(type_)
    assert refused.code == 3
    assert refused.codes[0] == "CPT403"
    assert requests(account) == []
    account.denied.clear()
    assert submit(type_).code == 0
    assert len(requests(account)) == 1


# --- watch -----------------------------------------------------------------------------------------------------------


def test_status_shows_the_services_timeline_the_cost_and_the_console(
    type_: Type, account: FakeCloud, name: str
) -> None:
    account.clock.advance(60 + 120 + 1800)
    shown = type_("status", name)
    assert shown.code == 0
    for words in ("Downloading", "Training", "so far, estimated", f"#/jobs/{name}", "step 3 of 3"):
        assert words in shown.out
    document = json.loads(type_("status", name, "--output", "json").out)
    assert [phase["detail"] for phase in document["phases"]] == ["Starting", "Downloading", "Training"]
    assert document["cost_usd"] > 0


def test_a_throttled_service_does_not_end_the_watch(type_: Type, account: FakeCloud) -> None:
    account.sagemaker.service.play = life("completes", {})
    name = json.loads(submit(type_, "--output", "json").out)["name"]
    account.clock.advance(3600)
    account.sagemaker.faults.add(THROTTLED, operation="DescribeTrainingJob", times=1)
    followed = type_("logs", "-f", name)
    assert followed.code == 0, followed.err
    assert "Rate exceeded; looking again in 2.0 s" in followed.err
    assert [line for line in followed.out.splitlines() if line] == [line.text for line in LOG]


def test_no_capacity_is_the_first_thing_that_status_says(type_: Type, account: FakeCloud) -> None:
    account.sagemaker.service.play = JobScript(failure=NO_CAPACITY, pending_s=60.0)
    name = json.loads(submit(type_, "--output", "json").out)["name"]
    account.clock.advance(3600)
    shown = type_("status", name)
    assert shown.code == 6
    assert shown.err.startswith("error[CPT4")
    assert "capacity" in shown.err.splitlines()[0]
    again = submit(type_)
    assert (again.code, again.codes[-1]) == (6, "CPT456")
    account.sagemaker.service.play = life("goes on", {})
    forced = submit(type_, "--force")
    assert (forced.code, forced.out) == (0, f"{name}-r2: started\n")
    (row,) = json.loads(type_("list", "--output", "json").out)["jobs"]
    assert row["name"] == f"{name}-r2"
    assert type_("status", name).code == 6


def test_stop_is_asked_once_and_a_stopped_job_is_no_success(type_: Type, account: FakeCloud, name: str) -> None:
    account.clock.advance(300)
    assert type_("stop", name).out == f"{name}: stopping\n"
    account.clock.advance(600)
    assert type_("status", name).code == 7
    assert type_("stop", name).out == f"{name}: already stopped\n"
    assert len(account.sagemaker.calls.all("StopTrainingJob")) == 1


def test_list_never_polls_the_service_for_its_list(type_: Type, account: FakeCloud, name: str) -> None:
    account.clock.advance(300)
    assert name in type_("list").out
    assert "ListTrainingJobs" not in account.sagemaker.calls.operations()


def test_list_survives_an_account_that_lets_nobody_in(type_: Type, account: FakeCloud, name: str) -> None:
    account.denied.add("sagemaker:DescribeTrainingJob")
    listed = type_("list")
    assert listed.code == 0
    assert listed.out.splitlines()[1].split()[:3] == [name, "sagemaker", "unknown"]
    assert "CPT403" in listed.err


# --- results ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def finished(type_: Type, account: FakeCloud, places: Places, tmp_path: Path) -> str:
    """A job that has completed, with a model, metrics and a log."""
    dry = json.loads(submit(type_, "--dry-run").out)
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    complete_model(folder, plan_hash=dry["plan_hash"], job_name=dry["job_name"], steps=3, tokens=96)
    steps = [
        {"kind": "step", "step": n, "loss": 5.0 / n, "lr": 1e-5, "tokens": 32 * n, "tokens_per_s": 9.0, "seconds": 1.0}
        for n in (1, 2, 3)
    ]
    account.sagemaker.service.play = JobScript(
        training_s=100.0,
        log=LOG,
        model={path.name: path.read_bytes() for path in folder.iterdir()},
        output={"metrics.jsonl": "".join(json.dumps(row) + "\n" for row in steps).encode()},
    )
    name = json.loads(submit(type_, "--output", "json").out)["name"]
    account.clock.advance(3600)
    assert type_("status", name).code == 0
    return str(name)


def test_the_model_comes_back_verified(type_: Type, finished: str, tmp_path: Path) -> None:
    assert type_("fetch", finished, "--verify-only").code == 0
    assert type_("fetch", finished, "model").code == 0
    assert model_faults(tmp_path / "model") == []


def test_a_byte_changed_in_s3_is_found(type_: Type, account: FakeCloud, finished: str, tmp_path: Path) -> None:
    key = f"runs/{finished}/output/model/model.safetensors"
    account.store().put_object(Bucket=BUCKET, Key=key, Body=bytes(256 * 40))
    refused = type_("fetch", finished, "model")
    assert (refused.code, refused.codes) == (1, ("CPT462",))
    assert not (tmp_path / "model").exists()


def test_metrics_and_report_are_made_of_what_the_job_saved(
    type_: Type, account: FakeCloud, finished: str, tmp_path: Path
) -> None:
    document = json.loads(type_("metrics", finished, "--output", "json").out)
    assert [row["loss"] for row in document["steps"]] == [5.0, 2.5, 5.0 / 3]
    page = tmp_path / "page.html"
    assert type_("report", finished, "--to", str(page)).code == 0
    assert "model.safetensors" in page.read_text("utf-8")
    keys = {call.path for call in account.s3.calls.all("GetObject")}
    assert not any(key.endswith("model.safetensors") for key in keys)


def test_metrics_of_a_running_job_come_from_its_log(type_: Type, account: FakeCloud, name: str) -> None:
    account.clock.advance(600)
    document = json.loads(type_("metrics", name, "--output", "json").out)
    assert [row["step"] for row in document["steps"]] == [1, 2, 3]
    assert progress_line(3) in type_("logs", name).out
    assert [row["perplexity"] for row in document["evaluations"]] == [33.1, 12.2]


def test_describe_has_the_request_as_it_was_sent_and_the_services_answer(
    type_: Type, account: FakeCloud, finished: str
) -> None:
    document = json.loads(type_("describe", finished, "--output", "json").out)
    assert document["request"] == requests(account)[-1]
    assert document["service"]["TrainingJobStatus"] == "Completed"
    assert "ResponseMetadata" not in document["service"]
    assert document["status"]["state"] == "completed"
    assert document["record"]["name"] == finished


def test_once_it_has_ended_a_job_is_shown_without_the_account(type_: Type, finished: str, tmp_path: Path) -> None:
    alone = Places(LocalEngine(tmp_path / "state"), connect=nobody_asks)
    assert type_("status", finished, at=alone).code == 0
    assert finished in type_("list", at=alone).out
    assert finished in type_("open", finished, "--print", at=alone).out


def test_delete_leaves_everything_in_the_account(type_: Type, account: FakeCloud, finished: str) -> None:
    assert type_("delete", finished, "--yes").code == 0
    assert json.loads(type_("list", "--output", "json").out)["jobs"] == []
    account.store().head_object(Bucket=BUCKET, Key=f"runs/{finished}/output/model/model.safetensors")
    assert type_("status", finished).code == 0  # found again by its full name


# --- clean -----------------------------------------------------------------------------------------------------------


def test_clean_leaves_what_has_just_begun_and_what_is_not_ours(type_: Type, account: FakeCloud) -> None:
    document = json.loads(submit(type_, "--dry-run").out)
    key = document["uploads"][0]["uri"].removeprefix(f"s3://{BUCKET}/")
    s3 = account.client("s3")
    bound = {"Bucket": BUCKET, "ExpectedBucketOwner": ACCOUNT}
    s3.create_multipart_upload(**bound, Key=key, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    assert "nothing to abort" in type_("clean", "r.yaml", "--yes").err
    foreign = s3.create_multipart_upload(**bound, Key="runs/other", ChecksumAlgorithm="CRC64NVME")["UploadId"]
    left = account.store().list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert len(left) == 2
    assert foreign in {one["UploadId"] for one in left}
