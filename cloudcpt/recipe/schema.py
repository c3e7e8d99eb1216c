"""The published JSON Schema of a recipe, draft 2020-12, made from the model.

The fields, their types and their descriptions come from the pydantic model, the conditions between them from
`conditions.py`. It accepts exactly what `Recipe.model_validate` accepts. Rules that no schema can express, such as
`min_lr` below `lr`, are listed under `x-rules` for people; `load_recipe` checks them.
"""

import inspect
from functools import cache
from typing import Any

from cloudcpt.recipe.conditions import CONDITIONS
from cloudcpt.recipe.fragments import Schema
from cloudcpt.recipe.model import Recipe
from cloudcpt.recipe.rules import RULES

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NULL = {"type": "null"}


def recipe_schema() -> dict[str, Any]:
    """Make the whole schema: fields, conditions, and the list of what it cannot say."""
    schema = {"$schema": _DIALECT, **field_schema()}
    schema["title"] = "cloudcpt recipe"
    schema["allOf"] = [fragment for condition in CONDITIONS for fragment in condition.schema]
    schema["x-rules"] = [inspect.getdoc(rule) for rule in RULES]
    return schema


@cache
def field_schema() -> dict[str, Any]:
    """Make the schema of the fields alone; shared, not to be changed."""
    schema = Recipe.model_json_schema(mode="validation")
    tidied = _tidy(schema)
    assert isinstance(tidied, dict), "a schema of a model is an object"
    return tidied


def _tidy(node: Any) -> Any:  # any JSON value inside a schema
    """Drop what nobody reads: titles made from names, and null, which no field takes and only means `not given`."""
    if isinstance(node, list):
        return [_tidy(item) for item in node if item != _NULL]
    if not isinstance(node, dict):
        return node
    tidy: Schema = {}
    for key, value in node.items():
        if key == "properties":
            tidy[key] = {name: _tidy(child) for name, child in value.items()}
        elif not (key == "title" or (key == "default" and (value is None or isinstance(value, dict)))):
            tidy[key] = _tidy(value)
    options = tidy.get("anyOf", ())
    if len(options) == 1:
        del tidy["anyOf"]
        return {**options[0], **tidy}
    return tidy
