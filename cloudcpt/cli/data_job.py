"""A data command as a managed job: its document, its request, its price, and its start."""

import math
import sys
from collections.abc import Mapping
from typing import Any

import click

from cloudcpt import __version__
from cloudcpt.cli import render
from cloudcpt.cli.data_engine import command_words, faults_of_place
from cloudcpt.cli.places import Places
from cloudcpt.cli.quantities import usd
from cloudcpt.cli.submission_view import see_through
from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import Diagnostic, ExitCode, PlanError, Severity, UsageProblem, error
from cloudcpt.jobs.access import split_uri
from cloudcpt.jobs.consignment import send_papers
from cloudcpt.jobs.data_job import DataJob
from cloudcpt.jobs.data_request import data_job_papers, data_job_request
from cloudcpt.jobs.limits import request_faults
from cloudcpt.jobs.submit import submit
from cloudcpt.plan.instances import instances
from cloudcpt.plan.launch import CloudLaunch
from cloudcpt.recipe.launch import has_local_disks


def start(context: click.Context, options: Mapping[str, Any], *, is_dry: bool, output: str) -> ExitCode:
    """Start the one job of the running command, or find it.

    Args:
        context: Of the command.
        options: What was said about the job.
        is_dry: Print what would be sent, and send nothing.
        output: `json` or for people.

    Raises:
        UsageProblem: something that the job needs was not said.
        PlanError: the service would not take the request.
        CloudcptError: whatever keeps the job from being started.
    """
    job = data_job(command_words(context), options)
    request = data_job_request(job)
    faults = request_faults(request)
    if any(fault.severity is Severity.ERROR for fault in faults):
        raise PlanError(*faults)
    if is_dry:
        papers = list(data_job_papers(job))
        render.print_json({"job_name": job.job_name, "request": request, "documents": papers, "hash": job.hash})
        return ExitCode.OK
    _confirm(job, yes=options["yes"])
    places = context.ensure_object(Places)
    cloud = places.cloud(job.launch.region)
    store = cloud.store(split_uri(job.launch.input_uri)[0], owner="")
    send_papers(store, data_job_papers(job))
    return see_through(places, submit(cloud.jobs, job), follow=False, output=output)


def data_job(arguments: tuple[str, ...], options: Mapping[str, Any]) -> DataJob:
    """Put the document together.

    Args:
        arguments: Of `cloudcpt data`.
        options: What was said about the job.

    Raises:
        UsageProblem: something that the job needs was not said.
    """
    region = options["region"] or _configured_region()
    _require_all(arguments, options, region)
    instance = instances().get(options["instance_type"])
    files = options["job_files"].rstrip("/")
    return DataJob(
        arguments=arguments,
        instance_type=options["instance_type"],
        instances=options["instances"],
        usd_per_instance_hour=instance.price_usd_per_hour if instance else 0.0,
        price_source=instance.price_source if instance else "",
        max_runtime_s=math.ceil(options["max_hours"] * 3600),
        made_by=f"cloudcpt {__version__}",
        launch=_launch(options, region, files),
    )


def _launch(options: Mapping[str, Any], region: str, files: str) -> CloudLaunch:
    return CloudLaunch(
        region=region,
        account_id="",
        role_arn=options["role"],
        image=options["image"],
        input_uri=files,
        output_uri=files,
        input_kms_key="",
        output_kms_key="",
        volume_kms_key="",
        volume_gb=0 if has_local_disks(options["instance_type"]) else options["volume_gb"],
        subnets=tuple(options["subnets"]),
        security_groups=tuple(options["security_groups"]),
        network_isolation=False,  # the tasks read and write S3 themselves
        encrypt_traffic=options["encrypt_traffic"],
        spot=False,
        max_wait_s=0,
        max_pending_s=0,
        keep_alive_s=0,
        training_plan_arn="",
        instance_preferences=(),
        retry_attempts=0,
        tags=tuple(sorted(tuple(tag.split("=", 1)) for tag in options["tags"])),
        mlflow=None,
        budget_usd=0.0,
        model_package_group="",
    )


def _require_all(arguments: tuple[str, ...], options: Mapping[str, Any], region: str) -> None:
    """Say everything that is missing.

    Raises:
        UsageProblem: something is.
    """
    gaps: list[Diagnostic] = []
    hints = {
        "role": "`--role arn:aws:iam::<account>:role/<name>`",
        "image": "`--image <account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:...`, as container/README.md says",
        "job_files": "`--job-files s3://my-bucket/jobs`",
    }
    for name, hint in hints.items():
        if not options[name]:
            gaps.append(error("CPT776", f"the job has no `--{name.replace('_', '-')}`", hint=hint))
    if options["job_files"] and not _is_folder_in_s3(options["job_files"]):
        message = f"`--job-files {options['job_files']}` is no place in S3"
        gaps.append(error("CPT776", message, hint=hints["job_files"]))
    if options["image"] and "@sha256:" not in options["image"]:
        gaps.append(error("CPT776", f"`{options['image']}` names no digest, and a tag can be another image tomorrow"))
    if not region:
        gaps.append(error("CPT776", "the job has no Region", hint="`--region us-east-1`, or set $AWS_REGION"))
    gaps += [
        error("CPT776", f"`{tag}` is no tag", hint="`--tag team=data`") for tag in options["tags"] if "=" not in tag
    ]
    if arguments[0] == "dedup" and "--to" not in arguments:
        gaps.append(error("CPT776", "the job has nowhere to write to", hint="`--to s3://my-bucket/clean/`"))
    if "--tokenizer" in arguments:
        message = "`--tokenizer` names a folder on this machine, which the job's machines cannot read"
        gaps.append(error("CPT776", message, hint="leave it out for an estimate, or start Ray yourself and join it"))
    if "--overwrite" in arguments:
        gaps.append(
            error("CPT776", "a job replaces nothing in S3", hint="leave `--overwrite` out, or name another prefix")
        )
    paths = []
    for at, word in enumerate(arguments[1:], start=1):
        is_path = not word.startswith("--") and (arguments[at - 1] == "--to" or not arguments[at - 1].startswith("--"))
        if is_path and not is_in_s3(word):
            message = f"`{word}` is on this machine, and the job's machines read and write S3 only"
            gaps.append(error("CPT776", message, hint="name everything by `s3://bucket/...`"))
        elif is_path and not split_uri(word)[0]:
            gaps.append(error("CPT776", f"`{word}` names no bucket", hint="`s3://my-bucket/folder/`"))
        elif is_path and arguments[at - 1] != "--to":
            paths.append(word)
    if "--to" in arguments:
        gaps += faults_of_place(arguments[arguments.index("--to") + 1], paths)
    if gaps:
        raise UsageProblem(*gaps)


def _is_folder_in_s3(uri: str) -> bool:
    bucket, key = split_uri(uri) if is_in_s3(uri) else ("", "")
    return bool(bucket and key.strip("/"))


def _configured_region() -> str:
    from cloudcpt.aws.session import configured_region

    return configured_region()


def _confirm(job: DataJob, *, yes: bool) -> None:
    """Show what the job costs and ask whether to start it.

    Raises:
        UsageProblem: there is no terminal to ask at.
        Abort: the answer was no.
    """
    _show_cost(job)
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty()):
        hint = "say it with `--yes`, once you have read the cost above"
        raise UsageProblem(error("CPT716", "starting this job costs money, and there is nobody to ask", hint=hint))
    if not click.confirm(f"start {job.job_name}?", default=False, err=True):
        render.err().print("nothing was sent or started")
        raise click.Abort


def _show_cost(job: DataJob) -> None:
    machines = f"{job.instances} x {job.instance_type}"
    if not job.usd_per_instance_hour:
        render.err().print(f"{machines} for at most {job.max_runtime_s / 3600:g} h; the price is not known")
        return
    rate = job.instances * job.usd_per_instance_hour
    most = usd(rate * job.max_runtime_s / 3600)
    render.err().print(f"{machines}: {usd(rate)} per hour ({job.price_source}), at most {most}")
