"""Write what is generated under docs/: the recipe's JSON Schema, and the reference of fields, codes and commands.

Run by `make docs`; `tests/architecture/test_docs.py` fails when a file is not what this would write.
"""

import importlib
import json
from pathlib import Path

import click

from cloudcpt.cli.main import COMMANDS, EXIT_CODES, cli, command_module
from cloudcpt.cli.reference import recipe_fields
from cloudcpt.errors import explanations
from cloudcpt.recipe.schema import recipe_schema

DOCS = Path(__file__).parent


def generated() -> dict[str, str]:
    """Give every generated file's text by its name."""
    return {
        "recipe.schema.json": json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n",
        "recipe.md": _recipe(),
        "codes.md": _codes(),
        "commands.md": _commands(),
    }


def _recipe() -> str:
    lines = [
        "# Recipe reference",
        "",
        "Every key of a recipe, generated from the schema that `cloudcpt schema recipe` prints.",
        "`cloudcpt explain KEY` shows one.",
        "Rules between keys are in the diagnostics, see [codes.md](codes.md).",
        "",
        "| key | type | allowed | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for field in recipe_fields().values():
        default = "required" if field.required else f"`{field.default}`" if field.default else ""
        meaning = " ".join(field.text.split())
        cells = (f"`{field.path}`", field.type, field.allowed, default, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _codes() -> str:
    lines = ["# Diagnostic codes", "", "Generated from `cloudcpt/codes.toml`; `cloudcpt explain CODE` shows one.", ""]
    for explanation in explanations().values():
        lines += [f"## {explanation.code}: {explanation.title}", "", explanation.text, ""]
    return "\n".join(lines)


def _commands() -> str:
    lines = [
        "# Commands",
        "",
        "Generated from the command line itself.",
        "",
        "## Exit codes",
        "",
        "| code | meaning |",
        "|---|---|",
    ]
    lines += [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    parent = click.Context(cli, info_name="cloudcpt", **cli.context_settings)
    for name in COMMANDS:
        lines += _command(importlib.import_module(command_module(name)).command, name, parent, "##")
    return "\n".join(lines) + "\n"


def _command(command: click.Command, name: str, parent: click.Context, level: str) -> list[str]:
    """Write the help of a command, and below it that of its own commands if it is a group."""
    # A fixed width: the page must not depend on the terminal that made it.
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
    title = context.command_path.partition(" ")[2]
    lines = ["", f"{level} {title}", "", "```text", command.get_help(context).rstrip(), "```"]
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None, f"`{title}` lists `{each}` and does not have it"
            lines += _command(found, each, context, f"{level}#")
    return lines


if __name__ == "__main__":
    for name, text in generated().items():
        (DOCS / name).write_text(text, "utf-8")
