"""`cloudcpt delete NAME`: remove the folder of a job that has ended; its model stays unless asked."""

import sys

import click

from cloudcpt.cli import render
from cloudcpt.errors import UsageProblem, error
from cloudcpt.jobs.names import find_job
from cloudcpt.local.engine import LocalEngine


@click.command()
@click.argument("name")
@click.option("--with-model", is_flag=True, help="Delete the job's model too; otherwise it is kept beside the jobs.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.make_pass_decorator(LocalEngine, ensure=True)
def command(engine: LocalEngine, name: str, with_model: bool, yes: bool) -> None:
    """Delete the folder of the job NAME: log, metrics, plan.

    A complete model is moved out of the folder first and its new place is printed.
    """
    name = find_job(engine.names(), name)
    if not yes and not _is_wanted(name, with_model=with_model):
        render.err().print("nothing was deleted")
        return
    kept = engine.delete(name, with_model=with_model)
    render.out().print(f"{name}: deleted" + (f"; its model is in {kept}" if kept else ""))


def _is_wanted(name: str, *, with_model: bool) -> bool:
    if not sys.stdin.isatty():
        raise UsageProblem(
            error("CPT476", "there is nobody here to ask", hint="say `--yes` to delete without a question")
        )
    return click.confirm(f"delete job {name}{' and its model' if with_model else ', keeping its model'}?", err=True)
