"""The fields of a recipe, flattened from its JSON Schema: dotted path, type, allowed values, default, meaning.

One source for `cloudcpt explain FIELD` and for the reference page: the schema that editors use.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]  # JSON Schema is a tree of any JSON values


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One key of the recipe.

    Args:
        path: Dotted, such as `training_config.max_length`; `[]` marks the items of a list.
        type: In words, such as `integer` or `list of text`; `section` for a mapping with keys of its own.
        allowed: Allowed values or bounds in words; empty when the type says it all.
        default: As JSON; empty when there is none or when the key must be given.
        required: The section that holds it is refused without it.
        text: What it means.
    """

    path: str
    type: str
    allowed: str
    default: str
    required: bool
    text: str


def recipe_fields() -> dict[str, Field]:
    """List every field of the recipe by its path, in the order of the schema."""
    from cloudcpt.recipe.schema import recipe_schema

    return fields_of(recipe_schema())


def fields_of(schema: Schema) -> dict[str, Field]:
    """Flatten any JSON Schema whose references stay within the document."""
    return {field.path: field for field in _walk(schema, schema, "")}


def _walk(node: Schema, root: Schema, prefix: str) -> Iterator[Field]:
    for branch in _branches(node, root):
        required = branch.get("required", ())
        for key, child in branch.get("properties", {}).items():
            path = f"{prefix}{key}"
            yield _field(path, child, root, required=key in required)
            yield from _walk(child, root, f"{path}.")
            for items in _branches(child, root):
                if "items" in items:
                    yield from _walk(items["items"], root, f"{path}[].")


def _branches(node: Schema, root: Schema) -> list[Schema]:
    """Resolve references and alternatives to plain nodes; `null` is no alternative that a person would write."""
    if "$ref" in node:
        target: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _branches({**target, **{key: value for key, value in node.items() if key != "$ref"}}, root)
    for word in ("anyOf", "oneOf"):
        if word in node:
            outer = {key: value for key, value in node.items() if key != word}
            return [plain for option in node[word] for plain in _branches({**outer, **option}, root)]
    return [] if node.get("type") == "null" else [node]


def _field(path: str, node: Schema, root: Schema, *, required: bool) -> Field:
    branches = _branches(node, root)
    types = dict.fromkeys(_type(branch, root) for branch in branches)
    allowed = dict.fromkeys(words for branch in branches if (words := _allowed(branch)))
    texts = [option["description"] for option in (node, *branches) if option.get("description")]
    default = json.dumps(node["default"], ensure_ascii=False) if node.get("default") is not None else ""
    return Field(
        path=path,
        type=", or ".join(types),
        allowed=", or ".join(allowed),
        default="" if default in ("{}", "[]") or required else default,
        required=required,
        text=str(texts[0]).strip() if texts else "",
    )


_TYPE_WORDS = {"string": "text", "object": "section", "boolean": "true or false"}


def _type(node: Schema, root: Schema) -> str:
    kind = node.get("type")
    if kind == "array":
        items = [*node.get("prefixItems", ()), node["items"]] if "items" in node else node.get("prefixItems", ())
        names = dict.fromkeys(_type(branch, root) for item in items for branch in _branches(item, root))
        return f"list of {' or '.join(names)}"
    if isinstance(value := node.get("additionalProperties"), dict):
        return f"names, each with {' or '.join(_type(branch, root) for branch in _branches(value, root))}"
    if kind is None:
        values = node.get("enum", [node["const"]] if "const" in node else [])
        return " or ".join(dict.fromkeys("text" if isinstance(value, str) else "number" for value in values)) or "any"
    return _TYPE_WORDS.get(kind, str(kind))


def _allowed(node: Schema) -> str:
    """Say the allowed values in words; patterns are left to the schema, the description says what they mean."""
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    bounds = {key: node[key] for key in _BOUND_WORDS if key in node}
    for part in node.get("allOf", ()):
        bounds |= {key: part[key] for key in _BOUND_WORDS if key in part}
    if {"minimum", "maximum"} <= bounds.keys():
        return f"{bounds['minimum']} to {bounds['maximum']}"
    if {"minItems", "maxItems"} <= bounds.keys():
        low, high = bounds["minItems"], bounds["maxItems"]
        return f"{low} items" if low == high else f"{low} to {high} items"
    return ", ".join(_BOUND_WORDS[key].format(value) for key, value in bounds.items())


_BOUND_WORDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {}",
}
