"""`cloudcpt fetch [NAME] [DEST]`: get the model of a completed job, every file of it verified."""

from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.errors import TransientError, error
from cloudcpt.jobs.fetch import fetch_model, refuse_faults
from cloudcpt.jobs.names import find_job
from cloudcpt.jobs.outcome import outcome_error
from cloudcpt.jobs.ports import JobStatus
from cloudcpt.local.engine import LocalEngine


@click.command()
@click.argument("name", required=False)
@click.argument("dest", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a model that was fetched to DEST before.")
@click.option("--verify-only", is_flag=True, help="Verify the model where it is, copy nothing.")
@render.output_option
@click.make_pass_decorator(LocalEngine, ensure=True)
def command(
    engine: LocalEngine, name: str | None, dest: Path | None, force: bool, verify_only: bool, output: str
) -> None:
    """Copy the model of the job NAME to the folder DEST and verify every file of the copy by its SHA-256.

    Without NAME, the newest job; without DEST, a folder of the job's name right here. DEST appears when all of it is
    there and verified, or not at all.
    """
    if verify_only and (dest is not None or force):
        raise click.UsageError("`--verify-only` copies nothing: leave DEST and `--force` out")
    status = engine.status(find_job(engine.names(), name))
    _refuse_without_model(status)
    place = dest or Path(status.name)
    with render.live_progress(f"{'verifying' if verify_only else 'fetching'} the model of {status.name}") as bar:
        bar.update(0, None)
        if verify_only:
            refuse_faults(status.name, engine.faults(status.name))
            place = Path(status.model or "")
        else:
            fetch_model(engine, status, place, replace=force)
    if output == "json":
        render.print_json({"name": status.name, "model": place.absolute(), "verified": True})
    else:
        render.out().print(f"{place}: complete, every file verified")


def _refuse_without_model(status: JobStatus) -> None:
    if ended := outcome_error(status):
        raise ended
    if not status.state.is_final:
        message = f"job `{status.name}` is `{status.state}`: there is no model yet"
        raise TransientError(error("CPT477", message, hint=f"wait for it: `cloudcpt logs -f {status.name}`"))
