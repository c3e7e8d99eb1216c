"""`cloudcpt logs [NAME] [-f]`: what a job printed, and what it goes on to print."""

from collections import deque

import click

from cloudcpt.cli import render
from cloudcpt.cli.job_view import result_pairs, show_end
from cloudcpt.cli.places import Places
from cloudcpt.cli.watch import log_line, watch
from cloudcpt.jobs.ports import START


@click.command()
@click.argument("name", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended; Ctrl-C leaves the job alone.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last so many lines.")
@click.make_pass_decorator(Places, ensure=True)
@click.pass_context
def command(context: click.Context, places: Places, name: str | None, follow: bool, tail: int | None) -> None:
    """Show what the job NAME printed; without NAME, the newest.

    Control characters are shown as signs, so that a log cannot act on the terminal. With `--follow` the exit code says
    how the job ended: 0 completed, 6 failed, 7 stopped.
    """
    name = places.find(name)
    position = START
    if tail is not None or not follow:
        position = _show_so_far(places, name, tail)
    if follow:
        status = watch(places, name, show=click.echo, position=position)
        render.show_pairs(result_pairs(status), console=render.err())
        context.exit(show_end(status))


def _show_so_far(places: Places, name: str, tail: int | None) -> str:
    """Print the lines that are there and tell where they end."""
    kept: deque[str] = deque(maxlen=tail)
    chunk = places.read(name)
    while True:
        kept.extend(chunk.lines)
        if tail is None:
            while kept:
                click.echo(log_line(kept.popleft()))
        if chunk.ended:
            break
        chunk = places.read(name, chunk.position)
    for line in kept:
        click.echo(log_line(line))
    return chunk.position
