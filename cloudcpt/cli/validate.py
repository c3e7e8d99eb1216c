"""`cloudcpt validate PATH...`: find every mistake in recipes and datasets before anything is spent.

A recipe brings its datasets and its plan with it; anything else is a dataset, and checking one loads nothing that only
recipes need. With `--online` a recipe for the cloud is held against the account too, once nothing else is wrong. The
findings are this command's answer, so they go to stdout.
"""

import time
from dataclasses import replace
from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.checked import Checked, check_data, print_checked, show_checked
from cloudcpt.cli.diagnostics import Tally, tally
from cloudcpt.errors import ExitCode
from cloudcpt.jobs.checks import exit_code_of

RECIPE_SUFFIXES = (".yaml", ".yml")


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@render.output_formats("text", "json", "github", "sarif")
@click.option(
    "--first", type=click.IntRange(min=1), default=5, show_default=True, help="Findings of each code to show."
)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option("--online", is_flag=True, help="Look at the AWS account too; nothing there is changed.")
@click.pass_context
def command(
    context: click.Context, paths: tuple[str, ...], output: str, first: int, strict: bool, online: bool
) -> None:
    """Find every mistake in recipes and datasets.

    A PATH that ends in .yaml or .yml is a recipe: the datasets that it names are checked and it is planned. Any other
    PATH is a dataset: a .jsonl file, a folder, a quoted pattern such as 'data/*.jsonl', or the same in S3,
    s3://bucket/key; or `-`, one that comes through a pipe. Data in S3 is read where it is; in a recipe it is noted and
    left when there are no credentials.

    With --online, what a recipe for the cloud needs of the account is looked at: identity, buckets, keys, role, image,
    quota, price. A check that cannot be made, for lack of a permission, is no error.

    Exit code 0: no errors; 1: errors, or warnings with --strict; with --online, when nothing else is wrong, also 3 and
    4 for what the account does not allow.
    """
    if not paths:
        raise click.UsageError(_what_to_type())
    from cloudcpt.cli.input_places import InputPlaces

    start, places = time.monotonic(), InputPlaces(Path.cwd())
    checked = []
    for path in paths:
        is_recipe = path.endswith(RECIPE_SUFFIXES)
        checked.append(_check_recipe(path, first) if is_recipe else check_data(path, places, first=first))
        if online:
            checked[-1] = _check_account(checked[-1])
        if output == "text":
            show_checked(checked[-1])
    whole = sum((one.tally for one in checked), Tally())
    print_checked(checked, whole, output)
    render.show_tally(whole, time.monotonic() - start, console=render.out() if output == "text" else render.err())
    context.exit(_exit_code(checked, whole, strict=strict))


def _exit_code(checked: list[Checked], whole: Tally, *, strict: bool) -> ExitCode:
    """Let what is wrong with the input count before what is wrong with the account."""
    if any(tally(group).errors for one in checked for group in one.findings):
        return ExitCode.FINDINGS
    if blocked := exit_code_of([check for one in checked for check in one.checks]):
        return blocked
    return ExitCode.FINDINGS if strict and whole.warnings else ExitCode.OK


def _what_to_type() -> str:
    nearby = [path.as_posix() for pattern in ("*.y*ml", "recipes/*.y*ml", "*.jsonl") for path in Path().glob(pattern)]
    example = f"cloudcpt validate {nearby[0]}" if nearby else "cloudcpt validate recipe.yaml"
    return f"name a recipe or a dataset, such as `{example}`"


def _check_recipe(path: str, first: int) -> Checked:
    from cloudcpt.cli.prepare import prepare

    found = prepare(Path(path), first=first)
    return Checked(
        path=path,
        kind="recipe",
        findings=found.findings,
        sources=found.sources,
        reports=tuple(found.reports.values()),
        plan=found.plan,
    )


def _check_account(checked: Checked) -> Checked:
    """Make the checks of the account that a plan needs; none for a dataset, a faulty recipe or a job of this machine.

    Raises:
        SetupError: no Region is known.
    """
    plan = checked.plan
    if plan is None or checked.tally.errors:
        return checked
    if plan.launch is None:
        render.err().print(f"{checked.path}: target `{plan.target}` has no account to look at", style="faint")
        return checked
    from cloudcpt.aws.preflight import preflight
    from cloudcpt.aws.session import AwsSession

    return replace(checked, checks=preflight(AwsSession(region=plan.launch.region), plan))
