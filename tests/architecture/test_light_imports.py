"""What a command loads is what it needs: measured in a clean interpreter, against lists of what is allowed."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import cloudcpt
from cloudcpt.aws.records import Records, record_of
from cloudcpt.cli import data, image, model
from cloudcpt.cli.main import COMMANDS
from tests.fakes import small_plan
from tests.jobs.cloud_plans import cloud_plan
from tests.local.engines import end_all, fake_engine, wait_for

HEAVY = {
    "blake3", "boto3", "botocore", "jsonschema", "numpy", "peft", "pydantic", "pydantic_core", "rich", "ruamel",
    "sagemaker", "tensorboard", "tokenizers", "torch", "transformers",
}  # fmt: skip
TRAINING = {"numpy", "peft", "tensorboard", "tokenizers", "torch", "transformers"}

LOADED_BY = """
import sys
before = set(sys.modules)
from cloudcpt.cli.main import main
code = main(sys.argv[1:])
import json
sys.stderr.write("LOADED " + json.dumps([code, sorted(set(sys.modules) - before)]))
"""


def loaded(*arguments: str, cwd: Path | None = None, state: Path | None = None) -> tuple[int, set[str]]:
    """Run a command line in a clean interpreter; give its exit code and the modules that it loaded."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cloudcpt.__file__).parents[1])}
    if state is not None:
        environment["CLOUDCPT_STATE_DIR"] = str(state)
    command = [sys.executable, "-c", LOADED_BY, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    code, modules = json.loads(done.stderr.rpartition("LOADED ")[2])
    return code, set(modules)


def outsiders(modules: set[str]) -> set[str]:
    """Keep the top-level packages that are neither ours nor the standard library's."""
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - {"cloudcpt"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["-h"], ["valdate"]])
def test_help_and_version_load_click_and_the_command_table_only(arguments: list[str]) -> None:
    _, modules = loaded(*arguments)
    assert outsiders(modules) == {"click"}
    ours = {name for name in modules if name.startswith("cloudcpt")}
    assert ours == {"cloudcpt", "cloudcpt.cli", "cloudcpt.cli.main", "cloudcpt.errors"}


@pytest.mark.parametrize(
    "name",
    [
        *COMMANDS,
        *(f"data {name}" for name in data.COMMANDS),
        *(f"image {name}" for name in image.COMMANDS),
        *(f"model {name}" for name in model.COMMANDS),
    ],
)
def test_the_help_of_a_command_loads_nothing_that_only_running_it_needs(name: str) -> None:
    code, modules = loaded(*name.split(), "--help")
    assert code == 0
    assert outsiders(modules) & HEAVY <= {"rich"}


def test_checking_data_loads_neither_what_recipes_need_nor_what_the_cloud_needs(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text('{"text": "a"}\n{"txet": "b"}\n')
    code, modules = loaded("validate", "data.jsonl", cwd=tmp_path)
    assert code == 1
    assert outsiders(modules) & HEAVY == {"blake3", "rich"}
    assert not any(name.startswith(("cloudcpt.recipe", "cloudcpt.plan", "cloudcpt.train")) for name in modules)


@pytest.mark.parametrize(
    "arguments", [["explain"], ["models"], ["instances"], ["completion", "bash"], ["schema", "manifest"]]
)
def test_looking_something_up_loads_no_heavy_library(arguments: list[str]) -> None:
    code, modules = loaded(*arguments)
    assert code == 0
    assert outsiders(modules) & HEAVY <= {"rich"}


def test_the_schema_of_a_recipe_needs_no_training_stack() -> None:
    code, modules = loaded("schema", "recipe")
    assert code == 0
    assert not outsiders(modules) & (TRAINING | {"boto3", "botocore"})


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with a job of this machine and one of the cloud, both completed."""
    engine = fake_engine(tmp_path / "state")
    name = engine.create(small_plan(tmp_path / "train.jsonl")).name
    wait_for(engine, name)
    end_all(engine)
    plan = cloud_plan(tmp_path)
    record = record_of(plan, plan.job_name, attempt=1, account_id="123456789012", created_at=1.0, is_confirmed=True)
    ended = replace(engine.status(name), name=plan.job_name, target="sagemaker", plan_hash=plan.hash)
    Records(engine.state).write(replace(record, ended=ended), plan=plan.to_json())
    return engine.state


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"], ["status"], ["logs"], ["metrics"], ["describe"], ["stop"], ["fetch", "--verify-only"],
        ["report", "--output", "json"],
    ],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_jobs_of_this_machine_need_nothing_of_the_cloud(arguments: list[str], state: Path) -> None:
    code, modules = loaded(*arguments, cwd=state.parent, state=state)
    assert code == 0
    assert outsiders(modules) & (TRAINING | {"boto3", "botocore", "awscrt"}) == set()


@pytest.mark.parametrize("arguments", [["list"], ["status"], ["open", "--print"], ["delete", "--yes"]])
def test_what_is_remembered_of_the_cloud_is_shown_without_boto3(arguments: list[str], state: Path) -> None:
    (name,) = Records(state).names()
    command, *options = arguments
    code, modules = loaded(
        command, *([] if command == "list" else [name]), *options[-1:], cwd=state.parent, state=state
    )
    assert code == 0
    assert outsiders(modules) & {"boto3", "botocore", "awscrt"} == set()
