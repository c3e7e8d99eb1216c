"""`cloudcpt iam print [RECIPE]`: the least-privilege IAM policies of a recipe's jobs, filled in."""

import json
import re
import sys
from pathlib import Path

import click

from cloudcpt.cli import render

POLICIES = ("client", "execution", "trust")

_PLACEHOLDER = re.compile(r"<[a-z]+>")


@click.command()
@click.argument("what", type=click.Choice(["print"]))
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@click.option(
    "--role",
    type=click.Choice([*POLICIES, "all"]),
    default="all",
    show_default=True,
    help="Whose: of whoever submits, of the job, or who may be the job.",
)
@render.output_option
def command(what: str, recipe: Path | None, role: str, output: str) -> None:  # noqa: ARG001  # there is one thing to do
    """Print the IAM policies that jobs need and no more, as JSON on stdout.

    With RECIPE they are filled in: its buckets and prefixes, keys, role, image, Region and account. Without, and for
    what it does not say, there are placeholders such as <account>. Nothing is asked of AWS, and nothing is changed.

    A single policy is printed as IAM takes it: cloudcpt iam print recipe.yaml --role trust > trust.json
    """
    from cloudcpt.jobs.access import access_of_recipe, unnamed_access
    from cloudcpt.jobs.policies import client_policy, execution_policy, trust_policy

    access = unnamed_access()
    if recipe is not None:
        from cloudcpt.recipe.load import load_recipe

        access = access_of_recipe(load_recipe(recipe))
    made = zip(POLICIES, (client_policy, execution_policy, trust_policy), strict=True)
    chosen = {name: make(access) for name, make in made if role in (name, "all")}
    if output == "json":
        render.print_json({"policies": chosen})
    else:
        sys.stdout.write(json.dumps(chosen if role == "all" else chosen[role], indent=2) + "\n")
    if missing := sorted(set(_PLACEHOLDER.findall(json.dumps(chosen)))):
        render.err().print(f"fill in: {', '.join(missing)}", style="hint")
