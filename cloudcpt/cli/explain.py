"""`cloudcpt explain [CODE | FIELD]`: what a diagnostic code means, or what a recipe field is for."""

import re
from dataclasses import replace
from difflib import get_close_matches

import click

from cloudcpt.cli import render
from cloudcpt.cli.reference import Field, recipe_fields
from cloudcpt.errors import Explanation, explanations

_CODE = re.compile(r"(?:CPT)?(\d{3})", re.IGNORECASE)


@click.command()
@click.argument("subject", required=False, metavar="[CODE | FIELD]")
@render.output_option
def command(subject: str | None, output: str) -> None:
    """Explain a diagnostic code such as CPT204, or a recipe field such as run.replicas.

    Without an argument, list all codes. The last part of a field's path is enough where it is unique: max_length.
    """
    if subject is None:
        _list_codes(output)
    elif match := _CODE.fullmatch(subject):
        _show_code(_find_code(f"CPT{match[1]}"), output)
    else:
        _show_fields(_find_fields(subject), output)


def _list_codes(output: str) -> None:
    codes = explanations()
    if output == "json":
        render.print_json({"codes": list(codes.values())})
    else:
        render.show_table(["code", "title"], [(code, row.title) for code, row in codes.items()])


def _find_code(code: str) -> Explanation:
    codes = explanations()
    if code not in codes:
        near = get_close_matches(code, codes, n=3, cutoff=0.8)
        hint = f"; near it are {', '.join(f'`{name}`' for name in near)}" if near else ""
        raise click.UsageError(f"there is no code `{code}`{hint}; `cloudcpt explain` lists them all")
    return codes[code]


def _show_code(row: Explanation, output: str) -> None:
    if output == "json":
        render.print_json(row)
        return
    render.out().print(f"{row.code}: {row.title}", style="title")
    render.out().print()
    render.show_prose(row.text)


def _find_fields(name: str) -> list[Field]:
    """Find a field by its path, or all fields that end in what was given."""
    fields = recipe_fields()
    if name in fields:
        return [fields[name]]
    found = [field for path, field in fields.items() if path.endswith((f".{name}", f".{name}[]"))]
    if not found:
        ends = {path.rpartition(".")[2]: path for path in fields}
        near = [ends.get(match, match) for match in get_close_matches(name, [*fields, *ends], n=3, cutoff=0.6)]
        hint = f"; did you mean {' or '.join(f'`{path}`' for path in dict.fromkeys(near))}?" if near else ""
        raise click.UsageError(f"`{name}` is neither a code nor a field of the recipe{hint}")
    return found


def _show_fields(found: list[Field], output: str) -> None:
    if output == "json":
        render.print_json({"fields": found})
        return
    alike: dict[Field, list[str]] = {}  # `optim` may stand in two places and means the same in both
    for field in found:
        alike.setdefault(replace(field, path=""), []).append(field.path)
    for number, (field, paths) in enumerate(alike.items()):
        if number:
            render.out().print()
        _show_field(field, paths)


def _show_field(field: Field, paths: list[str]) -> None:
    for path in paths:
        render.out().print(path, style="title")
    facts = {"type": field.type, "allowed": field.allowed, "default": field.default}
    facts["required"] = "yes" if field.required else ""
    render.show_pairs((name, value) for name, value in facts.items() if value)
    if field.text:
        render.out().print()
        render.show_prose(field.text)
