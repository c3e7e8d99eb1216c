"""`cloudcpt describe [NAME]`: everything that is known about a job."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.job_view import show_job
from cloudcpt.cli.places import Places
from cloudcpt.cli.plan_view import show_plan
from cloudcpt.jobs.ports import JobStatus
from cloudcpt.local.record import read_record
from cloudcpt.plan.plan import Plan


@click.command()
@click.argument("name", required=False)
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, name: str | None, output: str) -> None:
    """Show everything about the job NAME: where it stands, its plan, its record; without NAME, the newest.

    Of a job in the cloud that includes the request as it was sent, and the service's own answer about the job.
    """
    name = places.find(name)
    status, plan = places.status(name), places.plan(name)
    papers = _papers(places, name, plan)
    if output == "json":
        render.print_json(_document(status, plan, papers))
    else:
        _show(status, plan, papers)


def _papers(places: Places, name: str, plan: Plan) -> dict[str, Any]:
    """Gather what was written about a job: the record of this machine, and for the cloud request and answer."""
    if places.is_local(name):
        return {"record": asdict(read_record(places.local.folder(name).record)), "request": None, "service": None}
    from cloudcpt.jobs.request import training_job_request

    return {
        "record": asdict(places.record(name)),
        "request": {**training_job_request(plan), "TrainingJobName": name},
        "service": places.cloud_of(name).describe(name),
    }


def _document(status: JobStatus, plan: Plan, papers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": status.name,
        "target": status.target,
        "status": {"state": status.state, **asdict(status)},
        "plan": json.loads(plan.to_json()),
        **{name: _plain(paper) for name, paper in papers.items()},
    }


def _show(status: JobStatus, plan: Plan, papers: Mapping[str, Any]) -> None:
    out = render.out()
    show_job(status)
    out.print()
    show_plan(plan)
    for name, paper in papers.items():
        if paper is not None:
            out.print()
            out.print(name, style="title")
            for line in json.dumps(_plain(paper), indent=2, ensure_ascii=False).splitlines():
                out.print(printable(line))


def _plain(paper: Any) -> Any:
    """Write what JSON has no word for as text: the service's dates, paths."""
    return json.loads(json.dumps(paper, default=lambda value: getattr(value, "isoformat", value.__str__)()))
