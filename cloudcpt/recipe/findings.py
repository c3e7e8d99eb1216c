"""Plain recipe data to a recipe, or to everything that is wrong with it in our own words.

pydantic finds; this module says. Every sentence names the key, what was found as it was written, and what is
expected, which is read from the schema of the field.
"""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cloudcpt.recipe.advice import advice
from cloudcpt.recipe.faults import Fault, KeyPath, dotted, shown
from cloudcpt.recipe.fields import (
    ACCOUNT_PATTERN,
    IMAGE_PATTERN,
    KEY_PATTERN,
    NAME_PATTERN,
    OPTIONAL_PATH_PATTERN,
    OPTIONAL_S3_PATTERN,
    PATH_PATTERN,
    REGION_PATTERN,
    ROLE_PATTERN,
    SECURITY_GROUP_PATTERN,
    SUBNET_PATTERN,
    TRAINING_PLAN_PATTERN,
)
from cloudcpt.recipe.fragments import Schema
from cloudcpt.recipe.keys import closest, models_like, unknown_key
from cloudcpt.recipe.model import Recipe
from cloudcpt.recipe.outline import expected, schema_at
from cloudcpt.recipe.rules import RULES
from cloudcpt.recipe.tree import Node
from cloudcpt.recipe.values import Values

_CODES = {
    "literal_error": "CPT103",
    "missing": "CPT108",  # an item of a list of fixed length
    "too_short": "CPT108",
    "too_long": "CPT108",
    **dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"), "CPT102"),
}
_PATTERN_CODES = {
    NAME_PATTERN: "CPT106",
    **dict.fromkeys((PATH_PATTERN, OPTIONAL_PATH_PATTERN, OPTIONAL_S3_PATTERN), "CPT105"),
    **dict.fromkeys((REGION_PATTERN, ACCOUNT_PATTERN, IMAGE_PATTERN, ROLE_PATTERN, KEY_PATTERN), "CPT109"),
    **dict.fromkeys((SUBNET_PATTERN, SECURITY_GROUP_PATTERN, TRAINING_PLAN_PATTERN), "CPT109"),
}
_PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_ -]*")
_NUMBER_LIKE = re.compile(r"[-+]?[0-9][0-9_,]*(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


def examine(root: Node) -> tuple[Recipe | None, list[Fault]]:
    """Check everything about a recipe that does not need its data or a machine.

    Returns:
        The recipe when no single value and no condition is wrong, and all faults: of values, conditions, rules and
        advice, in no particular order.
    """
    data = root.plain()
    values = Values(data)
    faults = [fault for rule in RULES for fault in rule(values)]
    faults += advice(values)
    try:
        return Recipe.model_validate(data), faults
    except ValidationError as exc:
        return None, [*_value_faults(exc, root, values), *faults]


def _value_faults(exc: ValidationError, root: Node, values: Values) -> Iterator[Fault]:
    seen: set[KeyPath] = set()
    for found in exc.errors(include_url=False):
        if found["type"] == "condition":
            yield found["ctx"]["fault"]
            continue
        loc = _real(found, root)
        node = root.nearest(loc)[0]
        if loc in seen or node.is_refused:
            continue  # each branch of a union complains; a refused value was already reported
        seen.add(loc)
        yield _value_fault(found, loc, node, values)


def _real(found: ErrorDetails, root: Node) -> KeyPath:
    """Cut off an error's location what is no part of the file: names of union branches, items that a list lacks."""
    loc = found["loc"]
    is_missing_key = found["type"] == "missing" and isinstance(loc[-1], str)
    return loc if is_missing_key else loc[: root.nearest(loc)[1]]


def _value_fault(found: ErrorDetails, loc: KeyPath, node: Node, values: Values) -> Fault:
    if found["type"] == "extra_forbidden":
        return unknown_key(loc, values)
    schema = schema_at(loc)
    assert schema is not None, f"pydantic judged {dotted(loc)}, which the schema does not have"
    if found["type"] == "missing" and loc == found["loc"]:
        return _missing(loc, schema)
    if placeholder := _placeholder(node, schema):
        message = f"{shown(placeholder)} is a placeholder that still has to be filled in"
        return Fault(code="CPT021", message=message, loc=loc)
    if found["type"] == "unknown_model":
        message = f"{shown(node.value)} is not a model of the catalog"
        hint = models_like(str(node.value)) or "`cloudcpt models` lists them; `hf` takes any other model"
        return Fault(code="CPT104", message=message, loc=loc, hint=hint)
    if found["type"] == "string_too_long" and schema.get("pattern") != NAME_PATTERN:
        message = f"`{_name(loc)}` has {len(str(node.value))} characters, {found['ctx']['max_length']} are allowed"
        return Fault(code="CPT108", message=message, loc=loc)
    if found["type"] in ("string_pattern_mismatch", "string_too_long"):
        code = _PATTERN_CODES.get(schema.get("pattern", ""), "CPT107")  # a list of names has its pattern below
        return _bad_value(code, loc, node, schema, _pattern_hint(code, node))
    return _bad_value(_CODES.get(found["type"], "CPT101"), loc, node, schema, _hint(node, schema))


def _missing(loc: KeyPath, schema: Schema) -> Fault:
    owner = f"`{dotted(loc[:-1])}`" if len(loc) > 1 else "a recipe"
    message = f"{owner} needs `{loc[-1]}`, {expected(schema)}"
    return Fault(code="CPT020", message=message, loc=loc[:-1], on="key", hint=schema.get("description"))


def _bad_value(code: str, loc: KeyPath, node: Node, schema: Schema, hint: str | None) -> Fault:
    return Fault(
        code=code, message=f"`{_name(loc)}` must be {expected(schema)}, not {_found(node)}", loc=loc, hint=hint
    )


def _name(loc: KeyPath) -> str:
    return dotted(loc[-2:]) if isinstance(loc[-1], int) else str(loc[-1])


def _found(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a section"
    if isinstance(node.value, str) and node.source[:1] in ("'", '"'):
        return f"the text {shown(node.source)}"
    return shown(node.value if isinstance(node.value, str | list) or node.value is None else node.source)


def _placeholder(node: Node, schema: Schema) -> str | None:
    """Recognise `[S3_PATH]`, which YAML reads as a list, where a text is expected."""
    if isinstance(node.value, list) and len(node.value) == 1 and schema.get("type") == "string":
        text = node.value[0].value
        if isinstance(text, str) and _PLACEHOLDER.fullmatch(text):
            return f"[{text}]"
    return None


def _pattern_hint(code: str, node: Node) -> str | None:
    text = str(node.value)
    if code == "CPT106":
        slug = "-".join(part for part in re.split(r"[^A-Za-z0-9]+", text) if part)[:63].rstrip("-")
        return f"for example `{slug}`" if slug else None
    if code == "CPT105" and text.lower().startswith("s3:"):
        return "a bucket has 3 to 63 lower-case letters, digits, dots and hyphens: `s3://my-bucket/folder`"
    return None


def _hint(node: Node, schema: Schema) -> str | None:
    kind, value = schema.get("type"), node.value
    if value is None and kind == "string":
        return 'write `""`, or leave the key out'
    if kind == "string" and isinstance(value, int | float):
        quoted = None if "enum" in schema else f'put it in quotes: `"{node.source}"`'
        return _closest_hint(node.source, schema) or quoted
    if not isinstance(value, str):
        return None
    if kind == "boolean":
        return "YAML 1.2 knows only `true` and `false`, without quotes"
    if kind in ("integer", "number"):
        return _number_hint(value)
    return _closest_hint(value, schema)


def _number_hint(text: str) -> str | None:
    if _NUMBER_LIKE.fullmatch(text):
        plain = text.replace("_", "").replace(",", "")
        return f"write `{plain}`" + (", without quotes" if plain == text else "")
    if text.endswith("%") and _NUMBER_LIKE.fullmatch(text[:-1]):
        return "write a share between 0 and 1 instead of percent"
    return None


def _closest_hint(text: str, schema: Schema) -> str | None:
    options: list[Any] = [option.get("const") for option in schema.get("anyOf", ())]
    choices = [str(choice) for choice in (*options, *schema.get("enum", ()), schema.get("const")) if choice]
    guess = closest(text, choices, cutoff=0.4)
    return f"did you mean `{guess}`?" if guess else None
