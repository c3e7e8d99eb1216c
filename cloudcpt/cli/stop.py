"""`cloudcpt stop [NAME]`: ask a job to stop."""

import click

from cloudcpt.cli import render
from cloudcpt.cli.job_view import job_document
from cloudcpt.cli.places import Places
from cloudcpt.cli.watch import wait_for_end
from cloudcpt.jobs.ports import JobState


@click.command()
@click.argument("name", required=False)
@click.option("--wait", is_flag=True, help="Return when the job has ended.")
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, name: str | None, wait: bool, output: str) -> None:
    """Ask the job NAME to stop after its current step; without NAME, the newest.

    No model is saved. Stopping a job that has ended already is not an error.
    """
    name = places.find(name)
    was_final = places.status(name).state.is_final
    places.stop(name)
    status = places.status(name)
    if wait and not was_final:
        status = wait_for_end(places, name)
    if output == "json":
        render.print_json(job_document(status))
    else:
        render.out().print(f"{name}: {_words(status.state, was_final=was_final)}")


def _words(state: JobState, *, was_final: bool) -> str:
    if was_final:
        return f"already {state}"
    # The service may take a while to say that it was asked.
    return str(state) if state.is_final or state is JobState.STOPPING else f"asked to stop, still {state}"
