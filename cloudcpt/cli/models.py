"""`cloudcpt models`: what a recipe's `run.model_type` can be."""

from dataclasses import asdict
from difflib import get_close_matches

import click

from cloudcpt.cli import render
from cloudcpt.cli.quantities import count
from cloudcpt.plan.architectures import TRAINABLE_ARCHITECTURES
from cloudcpt.recipe.catalog import ModelRow, find_model, model_rows


@click.command()
@click.argument("name", required=False)
@render.output_option
def command(name: str | None, output: str) -> None:
    """List the models that a recipe can name, or show everything about the one called NAME.

    `tested` says on what this version has trained models of that type. Nova's weights stay with AWS, which trains them,
    and its sizes are not public. `hf` stands for any other model whose weights are at hand; whether it can be trained
    depends on the type in its config.json, and `cloudcpt model check` says it. `--output json` has every fact, where
    it is from and when it was checked.
    """
    rows = model_rows() if name is None else (_named(name),)
    if output == "json":
        render.print_json({"models": [{**asdict(row), "tested": _tested(row)} for row in rows]})
    elif name is None:
        headers = ["model_type", "type", "class", "parameters", "context", "replicas", "tested", "languages", "licence"]
        render.show_table(headers, [_cells(row) for row in rows], right=["parameters", "context"])
    else:
        render.show_pairs((key.replace("_", " "), words) for key, words in _facts(rows[0]))


def _named(name: str) -> ModelRow:
    if (row := find_model(name)) is not None:
        return row
    names = [row.model_type for row in model_rows()]
    family = [known for known in names if name.lower() in known.lower()]  # `llama` is nearer to all than to one
    near = family or get_close_matches(name, names, n=1)
    meant = " or ".join(f"`{known}`" for known in near)
    hint = f"; did you mean {meant}?" if near else "; a recipe calls any other model `hf`"
    raise click.UsageError(f"the catalog has no model `{name}`{hint}")


def _cells(row: ModelRow) -> list[str]:
    return [
        row.model_type,
        row.architecture or "-",
        row.size_class or "by size",
        count(row.parameters) if row.parameters else "-",
        f"{row.context:,}" if row.context else "-",
        "/".join(str(replicas) for replicas in row.replicas),
        _tested(row),
        row.languages.partition(",")[0] + (" ..." if "," in row.languages else ""),
        row.licence,
    ]


def _facts(row: ModelRow) -> list[tuple[str, str]]:
    facts = {**asdict(row), "tested": _tested(row)}
    return [(key, _words(value)) for key, value in facts.items() if value not in (0, "", (), False)]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if type(value) is int else "yes" if value is True else str(value)


def _tested(row: ModelRow) -> str:
    """Say on what models of this type were trained: tiny random ones by the tests, which is not this one on a GPU."""
    if row.family == "nova":
        return "at AWS"
    if not row.architecture:
        return "by type"
    assert row.architecture in TRAINABLE_ARCHITECTURES, f"`{row.model_type}` is in the catalog and cannot be trained"
    return "tiny, CPU"
