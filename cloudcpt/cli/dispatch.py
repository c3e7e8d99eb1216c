"""A plan on its way to the cloud: what is looked at, asked and shown between the recipe and the running job.

    request         worded and held against every limit of the service, offline
    pre-flight      what the account says to it; only what is certain stops
    confirmation    what it costs
    consignment     everything that the job reads, sent or found
    job             created once, or found

A job that is there already needs none of this, so it is found first.
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.check_view import show_checks
from cloudcpt.cli.confirm import confirm_cost
from cloudcpt.cli.places import Places
from cloudcpt.cli.upload_view import upload_progress, upload_words
from cloudcpt.errors import ExitCode, PlanError, SetupError, Severity
from cloudcpt.jobs.access import split_uri
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.jobs.checks import refuse_failed
from cloudcpt.jobs.consignment import inputs_to_send, send_inputs
from cloudcpt.jobs.limits import request_faults
from cloudcpt.jobs.ports import JobState, Submission
from cloudcpt.jobs.request import training_job_request
from cloudcpt.jobs.submit import submit
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.plan.plan import Plan
from cloudcpt.plan.readiness import unready

if TYPE_CHECKING:
    from cloudcpt.recipe.load import LoadedRecipe


def ready_request(plan: Plan, loaded: "LoadedRecipe | None") -> dict[str, Any]:
    """Word the request for a plan's job, provided that nothing is missing and the service would take it.

    Args:
        plan: For target `sagemaker`.
        loaded: Its recipe, to say where something is missing.

    Raises:
        PlanError: with everything that is missing, or outside a limit.
    """
    if gaps := unready(plan, loaded=loaded):
        raise PlanError(*gaps)
    request = training_job_request(plan)
    faults = request_faults(request)
    if any(fault.severity is Severity.ERROR for fault in faults):
        raise PlanError(*faults)
    render.show_diagnostics(faults)
    return request


def preview(places: Places, plan: Plan, paths: Mapping[str, Path], request: Mapping[str, Any]) -> dict[str, object]:
    """Give all that submitting would send, as JSON; nobody is asked."""
    known = _known_job(places, plan)
    record = places.record(known) if known else None
    files = inputs_to_send(plan, paths)
    bucket = split_uri(_launch(plan).input_uri)[0]
    return {
        "job_name": plan.job_name,
        "target": plan.target,
        "known": None if record is None else {"name": record.name, "state": record.ended and record.ended.state},
        "plan_hash": plan.hash,
        "request": request,
        "uploads": [
            {"path": file.path, "uri": f"s3://{bucket}/{file.key}", "size_bytes": file.size_bytes} for file in files
        ],
        "documents": list(channel_documents(plan)),
        "plan": json.loads(plan.to_json()),
    }


def dispatch(
    places: Places, plan: Plan, paths: Mapping[str, Path], *, again: str, force: bool, yes: bool
) -> Submission:
    """Start the one job of a plan in the cloud, or find it.

    Args:
        places: Where jobs are.
        plan: For target `sagemaker`, with a request that the service would take.
        paths: Where the content of a BLAKE3 is on this machine.
        again: The command that goes on when this is cut off.
        force: Start over when the job failed or was stopped.
        yes: Spend without asking.

    Raises:
        Exit: Ctrl-C while uploading or starting.
        Abort: nobody wants it after all.
        CloudcptError: whatever keeps the job from being started.
    """
    if not _is_started(places, plan, force=force):
        ask(places, plan, yes=yes)
        _send(places, plan, paths, again=again)
    try:
        return submit(places, plan, replace=force)
    except KeyboardInterrupt:
        click.echo("\ninterrupted while the job was being started: it may be under way, and cost", err=True)
        click.echo(f"find it, or start it: {again}", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def _known_job(places: Places, plan: Plan) -> str | None:
    """Find what this machine started of a plan: the latest attempt, confirmed by the service."""
    for name in places.records.names():
        with contextlib.suppress(SetupError):  # a damaged record of some other job is no reason to start nothing
            record = places.record(name)
            if record.job_name == plan.job_name and record.is_confirmed:
                return name
    return None


def _is_started(places: Places, plan: Plan, *, force: bool) -> bool:
    """Tell whether there is a job that submitting will find instead of starting one."""
    name = _known_job(places, plan)
    if name is None:
        return False
    return not force or places.status(name).state not in {JobState.FAILED, JobState.STOPPED}


def ask(places: Places, plan: Plan, *, yes: bool) -> None:
    """Look whether the job can run, and ask whether it is worth its price.

    Raises:
        CloudcptError: a check is certain that the job cannot run, or may not.
        Abort: nobody wants it after all.
    """
    with render.live_progress("looking at the account") as bar:
        bar.update(0, None)
        checks = places.cloud(_launch(plan).region).preflight(plan)
    # What stops the job is raised below, and shown once.
    show_checks([check for check in checks if not check.blocks])
    refuse_failed(checks)
    render.err().print()
    confirm_cost(plan, checks, yes=yes)


def _send(places: Places, plan: Plan, paths: Mapping[str, Path], *, again: str) -> None:
    """Bring everything that the job reads into the account.

    Raises:
        Exit: with code 130 after Ctrl-C; what has arrived stays.
        CloudcptError: it cannot be brought.
    """
    launch = _launch(plan)
    bucket, _ = split_uri(launch.input_uri)
    store = places.cloud(launch.region).store(bucket, owner=launch.account_id, kms_key=launch.input_kms_key)
    try:
        with upload_progress(launch.input_uri) as show:
            sent = send_inputs(store, plan, paths, journal=places.journal, resume=again, progress=show)
    except KeyboardInterrupt:
        click.echo("\ninterrupted: what has arrived stays, and no job was started", err=True)
        click.echo(f"go on: {again}", err=True)
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
    render.err().print(upload_words(sent, launch.input_uri))


def _launch(plan: Plan) -> CloudLaunch:
    assert plan.launch is not None, f"a plan for `{plan.target}` is not for the cloud"
    return plan.launch
