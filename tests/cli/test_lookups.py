"""Commands that print what ships with cloudcpt: schemas, models, instances, completion scripts."""

import json
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from cloudcpt.cli.completion import INSTALL
from tests.fakes import small_plan

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


@pytest.mark.parametrize("document", ["recipe", "plan", "manifest"])
def test_a_schema_is_draft_2020_12(cloudcpt: Cloudcpt, document: str) -> None:
    schema = json.loads(cloudcpt("schema", document).out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def test_the_recipe_is_the_default_schema(cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("schema").out == cloudcpt("schema", "recipe").out


def test_an_unknown_document_is_a_usage_error(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("schema", "report")
    assert (shown.code, shown.out) == (2, "")


def test_the_plan_schema_takes_plans_of_this_version_only(cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    validator = Draft202012Validator(json.loads(cloudcpt("schema", "plan").out))
    plan = json.loads(small_plan(tmp_path / "d.jsonl").to_json())
    validator.validate(plan)
    with pytest.raises(ValidationError):
        validator.validate({**plan, "schema_version": 2})


def test_every_model_is_listed(cloudcpt: Cloudcpt) -> None:
    catalog = tomllib.loads(resources.files("cloudcpt.recipe").joinpath("catalog.toml").read_text("utf-8"))
    assert [line.split()[0] for line in cloudcpt("models").out.splitlines()[1:]] == list(catalog)
    answer = json.loads(cloudcpt("models", "--output", "json").out)
    assert answer["schema_version"] == 1
    assert all(row["source"] and row["date"] for row in answer["models"])


def test_models_say_on_what_their_type_was_tested(cloudcpt: Cloudcpt) -> None:
    said = {
        row["model_type"]: row["tested"] for row in json.loads(cloudcpt("models", "--output", "json").out)["models"]
    }
    assert {name for name, words in said.items() if words == "at AWS"} == {n for n in said if n.startswith("amazon.")}
    assert {name for name, words in said.items() if words == "by type"} == {"hf"}
    assert set(said.values()) == {"at AWS", "by type", "tiny, CPU"}
    header, *rows = cloudcpt("models").out.splitlines()
    at = header.index("tested")
    assert [row[at:].startswith(said[row.split()[0]] + "  ") for row in rows] == [True] * len(said)


def test_one_model_is_shown_with_all_that_is_known(cloudcpt: Cloudcpt) -> None:
    lines = cloudcpt("models", "bloomz-560m").out.splitlines()
    assert "parameters         559,214,592" in lines
    assert "tuned              yes" in lines
    assert any(line.startswith("languages          46 natural languages, Chinese, ") for line in lines)
    assert not any(line.startswith("generation") for line in lines), "of Nova"
    (row,) = json.loads(cloudcpt("models", "bloomz-560m", "--output", "json").out)["models"]
    assert row["tuned"] is True


def test_an_unknown_model_is_a_usage_error_that_names_the_nearest(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("models", "bloomz")
    assert shown.code == 2
    assert "did you mean `bloomz-560m`?" in shown.err
    assert "calls any other model `hf`" in cloudcpt("models", "xyz").err


def test_every_instance_type_is_listed_with_the_source_of_its_price(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("instances").out
    answer = json.loads(cloudcpt("instances", "--output", "json").out)
    assert answer["schema_version"] == 1
    notes = dict.fromkeys(row["price_source"] for row in answer["instances"])
    for number, source in enumerate(notes, start=1):
        assert f"\n[{number}] {source}\n" in shown
    lines = {line.split()[0]: line for line in shown.splitlines()}
    for row in answer["instances"]:
        assert ("$" in lines[row["name"]]) == bool(row["price_usd_per_hour"])


@pytest.mark.parametrize("shell", INSTALL)
def test_a_completion_script_asks_cloudcpt(cloudcpt: Cloudcpt, shell: str) -> None:
    shown = cloudcpt("completion", shell)
    assert shown.code == 0
    assert "_CLOUDCPT_COMPLETE" in shown.out
    assert f"{shell}_complete" in shown.out


def test_an_unknown_shell_is_a_usage_error(cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("completion", "tcsh").code == 2


def test_completion_help_says_how_to_switch_it_on(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("completion", "--help").out
    assert all(line in shown for line in INSTALL.values())
