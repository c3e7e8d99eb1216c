"""`--engine` and `--on` of the data commands: on how many machines, and whose."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.dataset.places import STDIN
from cloudcpt.errors import DatasetError, Diagnostic, error

if TYPE_CHECKING:
    from cloudcpt.corpus.engine import Engine
    from cloudcpt.corpus.engine_dedup import MakePlace

_ENGINE_OPTIONS = (
    click.option(
        "--engine",
        "engine_name",
        type=click.Choice(["one", "ray"]),
        default="one",
        show_default=True,
        help="One machine, or many with Ray; what comes out is the same.",
    ),
    click.option(
        "--engine-address",
        metavar="HOST:PORT",
        help="With `--engine ray`: a cluster that runs, or `auto` for the one this machine is in; without it, Ray is "
        "started here.",
    ),
)
_JOB_OPTIONS = (
    click.option("--on", "on", type=click.Choice(["sagemaker"]), help="Run the command as a managed job."),
    click.option("--instances", type=click.IntRange(min=1), default=2, show_default=True, help="Machines of the job."),
    click.option(
        "--instance-type", default="ml.m5.24xlarge", show_default=True, metavar="TYPE", help="Of every machine."
    ),
    click.option("--role", metavar="ARN", help="What the job acts as; it reads the PATHs and writes to `--to`."),
    click.option("--image", metavar="URI", help="The training image in ECR, by digest."),
    click.option("--job-files", metavar="S3_URI", help="Where the job's description and its result go."),
    click.option("--region", metavar="NAME", help="Where the job runs; the configured one without it."),
    click.option("--max-hours", type=click.FloatRange(min=0.1), default=24.0, show_default=True, help="Then it stops."),
    click.option("--volume-gb", type=click.IntRange(min=1), default=500, show_default=True, help="Disk of a machine."),
    click.option("--subnet", "subnets", multiple=True, metavar="ID", help="Of the VPC; may be given several times."),
    click.option("--security-group", "security_groups", multiple=True, metavar="ID", help="Likewise."),
    click.option("--encrypt-traffic", is_flag=True, help="Between the machines of the job."),
    click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="Of the job; may be given several times."),
    click.option("--yes", is_flag=True, help="Do not ask before money is spent."),
)
_OURS = (
    *("on", "instances", "instance_type", "role", "image", "job_files", "region", "max_hours", "volume_gb"),
    *("subnets", "security_groups", "encrypt_traffic", "tags", "yes"),
)
"""What `_JOB_OPTIONS` are called as parameters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """Where a data command does its work.

    Args:
        name: `one` or `ray`.
        address: Of a cluster; empty to start Ray here.
    """

    name: str
    address: str

    @contextmanager
    def running(self, paths: tuple[str, ...], workers: int) -> "Iterator[Engine | None]":
        """Give the engine for the time of the block; None when this process and its workers do everything.

        Args:
            paths: Inputs, as they were typed.
            workers: Tasks at a time on this machine; 0 for one per core.

        Raises:
            DatasetError: the data comes through a pipe.
            SetupError: Ray is missing or cannot be started.
        """
        if self.name == "one":
            yield None
            return
        if STDIN in paths:
            hint = "write it to a file first, or leave `--engine` out"
            message = "data that comes through a pipe cannot be read by an engine's processes"
            raise DatasetError(error("CPT775", message, hint=hint))
        from cloudcpt.corpus.ray_engine import ray_engine

        with ray_engine(self.address, cores=workers) as engine:
            yield engine


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--engine` and `--on`; it gets an `EngineChoice` as `engine`, and is not called for a job."""

    @wraps(command)
    def chosen(*args: Any, engine_name: str, engine_address: str | None, **named: Any) -> Any:
        job = {name: named.pop(name) for name in _OURS}
        if engine_address and engine_name == "one":
            raise click.UsageError("`--engine-address` is for `--engine ray`")
        if not job["on"]:
            _refuse_job_options()
            return command(*args, engine=EngineChoice(name=engine_name, address=engine_address or ""), **named)
        if engine_name != "ray" or engine_address:
            raise click.UsageError(
                "`--on` runs the command with Ray on machines of its own: add `--engine ray`, without an address"
            )
        from cloudcpt.cli.data_job import start

        context = click.get_current_context()
        return context.exit(start(context, job, is_dry=bool(named.get("dry_run")), output=named["output"]))

    for option in reversed((*_ENGINE_OPTIONS, *_JOB_OPTIONS)):
        chosen = option(chosen)
    return chosen


def faults_of_place(target: str, paths: Sequence[str]) -> list[Diagnostic]:
    """Say what is wrong with a place in S3: that it is one file, or among the inputs, where the next command reads it.

    Args:
        target: Where to write.
        paths: What is read.
    """
    found = []
    if target.endswith(".jsonl"):
        message = f"`{target}` would be one file, and an output in S3 is a prefix"
        found.append(error("CPT774", message, hint="name a prefix with `--to`: `s3://my-bucket/clean/`"))
    for path in paths:
        if f"{target.rstrip('/')}/".startswith(f"{path.rstrip('/')}/"):
            hint = "name another prefix with `--to`: what is below an input is read the next time"
            found.append(error("CPT371", f"`{target}` lies in `{path}`, which is an input", hint=hint))
    return found


def require_job(*, dry_run: bool) -> None:
    """Refuse `--dry-run` of a command that writes nothing and is no job.

    Raises:
        UsageError: it was given.
    """
    if dry_run:
        raise click.UsageError("`--dry-run` shows what a job would be: it goes with `--on sagemaker`")


def make_place() -> "MakePlace":
    """Give what makes the place of inputs in any process."""
    from cloudcpt.cli.input_places import InputPlaces

    return partial(InputPlaces, Path.cwd())


def command_words(context: click.Context) -> tuple[str, ...]:
    """Write the running command with what was typed, without what is said about the engine and the job."""
    words = [context.info_name or ""]
    for parameter in context.command.params:
        name, value = parameter.name or "", context.params.get(parameter.name or "")
        if name in (*_OURS, "engine_name", "engine_address", "output", "dry_run", "workers") or not _was_typed(name):
            continue
        values = value if isinstance(value, tuple) else (value,)
        for one in values:
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            named = [] if isinstance(parameter, click.Argument) else [max(parameter.opts, key=len)]
            words += [*named, *([] if is_flag else [str(one)])]
    return tuple(words)


def _was_typed(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def _refuse_job_options() -> None:
    typed = [name for name in _OURS if name != "on" and _was_typed(name)]
    if typed:
        options = {option.name: max(option.opts, key=len) for option in click.get_current_context().command.params}
        named = ", ".join(f"`{options[name]}`" for name in typed)
        raise click.UsageError(f"{named}: only together with `--on sagemaker`")
