"""`cloudcpt fetch [NAME] [DEST]`: get the model of a completed job, or its checkpoints, every file verified."""

import re
from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.places import Places
from cloudcpt.errors import TransientError, UsageProblem, error
from cloudcpt.jobs.fetch import fetch_checkpoint, fetch_model, refuse_faults
from cloudcpt.jobs.outcome import outcome_error
from cloudcpt.jobs.ports import JobStatus
from cloudcpt.wire import step_name


@click.command()
@click.argument("name", required=False)
@click.argument("dest", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a model that was fetched to DEST before.")
@click.option("--verify-only", is_flag=True, help="Verify the model where it is, copy nothing.")
@click.option(
    "--checkpoint",
    metavar="STEP|all",
    help="Get the model that was kept after this step instead, `500` or `step-500`; `all` gets each of them.",
)
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
def command(
    places: Places,
    name: str | None,
    dest: Path | None,
    force: bool,
    verify_only: bool,
    checkpoint: str | None,
    output: str,
) -> None:
    """Copy the model of the job NAME to the folder DEST and verify every file of the copy by its SHA-256.

    Without NAME, the newest job; without DEST, a folder of the job's name right here. DEST appears when all of it is
    there and verified, or not at all. What lies in S3 is verified there by names and sizes; its bytes, when it is here.

    With `--checkpoint`, DEST holds a folder for each checkpoint; the job may still run, or have failed.
    """
    if verify_only and (dest is not None or force):
        raise click.UsageError("`--verify-only` copies nothing: leave DEST and `--force` out")
    if verify_only and checkpoint:
        raise click.UsageError("`--verify-only` is about the final model: leave `--checkpoint` out")
    status = places.status(places.find(name))
    if checkpoint:
        _fetch_checkpoints(places, status, _steps(status, checkpoint), dest, replace=force, output=output)
        return
    _refuse_without_model(status)
    place = dest or Path(status.name)
    with render.live_progress(f"{'verifying' if verify_only else 'fetching'} the model of {status.name}") as bar:
        bar.update(0, None)
        if verify_only:
            refuse_faults(status.name, places.faults(status.name))
            place = Path(status.model or "")
        else:
            fetch_model(places, status, place, replace=force)
    is_whole = places.is_local(status.name) or not verify_only
    if output == "json":
        shown = str(place.absolute()) if is_whole else status.model
        by = "sha256" if is_whole else "names and sizes"
        render.print_json({"name": status.name, "model": shown, "verified": True, "verified_by": by})
    elif is_whole:
        render.out().print(f"{place}: complete, every file verified")
    else:
        render.out().print(f"{status.model}: complete, names and sizes verified; `fetch` verifies every byte")


def _refuse_without_model(status: JobStatus) -> None:
    if ended := outcome_error(status):
        raise ended
    if not status.state.is_final:
        message = f"job `{status.name}` is `{status.state}`: there is no model yet"
        raise TransientError(error("CPT477", message, hint=f"wait for it: `cloudcpt logs -f {status.name}`"))


def _steps(status: JobStatus, wanted: str) -> tuple[int, ...]:
    """Read which checkpoints are meant.

    Raises:
        UsageProblem: the job has none, or not this one.
    """
    if not status.checkpoints:
        hint = "with `checkpoint.every_steps` in its recipe a job keeps some"
        raise UsageProblem(error("CPT478", f"job `{status.name}` keeps no checkpoints", hint=hint))
    if wanted == "all":
        return status.checkpoints
    match = re.fullmatch(r"(?:step-)?(\d{1,18})", wanted)
    if match and int(match[1]) in status.checkpoints:
        return (int(match[1]),)
    there = ", ".join(f"`{step}`" for step in status.checkpoints[-10:])
    message = f"job `{status.name}` keeps no checkpoint `{wanted}`"
    raise UsageProblem(error("CPT478", message, hint=f"those of steps {there} are there, or `all`"))


def _fetch_checkpoints(
    places: Places, status: JobStatus, steps: tuple[int, ...], dest: Path | None, *, replace: bool, output: str
) -> None:
    above = dest or Path(f"{status.name}-checkpoints")
    with render.live_progress(f"fetching checkpoints of {status.name}") as bar:
        for number, step in enumerate(steps):
            bar.update(number, len(steps), step_name(step))
            fetch_checkpoint(places, status, step, above / step_name(step), replace=replace)
    fetched = {step: above / step_name(step) for step in steps}
    if output == "json":
        rows = [{"step": step, "model": str(place.absolute())} for step, place in fetched.items()]
        render.print_json({"name": status.name, "checkpoints": rows, "verified": True, "verified_by": "sha256"})
        return
    for place in fetched.values():
        render.out().print(f"{place}: complete, every file verified")
