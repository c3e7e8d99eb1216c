"""`cloudcpt submit RECIPE`: start the one job of a recipe, or find it."""

import json
from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.job_view import job_document, result_pairs, show_end, show_next
from cloudcpt.cli.plan import TARGETS
from cloudcpt.cli.plan_view import plan_line
from cloudcpt.cli.prepare import prepare
from cloudcpt.cli.watch import watch
from cloudcpt.errors import PlanError, SetupError, error
from cloudcpt.jobs.ports import JobStatus
from cloudcpt.jobs.submit import submit
from cloudcpt.local.engine import LocalEngine
from cloudcpt.plan.plan import Plan


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(TARGETS), help="Where to run, instead of what the recipe says.")
@click.option("--follow", is_flag=True, help="Show the job until it has ended; Ctrl-C leaves the job alone.")
@click.option("--force", is_flag=True, help="Start over when the job of this plan failed or was stopped.")
@click.option("--stand-in", is_flag=True, help="Rehearse on a tiny random model instead of the named one.")
@click.option("--dry-run", is_flag=True, help="Print what would be created, as JSON, and create nothing.")
@click.option("--yes", is_flag=True, help="Do not ask before money is spent; target `local` spends none.")
@render.output_option
@click.make_pass_decorator(LocalEngine, ensure=True)
@click.pass_context
def command(
    context: click.Context,
    engine: LocalEngine,
    recipe: Path,
    target: str | None,
    follow: bool,
    force: bool,
    stand_in: bool,
    dry_run: bool,
    yes: bool,  # noqa: ARG001  # scripts may say it for every target
    output: str,
) -> None:
    """Check RECIPE and its data, plan it, and start its job.

    A plan is one job: submitting it again finds the job, running or completed, and starts nothing. The job goes on when
    this command or the terminal is gone.
    """
    _refuse_what_cannot_run_here(recipe, target, stand_in=stand_in)
    plan = prepare(recipe, target=target, stand_in=stand_in).require_plan()
    if dry_run:
        render.print_json(_preview(engine, plan))
        return
    render.err().print(plan_line(plan))
    submission = submit(engine, plan, replace=force)
    status = engine.status(submission.name)
    if not (submission.adopted and status.state.is_final):
        if not follow:
            _show_started(status, adopted=submission.adopted, output=output)
            return
        render.err().print(f"{status.name}: {'found' if submission.adopted else 'started'}")
        status = watch(engine, submission.name, show=lambda line: click.echo(line, err=True))
    _show_ended(status, adopted=submission.adopted, output=output)
    context.exit(show_end(status))


def _refuse_what_cannot_run_here(recipe: Path, target: str | None, *, stand_in: bool) -> None:
    """Say what no check of the data could change, before gigabytes of it are read.

    Raises:
        RecipeError: the recipe is wrong.
        SetupError: this version cannot start jobs there.
        PlanError: the weights are not to be had here.
    """
    from cloudcpt.plan.site import choose_target
    from cloudcpt.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    chosen = choose_target(loaded, target)
    if chosen != "local":
        hint = f"rehearse it on this machine: `cloudcpt submit {recipe} --target local --stand-in`"
        raise SetupError(error("CPT474", f"this version cannot start jobs on target `{chosen}`", hint=hint))
    if loaded.recipe.is_nova and not stand_in:
        message = (
            f"the weights of `{loaded.recipe.run.model_type}` stay with AWS, they cannot be trained on this machine"
        )
        hint = "rehearse the same data and schedule on a tiny random model with `--stand-in`"
        raise PlanError(error("CPT475", message, place=loaded.place("run", "model_type"), hint=hint))


def _preview(engine: LocalEngine, plan: Plan) -> dict[str, object]:
    folder = engine.folder(plan.job_name)
    return {
        "job_name": plan.job_name,
        "target": plan.target,
        "state": engine.status(plan.job_name).state if plan.job_name in engine.names() else None,
        "folder": folder.root,
        "command": [*engine.trainer.command, "--root", folder.ml.root],
        "plan_hash": plan.hash,
        "plan": json.loads(plan.to_json()),
    }


def _show_started(status: JobStatus, *, adopted: bool, output: str) -> None:
    if output == "json":
        render.print_json({"adopted": adopted, **job_document(status)})
    else:
        render.out().print(f"{status.name}: {'found, it is ' + status.state if adopted else 'started'}")
        show_next(status)


def _show_ended(status: JobStatus, *, adopted: bool, output: str) -> None:
    if output == "json":
        render.print_json({"adopted": adopted, **job_document(status)})
        return
    render.out().print(f"{status.name}: {status.state}")
    render.show_pairs(result_pairs(status))
