"""Plans for the cloud, made by hand: every member that a request can have, or as few as possible."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from cloudcpt.plan.keys import object_key
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import DataFile, Plan, Source
from tests.fakes import small_plan

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:" + "ab" * 32


def cloud_launch(**changes: Any) -> CloudLaunch:
    """Ask for as little as possible."""
    least = CloudLaunch(
        region="us-east-1",
        account_id="123456789012",
        role_arn="arn:aws:iam::123456789012:role/cloudcpt",
        image=IMAGE,
        input_uri="s3://my-bucket/cpt/cloudcpt",
        output_uri="s3://my-bucket/cpt/output",
        input_kms_key="",
        output_kms_key="",
        volume_kms_key="",
        volume_gb=0,
        subnets=(),
        security_groups=(),
        network_isolation=True,
        encrypt_traffic=False,
        spot=False,
        max_wait_s=0,
        max_pending_s=0,
        keep_alive_s=0,
        training_plan_arn="",
        instance_preferences=(),
        retry_attempts=0,
        tags=(),
        mlflow=None,
        budget_usd=0.0,
        model_package_group="",
    )
    return replace(least, **changes)


def uploaded(name: str, digit: str = "a", *, prefix: str = "s3://my-bucket/cpt/cloudcpt") -> DataFile:
    """A file that the client brings: its URI holds the hash of its content."""
    uri = object_key(prefix, blake3=digit * 64, name=name)
    return DataFile(name=name, uri=uri, size_bytes=10, blake3=digit * 64)


def in_place(uri: str, name: str) -> DataFile:
    """A file that the user keeps in S3."""
    return DataFile(name=name, uri=uri, size_bytes=10, blake3="e" * 64)


def source(channel: str, *files: DataFile, role: str = "train") -> Source:
    return Source(
        name=channel,
        role=role,
        channel=channel,
        files=files,
        documents=1,
        tokens=96,
        rows=3,
        cut_documents=0,
        cut_tokens=0,
        exact=True,
        weight=1.0 if role == "train" else 0.0,
    )


def cloud_plan(tmp_path: Path, launch: CloudLaunch | None = None, **changes: Any) -> Plan:
    """A plan for SageMaker on two P5 machines, of a model whose files are uploaded."""
    plan = small_plan(tmp_path / "train.jsonl")
    model = replace(
        plan.model,
        model_type="llama-3.1-8b",
        stand_in=False,
        files=(uploaded("config.json", "c"), uploaded("model.safetensors", "d")),
    )
    world = replace(plan.world, nodes=2, processes_per_node=8, device="cuda", instance_type="ml.p5.48xlarge")
    made = replace(
        plan,
        target="sagemaker",
        model=model,
        world=world,
        sources=(source("train", uploaded("train.jsonl")),),
        max_runtime_s=7200,
        launch=launch or cloud_launch(),
    )
    return replace(made, **changes)


def nova_plan(tmp_path: Path, recipe: str, launch: CloudLaunch | None = None, **changes: Any) -> Plan:
    """A plan of a Nova recipe, whose image AWS gave to the user."""
    plan = cloud_plan(tmp_path, launch)
    base = changes.pop("name_or_path", "nova-micro/prod")
    model = replace(
        plan.model,
        model_type="amazon.nova-micro-v1:0:128k",
        name_or_path=base,
        family="nova",
        architecture="",
        files=(),
    )
    return replace(plan, model=model, recipe_text=recipe, recipe_path="nova.yaml", **changes)
