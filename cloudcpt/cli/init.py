"""`cloudcpt init`: write a commented recipe to start from."""

import json
import re
from difflib import get_close_matches
from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.save import save
from cloudcpt.cli.starter import starter_recipe
from cloudcpt.recipe.catalog import find_model, model_rows


@click.command()
@click.option("--model", "model_type", default="hf", show_default=True, help="A `model_type` of `cloudcpt models`.")
@click.option("--data", default="data/train.jsonl", show_default=True, help="Training data, from the recipe's folder.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("recipe.yaml"),
    show_default=True,
    help="The recipe to write.",
)
@click.option("--force", is_flag=True, help="Overwrite a recipe that is there.")
def command(model_type: str, data: str, output: Path, force: bool) -> None:
    """Write a commented recipe to start from; it is valid as it is, only data and weights must be there."""
    row = find_model(model_type)
    if row is None:
        near = get_close_matches(model_type, [row.model_type for row in model_rows()], n=1, cutoff=0.4)
        hint = f"did you mean `{near[0]}`?" if near else "`cloudcpt models` lists them all"
        raise click.UsageError(f"there is no model `{model_type}` in the catalog; {hint}")
    if output.exists() and not force:
        raise click.UsageError(f"`{output}` is there already; `--force` overwrites it, `--output` names another file")
    save(output, starter_recipe(row, path=str(output), name=_run_name(output), data=_quoted(data)))
    render.err().print(f"wrote {output}\nnext: cloudcpt validate {output}")


def _run_name(output: Path) -> str:
    """Make a valid `run.name` of the recipe's file name."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", output.stem).strip("-")[:63].strip("-")
    return name if name and name != "recipe" else "my-cpt"


def _quoted(text: str) -> str:
    """Write a path as YAML text; a plain one as it is, any other in double quotes as JSON, which YAML 1.2 reads."""
    return text if re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./:-]*", text) else json.dumps(text, ensure_ascii=False)
