"""`cloudcpt list`: every job, newest first."""

import click

from cloudcpt.cli import render
from cloudcpt.cli.job_view import age, job_document
from cloudcpt.errors import CloudcptError, Diagnostic
from cloudcpt.jobs.ports import JobStatus
from cloudcpt.local.engine import LocalEngine


@click.command()
@render.output_option
@click.make_pass_decorator(LocalEngine, ensure=True)
def command(engine: LocalEngine, output: str) -> None:
    """List every job, newest first."""
    statuses: list[JobStatus] = []
    unreadable: list[Diagnostic] = []
    for name in engine.names():
        try:
            statuses.append(engine.status(name))
        except CloudcptError as exc:  # one damaged folder must not hide the others
            unreadable += exc.diagnostics
    if output == "json":
        render.print_json({"jobs": [job_document(status) for status in statuses]})
    elif statuses:
        render.show_table(["job", "state", "steps", "loss", "created"], map(_row, statuses), right=["steps", "loss"])
    else:
        render.err().print("no jobs yet; start one: cloudcpt submit RECIPE", style="faint")
    render.show_diagnostics(unreadable)


def _row(status: JobStatus) -> list[str]:
    progress = status.progress
    steps = f"{progress.step:,}/{progress.total_steps:,}" if progress else "-"
    loss = f"{progress.loss:.3f}" if progress else "-"
    return [status.name, status.state, steps, loss, age(status.created_at)]
