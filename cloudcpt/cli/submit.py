"""`cloudcpt submit RECIPE`: start the one job of a recipe, or find it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.command_line import command_line
from cloudcpt.cli.places import Places
from cloudcpt.cli.plan import TARGETS, nodes_option, refuse_nodes_elsewhere
from cloudcpt.cli.plan_view import plan_line
from cloudcpt.cli.prepare import Prepared, prepare
from cloudcpt.cli.submission_view import see_through
from cloudcpt.errors import Diagnostic, Place, PlanError, SetupError, error
from cloudcpt.jobs.ports import Submission
from cloudcpt.jobs.submit import submit
from cloudcpt.local.engine import LocalEngine
from cloudcpt.plan.plan import Plan, read_plan

if TYPE_CHECKING:
    from cloudcpt.recipe.load import LoadedRecipe


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--target", type=click.Choice(TARGETS), help="Where to run, instead of what the recipe says.")
@click.option("--follow", is_flag=True, help="Show the job until it has ended; Ctrl-C leaves the job alone.")
@click.option("--force", is_flag=True, help="Start over when the job of this plan failed or was stopped.")
@click.option("--stand-in", is_flag=True, help="Rehearse on a tiny random model instead of the named one.")
@click.option(
    "--plan",
    "saved",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Insist on the plan that `plan --save` wrote: refuse when recipe or data give another one now.",
)
@nodes_option
@click.option(
    "--engine",
    type=click.Choice(["container", "process"]),
    help="What target `container` runs in; `process` is target `local`, and proves nothing about the image.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be sent or made, as JSON, and do neither.")
@click.option("--yes", is_flag=True, help="Do not ask before money is spent; target `local` spends none.")
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
@click.pass_context
def command(
    context: click.Context,
    places: Places,
    recipe: Path,
    target: str | None,
    follow: bool,
    force: bool,
    stand_in: bool,
    saved: Path | None,
    nodes: int,
    engine: str | None,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Check RECIPE and its data, plan it, and start its job.

    A plan is one job: submitting it again finds the job, running or completed, and starts nothing. The job goes on when
    this command or the terminal is gone.

    For the cloud the account is looked at first, then the cost is shown and asked about, then what the job reads is
    uploaded. An upload that was cut off goes on where it was when the same command is given again.
    """
    target = _target_that_can_run(recipe, target, engine, nodes=nodes, stand_in=stand_in)
    prepared = prepare(recipe, target=target, stand_in=stand_in, nodes=nodes)
    plan, about = prepared.require_plan(), ""
    if plan.target == "container":
        plan, about = _rehearse(places, prepared, plan)
    if saved is not None:
        _refuse_another(read_plan(saved), plan, saved)
    if dry_run:
        render.print_json(_preview(places, plan, prepared))
        return
    submission = _start(places, plan, prepared, again=command_line(context), force=force, yes=yes)
    if about and not submission.adopted:
        render.err().print(about)
    if force and submission.adopted:
        state = places.status(submission.name).state
        render.err().print(f"`--force` starts over what failed or was stopped; this job is {state}")
    context.exit(see_through(places, submission, follow=follow, output=output))


def _start(places: Places, plan: Plan, prepared: Prepared, *, again: str, force: bool, yes: bool) -> Submission:
    if plan.launch is None:
        render.err().print(plan_line(plan))
        return submit(places, plan, replace=force)
    from cloudcpt.cli.dispatch import dispatch, ready_request

    ready_request(plan, prepared.loaded)
    render.err().print(plan_line(plan))
    return dispatch(places, plan, prepared.paths, again=again, force=force, yes=yes)


def _rehearse(places: Places, prepared: Prepared, plan: Plan) -> tuple[Plan, str]:
    """Have the local engine run the job in containers; give the plan with their image, and what to say of it.

    Raises:
        SetupError: there is no container engine, no image, or no way to give a container its folder.
    """
    from cloudcpt.cli.dry_run import rehearsal_of

    assert prepared.loaded is not None, "there is a plan of it"
    if ":" in str(places.local.state):
        message = f"the folder of jobs, `{places.local.state}`, has a colon, and to container engines that is its end"
        raise SetupError(error("CPT799", message, hint="name another folder in $CLOUDCPT_STATE_DIR"))
    rehearsal = rehearsal_of(plan, prepared.loaded.recipe.launch.container)
    places.local = LocalEngine(places.local.state, trainer=rehearsal.trainer)
    return rehearsal.plan, rehearsal.shown


def _target_that_can_run(recipe: Path, target: str | None, engine: str | None, *, nodes: int, stand_in: bool) -> str:
    """Choose the target, and say what no check of the data could change, before gigabytes of it are read.

    Raises:
        RecipeError: the recipe is wrong.
        SetupError: no job can be started there.
        PlanError: the weights are not to be had there.
        UsageError: an option is for another target.
    """
    from cloudcpt.plan.site import choose_target
    from cloudcpt.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    chosen = choose_target(loaded, target)
    if engine and chosen != "container":
        raise click.UsageError("`--engine` is for target `container`")
    if engine == "process":
        if nodes > 1 or (not nodes and loaded.recipe.launch.container.machines > 1):
            raise click.UsageError("`--engine process` has one machine: `--nodes 1`, or leave the option out")
        render.err().print(
            "dry run in processes of this machine: it proves nothing about the image or its surroundings"
        )
        chosen = "local"
    else:
        refuse_nodes_elsewhere(nodes, chosen)
    if chosen == "hyperpod":
        raise SetupError(_no_such_place(recipe))
    if chosen == "container":
        from cloudcpt.local.containers import find_engine

        find_engine(loaded.recipe.launch.container.engine)
    if loaded.recipe.is_nova and not stand_in:
        _refuse_missing_weights(loaded, chosen)
    return chosen


def _no_such_place(recipe: Path) -> Diagnostic:
    message = "HyperPod clusters take a recipe, not a job: `submit` does not start jobs there"
    hint = f"`cloudcpt render {recipe} --target hyperpod` writes the recipe that a cluster takes"
    return error("CPT474", message, hint=hint)


def _refuse_missing_weights(loaded: "LoadedRecipe", target: str) -> None:
    """Refuse a Nova recipe where nothing has its weights.

    Raises:
        PlanError: on this machine, and in a training job without an image that has them.
    """
    model, place = loaded.recipe.run.model_type, loaded.place("run", "model_type")
    if target in ("local", "container"):
        message = f"the weights of `{model}` stay with AWS, they cannot be trained on this machine"
        hint = "rehearse the same data and schedule on a tiny random model with `--stand-in`"
        raise PlanError(error("CPT475", message, place=place, hint=hint))
    if not loaded.recipe.launch.image:
        message = f"no public image trains `{model}` in a training job"
        hint = (
            f"`cloudcpt render {loaded.path} --target hyperpod` makes it ready for HyperPod, where AWS's own container "
            "trains it; or name in `launch.image` an image that AWS gave you"
        )
        raise PlanError(error("CPT580", message, place=place, hint=hint))


def _refuse_another(saved: Plan, plan: Plan, path: Path) -> None:
    """Refuse a saved plan that is not what recipe and data give now: it was edited, or they were.

    Raises:
        PlanError: with the fields that differ.
    """
    if saved.hash == plan.hash:
        return
    before, now = json.loads(saved.to_json()), json.loads(plan.to_json())
    differ = ", ".join(f"`{name}`" for name in now if before[name] != now[name])
    message = f"`{path}` is not the plan that recipe and data give now, they differ in {differ}"
    hint = f"look at the new plan and save it again: `cloudcpt plan {plan.recipe_path} --save {path}`"
    raise PlanError(error("CPT761", message, place=Place(path=str(path)), hint=hint))


def _preview(places: Places, plan: Plan, prepared: Prepared) -> dict[str, object]:
    if plan.launch is None:
        return _local_preview(places.local, plan)
    from cloudcpt.cli.dispatch import preview, ready_request

    return preview(places, plan, prepared.paths, ready_request(plan, prepared.loaded))


def _local_preview(engine: LocalEngine, plan: Plan) -> dict[str, object]:
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
