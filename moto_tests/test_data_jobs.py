"""Data commands as managed jobs: `--on sagemaker` from the command line to objects in S3, on two hosts that are one."""

import contextlib
import json
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.places import Places
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.container import Trainer
from cloudcpt.local.engine import LocalEngine
from moto_tests.cloud_jobs import script as life
from moto_tests.test_cloud_commands import TimedCloud
from tests.cli.clouds import Shown, run

BUCKET = "team-bucket"
IMAGE = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:{'0' * 64}"
ROLE = "arn:aws:iam::123456789012:role/cpt"
JOB = (
    *("--engine", "ray", "--on", "sagemaker", "--instances", "2", "--instance-type", "ml.m5.4xlarge"),
    *("--role", ROLE, "--image", IMAGE, "--job-files", f"s3://{BUCKET}/jobs", "--region", "us-east-1"),
    *("--max-hours", "2", "--volume-gb", "100", "--tag", "team=data"),
)
DEDUP = ("data", "dedup", f"s3://{BUCKET}/raw/", "--to", f"s3://{BUCKET}/clean/")
PATIENCE_S = 120.0

Type = Callable[..., Shown]


@pytest.fixture
def account(fake_cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCloud:
    monkeypatch.chdir(tmp_path)
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    # Data commands have no recipe that says whose the inputs are.
    fake_cloud.s3.service.rules = replace(fake_cloud.s3.service.rules, require_owner=False)
    fake_cloud.sagemaker.service.play = life("goes on", {})
    return fake_cloud


@pytest.fixture
def corpus(account: FakeCloud, tmp_path: Path) -> Path:
    """Files that share documents, here and in S3."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(3):
        texts = [f"document {n} of file {number if n % 3 else 0}" for n in range(30)]
        (folder / f"{number}.jsonl").write_text("".join(f'{{"text": "{text}"}}\n' for text in texts))
    for path in folder.iterdir():
        account.store().put_object(Bucket=BUCKET, Key=f"raw/{path.name}", Body=path.read_bytes())
    return folder


@pytest.fixture
def type_(account: FakeCloud, tmp_path: Path) -> Type:
    places = places_in(account, tmp_path / "state")
    return lambda *arguments, at=places: run(at, *arguments)


def places_in(account: FakeCloud, state: Path) -> Places:
    connect = lambda region, state: TimedCloud(account, region, state)  # noqa: E731
    return Places(LocalEngine(state), connect=connect, cloud_poll_s=0.0)


def objects(account: FakeCloud, prefix: str) -> dict[str, bytes]:
    rows = account.store().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {
        row["Key"].removeprefix(prefix): account.store().get_object(Bucket=BUCKET, Key=row["Key"])["Body"].read()
        for row in rows
    }


def requests(account: FakeCloud) -> list[dict[str, Any]]:
    return [json.loads(call.body) for call in account.sagemaker.calls.all("CreateTrainingJob")]


def play_for_real(account: FakeCloud) -> None:
    """Let jobs run the cluster, each at a port of its own, with the account's environment."""
    with contextlib.closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "cloudcpt.corpus.cluster", "--port", str(port))
    account.sagemaker.service.play = Trainer(command=command, environment=account.environment, grace_s=30)


# --- the request -----------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_request_and_sends_nothing(type_: Type, account: FakeCloud) -> None:
    shown = type_(*DEDUP, *JOB, "--dry-run")
    document = json.loads(shown.out)
    name, digest = document["job_name"], document["hash"]
    assert name == f"data-dedup-{digest[:10]}"
    version = document["request"]["Tags"][2]["Value"]
    assert document["request"] == {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python", "-m", "cloudcpt.corpus.cluster"],
        },
        "HyperParameters": {"plan_hash": digest},
        "InputDataConfig": [
            {
                "ChannelName": "plan",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "ManifestFile",
                        "S3Uri": f"s3://{BUCKET}/jobs/plans/{digest}/plan.manifest",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
                "InputMode": "File",
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/jobs", "CompressionType": "NONE"},
        "ResourceConfig": {"InstanceType": "ml.m5.4xlarge", "InstanceCount": 2, "VolumeSizeInGB": 100},
        "StoppingCondition": {"MaxRuntimeInSeconds": 7200},
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        "Tags": [
            {"Key": "cloudcpt:plan-hash", "Value": digest},
            {"Key": "cloudcpt:run", "Value": "data dedup"},
            {"Key": "cloudcpt:made-by", "Value": version},
            {"Key": "team", "Value": "data"},
        ],
    }
    assert not account.sagemaker.calls.operations()
    assert not objects(account, "jobs/")


def test_the_same_command_is_the_same_job(type_: Type, account: FakeCloud, corpus: Path) -> None:
    first, again = type_(*DEDUP, *JOB, "--yes"), type_(*DEDUP, *JOB, "--yes")
    assert (first.code, again.code) == (0, 0), first.err
    assert "started" in first.out
    assert "found" in again.out
    other = type_(*DEDUP, "--by", "normalised", *JOB, "--yes")
    assert "started" in other.out
    assert len(requests(account)) == 2


def test_list_status_and_stop_know_the_job(type_: Type, account: FakeCloud, tmp_path: Path) -> None:
    name = json.loads(type_(*DEDUP, *JOB, "--yes", "--output", "json").out)["name"]
    assert name in type_("list").out
    assert json.loads(type_("status", name, "--output", "json").out)["model"] is None
    elsewhere = places_in(account, tmp_path / "elsewhere")
    assert json.loads(type_("status", name, "--output", "json", at=elsewhere).out)["name"] == name
    assert type_("stop", name).code == 0
    described = type_("describe", name)
    assert (described.code, "CPT777" in described.err) == (2, True)


def test_everything_that_is_missing_is_said_at_once(type_: Type, account: FakeCloud) -> None:
    shown = type_("data", "dedup", "raw", "--engine", "ray", "--on", "sagemaker", "--tag", "nothing", "--region", "x")
    assert shown.code == 2
    for word in ("--role", "--image", "--job-files", "`raw`", "`nothing`", "--to"):
        assert word in shown.err
    assert not account.sagemaker.calls.operations()


# --- the job ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_hosts_write_the_bytes_that_one_machine_writes(
    type_: Type, account: FakeCloud, corpus: Path, tmp_path: Path
) -> None:
    play_for_real(account)
    name = json.loads(type_(*DEDUP, *JOB, "--yes", "--output", "json").out)["name"]
    assert account.sagemaker.service.execution(name).join(PATIENCE_S)
    status = json.loads(type_("status", name, "--output", "json").out)
    assert status["state"] == "completed", status["failure"]

    assert type_("data", "dedup", "raw", "--to", "here").code == 0
    here = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    there = objects(account, "clean/")
    assert there.keys() - here.keys() == {"work.json"}
    assert {key: there[key] for key in here if key.endswith(".jsonl")} == {
        key: content for key, content in here.items() if key.endswith(".jsonl")
    }
    assert there["dropped.csv"].count(b"\n") == here["dropped.csv"].count(b"\n") > 10
    result = json.loads(objects(account, f"jobs/{name}/output/data/")["result.json"])
    assert result["report"]["dropped"] == json.loads(here["report.json"])["dropped"]


# --- writing to S3 ---------------------------------------------------------------------------------------------------


def test_an_output_in_s3_is_written_once_and_gone_on_with(type_: Type, account: FakeCloud, corpus: Path) -> None:
    assert type_(*DEDUP).code == 0
    whole = objects(account, "clean/")
    again = type_(*DEDUP)
    assert (again.code, "CPT774" in again.err) == (2, True)
    for key in ("report.json", "1.jsonl"):
        account.store().delete_object(Bucket=BUCKET, Key=f"clean/{key}")
    puts = len(account.s3.calls.all("PutObject"))
    assert type_(*DEDUP).code == 0
    assert objects(account, "clean/") == whole
    assert len(account.s3.calls.all("PutObject")) == puts + 2


@pytest.mark.parametrize(("target", "code"), [("raw/clean/", "CPT371"), ("raw", "CPT371"), ("all.jsonl", "CPT774")])
def test_a_place_that_cannot_be_is_refused(
    type_: Type, account: FakeCloud, corpus: Path, target: str, code: str
) -> None:
    shown = type_(*DEDUP[:-1], f"s3://{BUCKET}/{target}")
    assert (shown.code, code in shown.err) == (2, True)


def test_what_is_there_already_is_left_alone(type_: Type, account: FakeCloud, corpus: Path) -> None:
    account.store().put_object(Bucket=BUCKET, Key="clean/mine.txt", Body=b"mine")
    shown = type_(*DEDUP)
    assert (shown.code, "is not empty" in shown.err) == (2, True)
    assert objects(account, "clean/") == {"mine.txt": b"mine"}
