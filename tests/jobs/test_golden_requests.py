"""The request of every shipped recipe for the cloud, as a file to read: what a change does to it shows in review.

After a change that is meant, write the files anew and look at the difference:

    CLOUDCPT_WRITE_GOLDEN=1 python -m pytest tests/jobs/test_golden_requests.py

The plan's hash is written as PLAN-HASH and the version as VERSION, because both change with every release.
"""

import functools
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import cloudcpt
from cloudcpt.dataset.check import DatasetReport
from cloudcpt.fake.job_rules import check_rules
from cloudcpt.fake.shapes import check_shape
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.jobs.limits import request_faults
from cloudcpt.jobs.request import training_job_request
from cloudcpt.plan.instances import Machine
from cloudcpt.plan.make import make_plan, recipe_inputs
from cloudcpt.plan.plan import DataFile, Plan
from cloudcpt.recipe.load import load_recipe
from tests.plan.conftest import report_of

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
LAPTOP = Machine(gpus=0, gpu_memory_bytes=0, cpus=2)
SHIPPED = {path.stem: path for path in sorted((ROOT / "recipes").glob("*.yaml"))}
ACCOUNT = {
    "role_arn": "arn:aws:iam::123456789012:role/cloudcpt-training",
    "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:" + "1f" * 32,
}
"""What no shipped recipe can know."""


def is_for_the_cloud(path: Path) -> bool:
    recipe = load_recipe(path).recipe
    return recipe.is_nova or recipe.launch.target == "sagemaker"


CLOUD = {name: path for name, path in SHIPPED.items() if is_for_the_cloud(path)}


def dataset_in_s3(uri: str, parts: int) -> DatasetReport:
    """Report 80 million characters in so many files."""
    report = report_of([80_000] * 1_000, name=uri)
    files = (
        replace(report.files[0], name=f"part-{part}.jsonl", path=f"{uri}part-{part}.jsonl", blake3=str(part) * 64)
        for part in range(parts)
    )
    return replace(report, files=tuple(files))


def model_in_s3(uri: str) -> tuple[DataFile, ...]:
    names = ("config.json", "model.safetensors", "tokenizer.json")
    return tuple(DataFile(name=name, uri=f"{uri}{name}", size_bytes=10, blake3="d" * 64) for name in names)


@functools.cache
def planned(name: str) -> Plan:
    """Plan a recipe on data and a model in S3 as if they had been read, for an account that exists nowhere."""
    loaded = load_recipe(CLOUD[name])
    parts = 1 if loaded.recipe.is_nova else 2
    reports = {one.channel: dataset_in_s3(one.path, parts) for one in recipe_inputs(loaded)}
    plan, _ = make_plan(loaded, reports, target="sagemaker", region="us-east-1", machine=LAPTOP)
    assert plan.launch is not None
    named = plan.model.name_or_path
    files = () if loaded.recipe.is_nova else model_in_s3(named)
    return replace(
        plan,
        made_by="cloudcpt VERSION",
        model=replace(plan.model, files=files),
        launch=replace(plan.launch, **ACCOUNT),
    )


def golden_text(plan: Plan) -> str:
    """Write a plan's request, and what the client writes to S3 for it besides the plan itself."""
    papers = {uri: content.decode() for uri, content in channel_documents(plan).items()}
    documents = {
        uri: json.loads(text) if uri.endswith(".manifest") else text.splitlines()
        for uri, text in papers.items()
        if not uri.endswith("plan.json")
    }
    whole = {"request": training_job_request(plan), "documents": documents}
    text = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
    return text.replace(plan.hash, "PLAN-HASH").replace(plan.hash[:10], "PLAN-HASH")


@pytest.mark.parametrize("name", CLOUD)
def test_the_request_of_a_shipped_recipe_is_its_golden_file(name):
    text = golden_text(planned(name))
    path = GOLDEN / f"{name}.json"
    if os.environ.get("CLOUDCPT_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8"), "see the docstring of this file"
    assert cloudcpt.__version__ not in text.replace("llama-3.1", "")


@pytest.mark.parametrize("name", CLOUD)
def test_the_request_of_a_shipped_recipe_is_within_every_limit_and_the_fake_service_takes_it(name):
    request = training_job_request(planned(name))
    assert request_faults(request) == ()
    check_shape("CreateTrainingJob", request)
    check_rules(request, region="us-east-1", account_id="123456789012")


def test_there_is_a_golden_file_for_each_recipe_and_no_other():
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CLOUD)
    assert set(SHIPPED) - set(CLOUD) == {"bloom-560m", "demo", "demo-base", "demo-no-replay", "qwen3-0.6b"}
