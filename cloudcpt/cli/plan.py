"""`cloudcpt plan RECIPE`: show what a recipe will do before anything is spent."""

import json
import shlex
from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.diagnostics import as_json
from cloudcpt.cli.plan_view import show_plan
from cloudcpt.cli.prepare import prepare
from cloudcpt.cli.save import save as save_text

TARGETS = ("local", "container", "sagemaker", "hyperpod")

nodes_option = click.option(
    "--nodes",
    type=click.IntRange(0, 16),
    default=0,
    metavar="N",
    help="Containers of target `container`, instead of what the recipe says.",
)


def refuse_nodes_elsewhere(nodes: int, target: str) -> None:
    """Say that only containers can be more machines than there are.

    Raises:
        UsageError: a number was given for another target.
    """
    if nodes and target != "container":
        raise click.UsageError("`--nodes` is for target `container`; in the cloud the recipe's `replicas` counts")


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(TARGETS), help="Where to run, instead of what the recipe says.")
@click.option(
    "--samples",
    metavar="N",
    type=click.IntRange(min=1),
    help="Rows of `max_length` tokens to assume for each dataset that cannot be read from here.",
)
@nodes_option
@render.output_option
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Also write plan.json to this file.")
def command(recipe: Path, target: str | None, samples: int | None, nodes: int, output: str, save: Path | None) -> None:
    """Show what RECIPE will do: steps, tokens, learning rate, data, memory, time and cost.

    The plan is what will run: its hash is its identity, and one plan is one job. Nothing is started or sent.

    With --samples, data in S3, data that is not there yet and data that the recipe does not name are taken to be so
    many full rows. That shows time and cost; it is no job, because it identifies no data.
    """
    prepared = prepare(recipe, target=target, samples=samples or 0, nodes=nodes)
    refuse_nodes_elsewhere(nodes, prepared.plan.target if prepared.plan else "container")
    plan = prepared.require_plan()
    if plan.target == "container":
        from cloudcpt.cli.dry_run import rehearsal_of

        assert prepared.loaded is not None, "there is a plan of it"
        plan = rehearsal_of(plan, prepared.loaded.recipe.launch.container).plan
    assumed = [source.channel for source in plan.sources if source.is_assumed]
    if save is not None:
        if assumed:
            raise click.UsageError("--save writes what a job executes, and a plan with assumed data is no job")
        save_text(save, plan.to_json())
    if output == "json":
        render.print_json(
            {
                "hash": plan.hash,
                "job_name": None if assumed else plan.job_name,
                "assumed": {"samples": samples, "channels": assumed} if assumed else None,
                "diagnostics": [one for group in prepared.findings for one in as_json(group)],
                "plan": json.loads(plan.to_json()),
            }
        )
        return
    show_plan(plan)
    if assumed:
        render.err().print("\nnext: name data that can be read from here, and plan again", style="faint")
    elif save is None:
        options = [*(["--target", target] if target else []), *(["--nodes", str(nodes)] if nodes else [])]
        render.err().print(f"\nnext: cloudcpt submit {shlex.join([str(recipe), *options])}", style="faint")
    else:
        render.err().print(f"\nwrote {save}", style="faint")
