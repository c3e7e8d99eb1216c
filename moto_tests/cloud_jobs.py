"""An account in which the jobs of small plans can start, and an engine whose time is the fake's."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from cloudcpt.aws.engine import CloudEngine
from cloudcpt.aws.session import AwsSession
from cloudcpt.fake.backstage import split_uri
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.script import JobScript, ScriptedFailure, ScriptedLine
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import Progress, complete_model, evaluation_line
from tests.jobs.cloud_plans import cloud_launch, cloud_plan

BUCKET, REGION = "my-bucket", "us-east-1"
USD_PER_HOUR = 36.0

FAILURE = ScriptedFailure(
    kind="AlgorithmError",
    text="CPT604 [user] loss is not finite at step 12; hint: lower the learning rate\nrank 3\nTraceback ...",
    exit_code=6,
)


def progress_line(step: int, total: int = 3) -> str:
    return Progress(
        step=step,
        loss=2.5 / step,
        tokens_per_s=100.0,
        total_steps=total,
        lr=1e-4,
        grad_norm=1.0,
        tokens=32 * step,
        eta_s=60.0 * (total - step),
    ).line()


TEXTS = (
    "hello",
    evaluation_line("domain", 0, 3.5, 33.1),
    progress_line(1),
    progress_line(2),
    progress_line(3),
    evaluation_line("domain", 3, 2.5, 12.2),
)
LOG = tuple(ScriptedLine(after_s=10.0 * number, text=text) for number, text in enumerate(TEXTS))


def small_cloud_plan(
    folder: Path, *, nodes: int = 1, seed: int = 42, launch: CloudLaunch | None = None, **changes: Any
) -> Plan:
    """A plan for machines that every account may use; its files exist in S3 by name only."""
    plan = cloud_plan(folder, launch or cloud_launch(volume_gb=30), seed=seed)
    world = replace(plan.world, nodes=nodes, processes_per_node=1, device="cpu", instance_type="ml.m5.xlarge")
    estimate = replace(plan.estimate, usd_per_instance_hour=USD_PER_HOUR)
    return replace(plan, world=world, estimate=estimate, **changes)


def put_inputs(cloud: FakeCloud, plan: Plan) -> None:
    """Put into S3 what an upload would have: papers as they are, data as ten bytes each."""
    s3 = cloud.store()
    if not any(bucket["Name"] == BUCKET for bucket in s3.list_buckets()["Buckets"]):
        s3.create_bucket(Bucket=BUCKET)
    files = [*(file for source in plan.sources for file in source.files), *plan.model.files]
    contents = {file.uri: b"0123456789" for file in files} | channel_documents(plan)
    for uri, content in contents.items():
        bucket, key = split_uri(uri)
        s3.put_object(Bucket=bucket, Key=key, Body=content)


def model_of(plan: Plan, folder: Path) -> dict[str, bytes]:
    """Give the files of a whole model that a plan's job made."""
    folder.mkdir()
    (folder / "provenance").mkdir()
    (folder / "config.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "provenance" / "plan.json").write_text(plan.to_json(), "utf-8")
    complete_model(folder, plan_hash=plan.hash, job_name=plan.job_name, steps=3, tokens=96)
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def script(way: str, model: dict[str, bytes]) -> JobScript:
    """Write the life of a job that `completes`, `fails` or `goes on`."""
    if way == "fails":
        return JobScript(training_s=100.0, log=LOG, failure=FAILURE)
    return JobScript(training_s=100.0 if way == "completes" else 1e6, log=LOG, model=model)


def open_engine(cloud: FakeCloud, state: Path, *, attempts: int = 4) -> CloudEngine:
    """Open an engine whose pauses turn the fake's clock."""
    return CloudEngine(session_of(attempts), state, now=cloud.clock.now, pause=advance(cloud, 20.0))


@cache
def session_of(attempts: int) -> AwsSession:
    """Keep a session: it has read the service models, which takes longer than most tests. The servers stay the same."""
    return AwsSession(region=REGION, attempts=attempts)


def advance(cloud: FakeCloud, seconds: float) -> Callable[[float], None]:
    return lambda _: cloud.clock.advance(seconds)
