"""`cloudcpt schema [recipe|plan|manifest]`: print the JSON Schema of a document, for editors and for readers.

The documents are JSON Schema (draft 2020-12) and nothing else: the `schema_version` of other JSON outputs would be a
keyword that no validator knows.
"""

import json
from typing import Any

import click

DRAFT = "https://json-schema.org/draft/2020-12/schema"


@click.command()
@click.argument("document", type=click.Choice(["recipe", "plan", "manifest"]), default="recipe")
def command(document: str) -> None:
    """Print the JSON Schema (draft 2020-12) of DOCUMENT: the recipe, plan.json or a model's manifest.json.

    After `cloudcpt schema recipe > recipe.schema.json` an editor that speaks YAML completes and checks every recipe
    whose first line is `# yaml-language-server: $schema=recipe.schema.json`.
    """
    click.echo(json.dumps(schema_of(document), indent=2, ensure_ascii=False))


def schema_of(document: str) -> dict[str, Any]:
    """Build the schema of `recipe`, `plan` or `manifest`."""
    if document == "recipe":
        from cloudcpt.recipe.schema import recipe_schema

        return recipe_schema()
    if document == "manifest":
        from cloudcpt.wire import MANIFEST_SCHEMA

        return MANIFEST_SCHEMA
    return _plan_schema()


def _plan_schema() -> dict[str, Any]:
    from pydantic import TypeAdapter

    from cloudcpt.plan.plan import Plan
    from cloudcpt.wire import SCHEMA_VERSION

    schema = TypeAdapter(Plan).json_schema()
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    return {"$schema": DRAFT, "title": "cloudcpt plan", **schema}
