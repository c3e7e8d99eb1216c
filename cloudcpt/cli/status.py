"""`cloudcpt status [NAME]`: where a job stands."""

import click

from cloudcpt.cli import render
from cloudcpt.cli.job_view import job_document, show_end, show_job
from cloudcpt.cli.places import Places


@click.command()
@click.argument("name", required=False)
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
@click.pass_context
def command(context: click.Context, places: Places, name: str | None, output: str) -> None:
    """Show where the job NAME stands; without NAME, the newest.

    NAME may be the start of a name that no other job shares. The exit code is 6 for a job that failed and 7 for one
    that was stopped, so that a script can tell.
    """
    status = places.status(places.find(name))
    code = show_end(status, typed="status")
    if output == "json":
        render.print_json(job_document(status))
    else:
        show_job(status)
    context.exit(code)
