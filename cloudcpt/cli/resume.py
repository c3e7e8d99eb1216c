"""`cloudcpt resume [NAME]`: let a job go on that was interrupted."""

import click

from cloudcpt.cli import render
from cloudcpt.cli.places import Places
from cloudcpt.cli.submission_view import see_through
from cloudcpt.errors import UsageProblem
from cloudcpt.jobs.ports import START
from cloudcpt.jobs.resume import refusal, resume


@click.command()
@click.argument("name", required=False)
@click.option("--follow", is_flag=True, help="Show the job until it has ended; Ctrl-C leaves the job alone.")
@click.option("--yes", is_flag=True, help="Do not ask before money is spent; a job on this machine spends none.")
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
@click.pass_context
def command(context: click.Context, places: Places, name: str | None, follow: bool, yes: bool, output: str) -> None:
    """Let the job NAME go on that failed or was stopped, from its recovery state; without NAME, the newest.

    It goes on bit for bit, as if nothing had happened: the same plan, the same data, the next step. That takes a recipe
    with `checkpoint.recovery_every_steps`. A job on this machine goes on in its folder; one in the cloud as a new
    attempt, after the account was looked at and the cost asked about.

    The exit code is that of `submit`.
    """
    status = places.status(places.find(name))
    if fault := refusal(status):
        raise UsageProblem(fault)
    position = START
    if places.is_local(status.name):
        position = _end_of_log(places, status.name)
    else:
        from cloudcpt.cli.dispatch import ask

        ask(places, places.plan(status.name), yes=yes)
    submission = resume(places, status)
    render.err().print(f"going on after step {status.recovery_step:,}")
    context.exit(see_through(places, submission, follow=follow, output=output, position=position))


def _end_of_log(places: Places, name: str) -> str:
    """Find where the lines of the next attempt will begin."""
    position, ended = START, False
    while not ended:
        chunk = places.read(name, position)
        position, ended = chunk.position, chunk.ended
    return position
