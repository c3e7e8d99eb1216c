"""The recipe's keys as a map: what may stand where, where a key belongs, and what a value must be, in words.

Everything is read from the schema of the fields, so a sentence in a diagnostic cannot fall behind the model.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from cloudcpt.recipe.faults import KeyPath, listed
from cloudcpt.recipe.fields import (
    ACCOUNT_PATTERN,
    IMAGE_PATTERN,
    INSTANCE_PATTERN,
    KEY_PATTERN,
    MODULE_PATTERN,
    NAME_PATTERN,
    NAMED_INSTANCE_PATTERN,
    OPTIONAL_PATH_PATTERN,
    OPTIONAL_S3_PATTERN,
    PATH_PATTERN,
    REGION_PATTERN,
    ROLE_PATTERN,
    SECURITY_GROUP_PATTERN,
    SOURCE_NAME_PATTERN,
    SUBNET_PATTERN,
    TAG_PATTERN,
    TRAINING_PLAN_PATTERN,
)
from cloudcpt.recipe.fragments import Schema
from cloudcpt.recipe.schema import field_schema

_A_PATH = "an `s3://bucket/key` URI or a local path"
PATTERN_WORDS = {
    NAME_PATTERN: "letters, digits and hyphens, a letter or digit first and last, at most 63",
    PATH_PATTERN: _A_PATH,
    OPTIONAL_PATH_PATTERN: f"{_A_PATH}, or empty",
    OPTIONAL_S3_PATTERN: "an `s3://bucket/key` URI, or empty",
    SOURCE_NAME_PATTERN: "letters, digits, `.`, `_` and `-`, at most 56, a letter or digit first",
    MODULE_PATTERN: "the name of a layer, such as `q_proj`",
    INSTANCE_PATTERN: "a SageMaker instance type such as `ml.p5.48xlarge`",
    NAMED_INSTANCE_PATTERN: "a SageMaker instance type such as `ml.p5.48xlarge`",
    REGION_PATTERN: "an AWS Region such as `us-east-1`",
    ACCOUNT_PATTERN: "an account of twelve digits in quotes",
    IMAGE_PATTERN: "an image such as `123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:...`",
    ROLE_PATTERN: "the ARN of an IAM role, `arn:aws:iam::123456789012:role/name`",
    KEY_PATTERN: "a KMS key: its ARN, its id, or `alias/name`",
    SUBNET_PATTERN: "a subnet such as `subnet-0123456789abcdef0`",
    SECURITY_GROUP_PATTERN: "a security group such as `sg-0123456789abcdef0`",
    TRAINING_PLAN_PATTERN: "the ARN of a training plan, `arn:aws:sagemaker:us-east-1:123456789012:training-plan/name`",
    TAG_PATTERN: "letters, digits, spaces and `_.:/=+-@`",
}
_MOST_LISTED = 12


def schema_at(loc: KeyPath) -> Schema | None:
    """Find the schema of the value at a key path; None where no key is known."""
    node = field_schema()
    for part in loc:
        child = _item(node, part) if isinstance(part, int) else children(node).get(part, _named_value(node))
        if child is None:
            return None
        node = child
    return node


def children(node: Schema) -> dict[str, Schema]:
    """List the keys of a section with the schema of each, references resolved."""
    return {key: _resolved(child) for key, child in node.get("properties", {}).items()}


def _named_value(node: Schema) -> Schema | None:
    """Give the schema of what stands under any name, where the names are the user's own."""
    value = node.get("additionalProperties")
    return value if isinstance(value, dict) else None


def homes(key: str) -> tuple[KeyPath, ...]:
    """List every place of a recipe that has this key, the key included; list positions are left out."""
    return tuple(loc for loc in _key_paths() if loc[-1] == key)


def known_keys() -> tuple[str, ...]:
    """List every key that appears anywhere in a recipe, once."""
    return tuple(dict.fromkeys(str(loc[-1]) for loc in _key_paths()))


def expected(node: Schema) -> str:
    """Say what a value must be: `a whole number from 1 to 8192`."""
    if "anyOf" in node:
        return ", or ".join(expected(_resolved(option)) for option in node["anyOf"])
    if "const" in node:
        return listed((node["const"],))
    if "enum" in node:
        return listed(tuple(node["enum"])) if len(node["enum"]) <= _MOST_LISTED else "a model of the catalog"
    kind = node.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(node)
    if kind == "array":
        return _expected_list(node)
    if kind == "string":
        return PATTERN_WORDS.get(node.get("pattern", ""), f"a text of at most {node.get('maxLength')} characters")
    if value := _named_value(node):
        return f"at most {node['maxProperties']} names, each with {expected(value)}"
    return {"boolean": "`true` or `false`", "object": "a section of further keys"}[str(kind)]


def _bounds(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    bounds = (("of at least", low), ("above", above), ("of at most", high), ("below", below))
    words = [f"{word} {bound}" for word, bound in bounds if bound is not None]
    return f" {' and '.join(words)}" if words else ""


def _expected_list(node: Schema) -> str:
    if "prefixItems" in node:
        return f"a list of {len(node['prefixItems'])} values, each {expected(_resolved(node['prefixItems'][0]))}"
    low, high = node.get("minItems", 0), node.get("maxItems")
    return f"a list of {low} to {high} values, each {expected(_resolved(node['items']))}"


def _item(node: Schema, index: int) -> Schema | None:
    for option in node.get("anyOf", [node]):
        prefix = option.get("prefixItems", [])
        if index < len(prefix):
            return _resolved(prefix[index])
        if "items" in option:
            return _resolved(option["items"])
    return None


def _resolved(node: Schema) -> Schema:
    """Follow a reference; what stands beside it, such as a description, stays in force."""
    if "$ref" not in node:
        return node
    target: dict[str, Any] = field_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


@cache
def _key_paths() -> tuple[KeyPath, ...]:
    return tuple(_walk(field_schema(), ()))


def _walk(node: Schema, loc: KeyPath) -> Iterator[KeyPath]:
    for key, child in children(node).items():
        yield (*loc, key)
        yield from _walk(_resolved(child.get("items", child)), (*loc, key))
