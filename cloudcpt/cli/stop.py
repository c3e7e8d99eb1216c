"""`cloudcpt stop [NAME]`: ask a job to stop."""

import click

from cloudcpt.cli import render
from cloudcpt.cli.job_view import job_document
from cloudcpt.jobs.follow import follow
from cloudcpt.jobs.names import find_job
from cloudcpt.local.engine import LocalEngine


@click.command()
@click.argument("name", required=False)
@click.option("--wait", is_flag=True, help="Return when the job has ended.")
@render.output_option
@click.make_pass_decorator(LocalEngine, ensure=True)
def command(engine: LocalEngine, name: str | None, wait: bool, output: str) -> None:
    """Ask the job NAME to stop after its current step; without NAME, the newest.

    No model is saved. Stopping a job that has ended already is not an error.
    """
    name = find_job(engine.names(), name)
    was_final = engine.status(name).state.is_final
    engine.stop(name)
    status = engine.status(name)
    if wait:
        with render.live_progress(f"waiting for {name}") as bar:
            for update in follow(engine, engine, name):
                status = update.status
                bar.update(0, None, status.state)
    if output == "json":
        render.print_json(job_document(status))
    else:
        render.out().print(f"{name}: {'already ' if was_final else ''}{status.state}")
