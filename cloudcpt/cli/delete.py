"""`cloudcpt delete NAME`: forget a job that has ended; its model stays unless asked."""

import contextlib
from collections.abc import Iterator

import click

from cloudcpt.aws.console import console_link
from cloudcpt.cli import render
from cloudcpt.cli.ask import is_wanted
from cloudcpt.cli.places import Places
from cloudcpt.cli.quantities import plural
from cloudcpt.errors import PlanError, UsageProblem, error
from cloudcpt.wire import checkpoint_steps


@click.command()
@click.argument("name")
@click.option("--with-model", is_flag=True, help="Delete the job's model too; otherwise it is kept beside the jobs.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.make_pass_decorator(Places, ensure=True)
def command(places: Places, name: str, with_model: bool, yes: bool) -> None:
    """Delete the folder of the job NAME: log, metrics, plan, checkpoints.

    A complete model is moved out of the folder first and its new place is printed. Of a job in the cloud only what this
    machine remembers is deleted; what stays in the account is listed.
    """
    name = places.find(name)
    if not places.is_local(name):
        _forget(places, name, with_model=with_model, yes=yes)
    elif is_wanted(_question(places, name, with_model=with_model), yes=yes):
        kept = places.local.delete(name, with_model=with_model)
        render.out().print(f"{name}: deleted" + (f"; its model is in {kept}" if kept else ""))


def _question(places: Places, name: str, *, with_model: bool) -> str:
    """Name what goes with the folder of a job and somebody may have wanted."""
    kept = len(checkpoint_steps(places.local.folder(name).ml))
    checkpoints = f", {plural(kept, 'checkpoint')}" if kept else ""
    return f"delete job {name}{checkpoints}{' and its model' if with_model else ', keeping its model'}?"


def _forget(places: Places, name: str, *, with_model: bool, yes: bool) -> None:
    """Drop the record of a job in the cloud, and say what is left there."""
    record = places.record(name)
    if with_model:
        message = f"the model of `{name}` is in the account, `--with-model` deletes on this machine only"
        raise UsageProblem(error("CPT762", message, hint=f"delete `{record.output_uri}/` with the tools of AWS"))
    _refuse_running(places, name)
    if not is_wanted(f"forget job {name} on this machine, leaving all of it in the account?", yes=yes):
        return
    left = list(_left_there(places, name))
    places.records.forget(name)
    render.out().print(f"{name}: forgotten on this machine")
    render.err().print("what stays in the account:", style="faint")
    render.show_pairs(left, console=render.err())


def _left_there(places: Places, name: str) -> Iterator[tuple[str, str]]:
    """List what a job has in the account."""
    record = places.record(name)
    with contextlib.suppress(PlanError, UsageProblem):  # what cannot be read any more need not be told
        launch = places.plan(name).launch
        if launch is not None:
            yield "inputs", f"{launch.input_uri}/, shared by all jobs on the same data"
    yield "results", f"{record.output_uri}/"
    yield "log", f"CloudWatch, group /aws/sagemaker/TrainingJobs, streams {name}/..."
    if link := console_link(record.region, name):
        yield "job", link


def _refuse_running(places: Places, name: str) -> None:
    """Refuse to forget a job that goes on and costs.

    Raises:
        UsageProblem: it has not ended.
    """
    record = places.record(name)
    if record.ended or places.cloud_of(name).describe(name) is None or places.status(name).state.is_final:
        return
    hint = f"stop it first: `cloudcpt stop {name} --wait`"
    raise UsageProblem(error("CPT467", f"job `{name}` has not ended", hint=hint))
