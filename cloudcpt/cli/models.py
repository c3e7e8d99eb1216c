"""`cloudcpt models`: what a recipe's `run.model_type` can be."""

from dataclasses import asdict

import click

from cloudcpt.cli import render
from cloudcpt.cli.quantities import count
from cloudcpt.plan.base_model import TRAINABLE_ARCHITECTURES
from cloudcpt.recipe.catalog import ModelRow, model_rows


@click.command()
@render.output_option
def command(output: str) -> None:
    """List the models that a recipe can name, with the machines each may use.

    `trains` says whether this version can train the model. Nova's weights stay with AWS, which trains them, and its
    sizes are not public. `hf` stands for any other model whose weights are at hand; whether it trains depends on the
    type in its config.json. `--output json` has every fact, where it is from and when it was checked.
    """
    rows = model_rows()
    if output == "json":
        render.print_json({"models": [{**asdict(row), "trains": _trains(row)} for row in rows]})
        return
    headers = ["model_type", "family", "class", "parameters", "context", "replicas", "trains", "licence"]
    render.show_table(headers, [_cells(row) for row in rows], right=["parameters", "context"])


def _cells(row: ModelRow) -> list[str]:
    return [
        row.model_type,
        row.family,
        row.size_class or "by size",
        count(row.parameters) if row.parameters else "-",
        f"{row.context:,}" if row.context else "-",
        "/".join(str(replicas) for replicas in row.replicas),
        _trains(row),
        row.licence,
    ]


def _trains(row: ModelRow) -> str:
    if row.family == "nova":
        return "at AWS"
    if not row.architecture:
        return "by type"
    return "yes" if row.architecture in TRAINABLE_ARCHITECTURES else "no"
