"""`cloudcpt list`: every job, newest first."""

from dataclasses import dataclass

import click

from cloudcpt.aws.records import CloudRecord
from cloudcpt.cli import render
from cloudcpt.cli.job_view import age, job_document
from cloudcpt.cli.places import Places
from cloudcpt.errors import CloudcptError, Diagnostic, UsageProblem
from cloudcpt.jobs.ports import JobStatus


@click.command()
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, output: str) -> None:
    """List every job that was started from this machine, newest first.

    The service is asked only about jobs that may still change. One that cannot be reached leaves their state open.
    """
    glances, trouble = look_around(places)
    if output == "json":
        render.print_json({"jobs": [glance.document() for glance in glances]})
    elif glances:
        headers = ["job", "target", "state", "steps", "loss", "created"]
        render.show_table(headers, [glance.row() for glance in glances], right=["steps", "loss"])
    else:
        render.err().print("no jobs yet; start one: cloudcpt submit RECIPE", style="faint")
    render.show_diagnostics(trouble)


@dataclass(frozen=True, kw_only=True, slots=True)
class Glance:
    """What can be said of a job at once.

    Args:
        name: Of the job.
        target: Where it runs.
        created_at: Seconds since 1970.
        status: None when the service could not be asked.
    """

    name: str
    target: str
    created_at: float
    status: JobStatus | None

    def document(self) -> dict[str, object]:
        """Give it as plain JSON; a state that nobody knows is null."""
        if self.status:
            return job_document(self.status)
        return {"name": self.name, "state": None, "created_at": self.created_at, "target": self.target}

    def row(self) -> list[str]:
        """Give the cells of its row."""
        progress = self.status.progress if self.status else None
        return [
            self.name,
            self.target,
            self.status.state if self.status else "unknown",
            f"{progress.step:,}/{progress.total_steps:,}" if progress else "-",
            f"{progress.loss:.3f}" if progress else "-",
            age(self.created_at),
        ]


def look_around(places: Places) -> tuple[list[Glance], list[Diagnostic]]:
    """Look at every job, newest first; one that cannot be seen does not hide the others.

    Returns:
        What was seen, and what kept some from being seen.
    """
    seen: list[Glance] = []
    trouble: list[Diagnostic] = []
    silent: set[str] = set()
    """Regions that did not answer: the next job there would only cost the same wait again."""
    for name in places.names():
        record: CloudRecord | None = None
        status: JobStatus | None = None
        try:
            record = None if places.is_local(name) else places.record(name)
            if record is None or record.ended or record.region not in silent:
                status = places.status(name)
        except CloudcptError as exc:
            trouble += exc.diagnostics
            if record is not None and not isinstance(exc, UsageProblem):
                silent.add(record.region)
        known = status or record
        if known is not None:
            seen.append(Glance(name=name, target=known.target, created_at=known.created_at, status=status))
    return seen, trouble
