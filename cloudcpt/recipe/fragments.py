"""Fragments of JSON Schema from which the conditions of the published schema are put together."""

from typing import Any

from cloudcpt.recipe.faults import KeyPath

Schema = dict[str, Any]  # a fragment of JSON Schema, draft 2020-12
ABSENT = False
"""The schema that nothing satisfies: the key must not be there."""


def at(loc: KeyPath, schema: Schema | bool) -> Schema:
    """Apply a fragment to the value at a key path, if there is one."""
    for key in reversed(loc):
        schema = {"properties": {key: schema}}
    assert isinstance(schema, dict), "a fragment is applied at a key path of at least one key"
    return schema


def one_of(*keys: str) -> Schema:
    """Ask for exactly one of the keys."""
    return {"oneOf": [{"required": [key]} for key in keys]}


def when_model(model_types: tuple[str, ...], *then: Schema) -> Schema:
    """Ask something of the recipes for some models only."""
    run = {"required": ["model_type"], "properties": {"model_type": {"enum": list(model_types)}}}
    return {"if": {"required": ["run"], "properties": {"run": run}}, "then": {"allOf": list(then)}}
