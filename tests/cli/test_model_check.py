"""`cloudcpt model check`: what a model is, or why it cannot be trained, without asking anybody."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.model_check import LONGEST_ROW_TOKENS
from cloudcpt.recipe.schema import recipe_schema
from tests.plan.conftest import Desk

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)


def test_a_model_that_can_be_trained_is_described(cloudcpt: Cloudcpt, desk: Desk) -> None:
    desk.write_model("models", dtype="BF16")
    shown = cloudcpt("model", "check", "models")
    assert shown.code == 0
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert lines[0] == "models: can be trained"
    assert "model      llama, 96 parameters, one embedding for input and output, size class micro" in lines
    assert "layers     2 of width 8, 16 inside" in lines
    assert "heads      2 of 4, 1 for keys and values" in lines
    assert any(line.startswith("weights    bfloat16, ") and line.endswith(", 3 files in all") for line in lines)
    assert any(line.startswith("training   0.0 MB over all GPUs") for line in lines)
    assert "context    64 tokens; `max_length` up to 64" in lines
    assert lines[-1].startswith("Found no problems in ")


@pytest.mark.train
def test_the_tokenizer_is_held_against_the_embedding(cloudcpt: Cloudcpt, desk: Desk) -> None:
    desk.write_model("models", vocab_size=9)
    shown = cloudcpt("model", "check", "models")
    assert shown.code == 0
    assert "tokenizer  10 tokens; the embedding has 9 rows" in shown.out
    assert "warning[CPT536]" in shown.out
    (desk.folder / "models" / "tokenizer.json").write_text("{}")
    shown = cloudcpt("model", "check", "models")
    assert shown.code == 1
    assert shown.out.startswith("models: cannot be trained\n\nerror[CPT361]")


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({}, 64),
        ({"max_position_embeddings": 131_072}, LONGEST_ROW_TOKENS),
        ({"max_position_embeddings": None}, LONGEST_ROW_TOKENS),
        ({"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 32}, 32),
        ({"model_type": "gpt2", "max_position_embeddings": 48}, 48),
    ],
)
def test_the_longest_rows_are_those_that_no_plan_objects_to(
    cloudcpt: Cloudcpt, desk: Desk, config: dict[str, Any], length: int
) -> None:
    desk.write_model(**config)
    answer = json.loads(cloudcpt("model", "check", "base", "--output", "json").out)
    assert answer["model"]["max_length"] == length
    loaded = desk.recipe({"training_config": {"max_length": length}})
    desk.write_data("train.jsonl", ["a b c"] * 4000)
    found = {finding.code for finding in desk.plan(loaded)[1]}
    assert not found & {"CPT535", "CPT538"}


def test_the_longest_row_is_that_of_the_schema() -> None:
    schema = recipe_schema()
    assert schema["$defs"]["TrainingConfig"]["properties"]["max_length"]["maximum"] == LONGEST_ROW_TOKENS


def test_json_has_the_facts_and_the_findings(cloudcpt: Cloudcpt, desk: Desk) -> None:
    desk.write_model("models-instruct")
    shown = cloudcpt("model", "check", "models-instruct", "--output", "json")
    answer = json.loads(shown.out)
    assert (shown.code, answer["schema_version"], answer["ok"]) == (0, 1, True)
    facts = answer["model"]
    assert (facts["architecture"], facts["parameters"], facts["training_state_bytes"]) == ("llama", 96, 1536)
    assert facts["files"] == ["config.json", "model.safetensors", "tokenizer.json"]
    assert [found["code"] for found in answer["diagnostics"]] == ["CPT539"]
    assert "Found 1 warning" in shown.err


@pytest.mark.parametrize(
    ("name", "code"),
    [("nothing", "CPT520"), ("model.gguf", "CPT523"), ("model.tar.gz", "CPT524"), ("models", "CPT531")],
)
def test_a_model_that_cannot_be_trained_is_refused_with_the_reason(
    cloudcpt: Cloudcpt, desk: Desk, name: str, code: str
) -> None:
    desk.write_model("models", model_type="mamba")
    if "." in name:
        (desk.folder / name).write_bytes(b"x")
    shown = cloudcpt("model", "check", name)
    assert shown.code == 1
    assert shown.out.startswith(f"{name}: cannot be trained\n\nerror[{code}] `{name}` ")
    answer = json.loads(cloudcpt("model", "check", name, "--output", "json").out)
    assert (answer["ok"], answer["model"], answer["diagnostics"][0]["code"]) == (False, None, code)


def test_a_plan_refuses_what_the_check_refuses(cloudcpt: Cloudcpt, desk: Desk) -> None:
    from cloudcpt.errors import PlanError

    desk.write_model(quantization_config={"bits": 4}, logits_scaling=2.0)
    (desk.folder / "base" / "tokenizer.json").unlink()
    answer = json.loads(cloudcpt("model", "check", "base", "--output", "json").out)
    desk.write_data("train.jsonl", ["a b c"] * 4000)
    with pytest.raises(PlanError) as caught:
        desk.plan(desk.recipe())
    checked = [(found["code"], found["message"].partition("` ")[2]) for found in answer["diagnostics"]]
    assert checked == [(found.code, found.message.partition("` ")[2]) for found in caught.value.diagnostics]
    assert [code for code, _ in checked] == ["CPT525", "CPT537", "CPT527"]


def test_a_model_in_s3_needs_credentials(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("model", "check", "s3://bucket/model/")
    assert (shown.code, shown.out) == (3, "")


def test_the_group_knows_its_commands_and_imports_none_for_its_help(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("model", "--help")
    assert shown.code == 0
    assert "check" in shown.out
    wrong = cloudcpt("model", "chek")
    assert wrong.code == 2
    assert "did you mean `check`?" in wrong.err
