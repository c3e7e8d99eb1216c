"""The published schema: valid, complete, and of one mind with the model over arbitrarily changed recipes."""

import copy
import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cloudcpt.recipe.catalog import model_rows
from cloudcpt.recipe.model import Recipe
from cloudcpt.recipe.outline import expected, homes, known_keys, schema_at
from cloudcpt.recipe.schema import recipe_schema
from tests.recipe.samples import full_training, nova_1, nova_2, open_model

SCHEMA = recipe_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SAMPLES = [nova_1("micro"), nova_1("lite"), nova_1("pro"), nova_2(), open_model(), full_training()]
KEY_PATHS = sorted({home for key in known_keys() for home in homes(key)})

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 300),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([0.0, 1.0, 0.5, 1.5, 1e-6, 32.0, 256.0, 1e18, -0.5]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([row.model_type for row in model_rows()]),
    st.sampled_from(
        ["", "x", "s3://my-bucket/x", "s3://B", "lora", "none", "auto", "weights", "cpt", "adam", "all-linear", "a\n"]
    ),
    st.text(max_size=8),
    st.lists(st.one_of(st.floats(0, 1), st.text(max_size=3), st.integers()), max_size=3),
    st.dictionaries(st.sampled_from(known_keys()), st.one_of(st.integers(0, 3), st.text(max_size=3)), max_size=3),
)


def accepted_by_model(recipe: dict[str, Any]) -> bool:
    try:
        Recipe.model_validate(recipe)
    except ValidationError:
        return False
    return True


@st.composite
def changed_recipes(draw: st.DrawFn) -> dict[str, Any]:
    """A good recipe with one to four keys set to anything, or removed."""
    recipe = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        *parents, key = draw(st.sampled_from(KEY_PATHS))
        section: Any = recipe
        for parent in parents:
            section = section.setdefault(parent, {})
            section = section[0] if isinstance(section, list) and section else section
            if not isinstance(section, dict):
                break
        else:
            if draw(st.booleans()):
                section[key] = draw(VALUES)
            else:
                section.pop(key, None)
    return recipe


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changed_recipes())
def test_model_and_schema_give_the_same_verdict(recipe: dict[str, Any]) -> None:
    assert accepted_by_model(recipe) == VALIDATOR.is_valid(recipe), json.dumps(recipe)


KINDS: list[object] = [None, True, 0, 1, 1.0, -1, 0.5, 32, 10**6, "", "x", [], ["a"], {}, {"x": 1}]


@pytest.mark.parametrize("path", KEY_PATHS, ids=".".join)
def test_model_and_schema_agree_on_every_key_with_every_kind_of_value(path: tuple[str, ...]) -> None:
    for value in KINDS:
        for sample in (nova_1(), nova_2(), open_model()):
            recipe = copy.deepcopy(sample)
            section: Any = recipe
            for parent in path[:-1]:
                section = section.setdefault(parent, {})
                section = section[0] if isinstance(section, list) else section
            section[path[-1]] = value
            assert accepted_by_model(recipe) == VALIDATOR.is_valid(recipe), (path, value)


def test_it_is_a_valid_draft_2020_12_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_section_refuses_unknown_keys_and_every_key_is_described() -> None:
    for section in (SCHEMA, *SCHEMA["$defs"].values()):
        assert section["additionalProperties"] is False
        assert section["description"]
        for key in section["properties"]:
            assert _child(section, key).get("description"), key


def test_no_bound_is_lost_between_model_and_schema() -> None:
    """pydantic writes a bound that it cannot place as `ge` or `le`, which no validator reads."""
    assert re.findall(r'"(?:ge|le|gt|lt|min_length|max_length)": [0-9]', json.dumps(SCHEMA)) == []


@pytest.mark.parametrize("path", KEY_PATHS, ids=".".join)
def test_what_a_value_must_be_can_be_said_in_words(path: tuple[str, ...]) -> None:
    schema = SCHEMA
    for key in path:
        schema = schema_at((key,)) if schema is SCHEMA else _child(schema, key)
    assert re.fullmatch(r"[ -~]+", expected(schema))


def _child(schema: dict[str, Any], key: str) -> dict[str, Any]:
    section = schema.get("items", schema)
    if "$ref" in section:
        section = SCHEMA["$defs"][section["$ref"].rsplit("/", 1)[1]]
    child = section["properties"][key]
    return {**SCHEMA["$defs"][child["$ref"].rsplit("/", 1)[1]], **child} if "$ref" in child else child
