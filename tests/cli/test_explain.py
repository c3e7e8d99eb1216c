"""`explain` says what a code means and what a field is for, or who was probably meant."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from cloudcpt.cli.reference import fields_of, recipe_fields
from cloudcpt.errors import explanations

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


@pytest.mark.parametrize("spelling", ["CPT901", "cpt901", "901"])
def test_a_code_is_explained_however_it_is_spelled(cloudcpt: Cloudcpt, spelling: str) -> None:
    shown = cloudcpt("explain", spelling)
    assert shown.code == 0
    assert shown.out.startswith("CPT901: cloudcpt failed in a way that it did not foresee\n\n")


def test_every_code_is_listed(cloudcpt: Cloudcpt) -> None:
    assert [line.split()[0] for line in cloudcpt("explain").out.splitlines()] == ["code", *explanations()]


def test_codes_as_json(cloudcpt: Cloudcpt) -> None:
    answer = json.loads(cloudcpt("explain", "--output", "json").out)
    assert answer["schema_version"] == 1
    assert [row["code"] for row in answer["codes"]] == list(explanations())
    assert json.loads(cloudcpt("explain", "901", "--output", "json").out)["code"] == "CPT901"


def test_an_unknown_code_names_its_neighbours(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("explain", "CPT902")
    assert (shown.code, shown.out) == (2, "")
    assert "there is no code `CPT902`; near it are `CPT901`" in shown.err


def test_a_field_is_explained_by_its_path(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("explain", "training_config.global_batch_size")
    assert shown.out.splitlines()[:4] == [
        "training_config.global_batch_size",
        "type      integer",
        "allowed   `32`, `64`, `128`, `256`",
        "required  yes",
    ]


def test_the_end_of_a_path_is_enough(cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("explain", "seed").out.startswith("run.seed\n")


def test_a_field_that_may_stand_in_two_places_is_explained_once(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("explain", "warmup_steps").out
    assert shown.startswith(
        "training_config.model.optim.sched.warmup_steps\ntraining_config.optim.sched.warmup_steps\n"
    )
    assert shown.count("type") == 1


def test_fields_as_json(cloudcpt: Cloudcpt) -> None:
    (field,) = json.loads(cloudcpt("explain", "run.seed", "--output", "json").out)["fields"]
    assert (field["path"], field["default"], field["required"]) == ("run.seed", "42", False)


def test_a_misspelled_field_is_guessed_from_its_end(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("explain", "replica")
    assert (shown.code, shown.out) == (2, "")
    assert "did you mean `run.replicas`?" in shown.err


def test_nonsense_is_not_guessed(cloudcpt: Cloudcpt) -> None:
    assert "neither a code nor a field of the recipe\n" in cloudcpt("explain", "xyzzy").err


def test_every_field_of_the_recipe_says_what_it_is() -> None:
    fields = recipe_fields()
    assert len(fields) > 60
    assert [path for path, field in fields.items() if not (field.text and field.type)] == []


SCHEMA = {
    "properties": {
        "name": {"type": "string", "description": "A name.", "pattern": "^a$"},
        "inner": {"$ref": "#/$defs/Inner", "description": "A section."},
        "maybe": {"anyOf": [{"$ref": "#/$defs/Inner"}, {"type": "null"}], "default": None},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Inner"}, "minItems": 1, "maxItems": 15},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "number"}, {"type": "number"}],
            "minItems": 2,
            "maxItems": 2,
        },
        "either": {"anyOf": [{"enum": ["all"]}, {"type": "array", "items": {"type": "string"}}], "default": "all"},
    },
    "required": ["name"],
    "$defs": {
        "Inner": {
            "type": "object",
            "description": "What it is.",
            "properties": {
                "ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.5},
                "share": {"type": "integer", "minimum": 0, "maximum": 256},
                "flag": {"type": "boolean", "const": True},
            },
        }
    },
}


def test_a_schema_is_flattened_through_references_alternatives_and_lists() -> None:
    fields = fields_of(SCHEMA)
    inner = ["ratio", "share", "flag"]
    assert list(fields) == [
        "name",
        "inner",
        *(f"inner.{key}" for key in inner),
        "maybe",
        *(f"maybe.{key}" for key in inner),
        "items",
        *(f"items[].{key}" for key in inner),
        "pair",
        "either",
    ]
    assert (fields["name"].required, fields["name"].allowed, fields["name"].default) == (True, "", "")
    assert (fields["inner"].text, fields["maybe"].text, fields["inner"].type) == (
        "A section.",
        "What it is.",
        "section",
    )
    assert (fields["items"].type, fields["items"].allowed) == ("list of section", "1 to 15 items")
    assert (fields["pair"].type, fields["pair"].allowed) == ("list of number", "2 items")
    assert (fields["either"].type, fields["either"].allowed) == ("text, or list of text", "`all`")
    assert fields["either"].default == '"all"'
    assert (fields["inner.ratio"].allowed, fields["inner.ratio"].default) == ("above 0, at most 1", "0.5")
    assert (fields["inner.share"].allowed, fields["inner.flag"].allowed) == ("0 to 256", "`True`")


def test_a_field_with_names_of_the_users_own_says_what_they_hold(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("explain", "launch.tags")
    assert "names, each with text" in shown.out
    assert "at most 50" in shown.out
