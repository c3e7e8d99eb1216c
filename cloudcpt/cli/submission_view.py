"""What is shown of a job that was just started or found, until it has ended or the user has seen enough."""

import click

from cloudcpt.cli import render
from cloudcpt.cli.job_view import job_document, result_pairs, show_end, show_next
from cloudcpt.cli.places import Places
from cloudcpt.cli.watch import watch
from cloudcpt.errors import ExitCode
from cloudcpt.jobs.ports import START, JobStatus, Submission


def see_through(
    places: Places, submission: Submission, *, follow: bool, output: str, position: str = START
) -> ExitCode:
    """Show a job, and stay with it where that is asked for.

    Args:
        places: Know the job.
        submission: The job.
        follow: Watch it until it has ended.
        output: `json` or for people.
        position: Where in its log to begin.

    Returns:
        What the command ends with.
    """
    status, adopted = places.status(submission.name), submission.adopted
    if not (adopted and status.state.is_final):
        if not follow:
            _show_started(status, adopted=adopted, output=output)
            return ExitCode.OK
        render.err().print(f"{status.name}: {'found' if adopted else 'started'}")
        status = watch(places, status.name, show=lambda line: click.echo(line, err=True), position=position)
    _show_ended(status, adopted=adopted, output=output)
    return show_end(status)


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
