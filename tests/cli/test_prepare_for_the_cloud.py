"""Preparing a recipe for the cloud finds the Region, and where the files lie that have to travel."""

import sys
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.cli.prepare import prepare

RECIPE = """\
run:
  name: demo
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 8
  data_s3_path: d.jsonl
  output_s3_path: s3://my-bucket/out
training_config:
  max_length: 64
  global_batch_size: 32
  trainer:
    max_epochs: 1
  model:
    optim:
      lr: 1e-5
      sched:
        warmup_steps: 1
        min_lr: 1e-6
"""


@pytest.fixture(autouse=True)
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\n")
    (tmp_path / "d.jsonl").write_text("".join(f'{{"text": "document {n} says {n * 7919}"}}\n' for n in range(2000)))
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE)
    return path


def test_local_files_are_listed_under_their_hash(recipe: Path) -> None:
    prepared = prepare(recipe)
    data = recipe.parent / "d.jsonl"
    assert {name: path.resolve() for name, path in prepared.paths.items()} == {
        blake3(data.read_bytes()).hexdigest(): data.resolve()
    }


def test_a_job_on_this_machine_has_nothing_to_send(recipe: Path) -> None:
    prepared = prepare(recipe, target="local", stand_in=True)
    assert prepared.plan is not None
    assert prepared.paths == {}


def test_the_configured_region_is_the_plans(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = prepare(recipe).plan
    assert plan is not None
    assert plan.launch is not None
    assert plan.launch.region == "eu-west-1"
    recipe.write_text(f"{RECIPE}launch: {{target: hyperpod, region: us-east-1}}\n")
    monkeypatch.setenv("AWS_PROFILE", "nobody")  # looked at only when the recipe says nothing
    named = prepare(recipe).plan
    assert named is not None
    assert named.launch is not None
    assert named.launch.region == "us-east-1"


def test_a_broken_configuration_is_a_finding(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    prepared = prepare(recipe)
    assert prepared.plan is None
    assert [found.code for found in prepared.errors] == ["CPT400"]


def test_the_hash_is_the_same_from_another_folder(recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "r.yaml"
    other.parent.mkdir()
    for name in ("r.yaml", "d.jsonl"):
        (other.parent / name).write_bytes((recipe.parent / name).read_bytes())
    here, there = prepare(recipe).plan, prepare(other).plan
    assert here is not None
    assert there is not None
    assert (here.hash, here.job_name) == (there.hash, there.job_name)


def test_a_job_on_this_machine_loads_nothing_of_the_cloud(recipe: Path) -> None:
    before = {name for name in sys.modules if name.startswith("cloudcpt.aws")}
    prepare(recipe, target="local", stand_in=True)
    assert {name for name in sys.modules if name.startswith("cloudcpt.aws")} == before
