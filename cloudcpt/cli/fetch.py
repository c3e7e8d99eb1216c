"""`cloudcpt fetch [NAME] [DEST]`: get the model of a completed job, every file of it verified."""

from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.places import Places
from cloudcpt.errors import TransientError, error
from cloudcpt.jobs.fetch import fetch_model, refuse_faults
from cloudcpt.jobs.outcome import outcome_error
from cloudcpt.jobs.ports import JobStatus


@click.command()
@click.argument("name", required=False)
@click.argument("dest", required=False, type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a model that was fetched to DEST before.")
@click.option("--verify-only", is_flag=True, help="Verify the model where it is, copy nothing.")
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, name: str | None, dest: Path | None, force: bool, verify_only: bool, output: str) -> None:
    """Copy the model of the job NAME to the folder DEST and verify every file of the copy by its SHA-256.

    Without NAME, the newest job; without DEST, a folder of the job's name right here. DEST appears when all of it is
    there and verified, or not at all. What lies in S3 is verified there by names and sizes; its bytes, when it is here.
    """
    if verify_only and (dest is not None or force):
        raise click.UsageError("`--verify-only` copies nothing: leave DEST and `--force` out")
    status = places.status(places.find(name))
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
