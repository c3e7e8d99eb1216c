"""`cloudcpt validate PATH...`: find every mistake in recipes and datasets before anything is spent.

A recipe brings its datasets and its plan with it; anything else is a dataset, and checking one loads nothing that only
recipes need. With `--online` a recipe for the cloud is held against the account too, once nothing else is wrong. The
findings are this command's answer, so they go to stdout.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.check import check
from cloudcpt.cli.check_view import checks_as_json, show_checks
from cloudcpt.cli.dataset_view import dataset_line, dataset_pairs
from cloudcpt.cli.diagnostics import Tally, as_json, tally
from cloudcpt.cli.excerpt import printable
from cloudcpt.errors import DatasetError, Diagnostic, ExitCode, explanations
from cloudcpt.jobs.checks import Check, CheckOutcome, exit_code_of

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport
    from cloudcpt.plan.plan import Plan

RECIPE_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One path of the command line and what was found there.

    Args:
        path: As it was typed.
        kind: `recipe` or `dataset`.
        findings: In groups, in the order in which to show them.
        sources: Text of the recipe by its path.
        reports: Of the datasets that could be read.
        plan: Of a recipe, when it could be planned.
        checks: Of the account, when they were asked for and there was a plan to make them with.
    """

    path: str
    kind: str
    findings: tuple[tuple[Diagnostic, ...], ...]
    sources: Mapping[str, str]
    reports: "tuple[DatasetReport, ...]"
    plan: "Plan | None" = None
    checks: tuple[Check, ...] = ()

    @property
    def groups(self) -> tuple[tuple[Diagnostic, ...], ...]:
        """All findings in groups, those of failed checks last."""
        failures = [check for check in self.checks if check.outcome is CheckOutcome.FAILED]
        return (*self.findings, tuple(check.diagnostic for check in failures if check.diagnostic is not None))

    @property
    def tally(self) -> Tally:
        """Count the findings of all groups."""
        return sum((tally(group) for group in self.groups), Tally())

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings, in order."""
        return tuple(found for group in self.groups for found in group)


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
    s3://bucket/key. Data in S3 is read where it is; in a recipe it is noted and left when there are no credentials.

    With --online, what a recipe for the cloud needs of the account is looked at: identity, buckets, keys, role, image,
    quota, price. A check that cannot be made, for lack of a permission, is no error.

    Exit code 0: no errors; 1: errors, or warnings with --strict; with --online, when nothing else is wrong, also 3 and
    4 for what the account does not allow.
    """
    if not paths:
        raise click.UsageError(_what_to_type())
    start = time.monotonic()
    checked = []
    for path in paths:
        checked.append(_check(path, first))
        if online:
            checked[-1] = _check_account(checked[-1])
        if output == "text":
            _show(checked[-1])
    whole = sum((one.tally for one in checked), Tally())
    _show_machine_output(checked, whole, output)
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


def _check(path: str, first: int) -> Checked:
    if path.endswith(RECIPE_SUFFIXES):
        return _check_recipe(path, first)
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.dataset.places import is_in_s3

    places = InputPlaces(Path.cwd())
    # Who names data in S3 wants it read: that it cannot be is no finding about the data.
    if is_in_s3(path) and (trouble := places.out_of_reach(path)):
        raise trouble
    try:
        report = check(path, places, first=first)
    except DatasetError as exc:
        return Checked(path=path, kind="dataset", findings=(exc.diagnostics,), sources={}, reports=())
    return Checked(path=path, kind="dataset", findings=(report.diagnostics,), sources={}, reports=(report,))


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


def _show(checked: Checked) -> None:
    out = render.out()
    for group in filter(None, checked.findings):
        render.show_diagnostics(group, checked.sources, console=out)
        out.print()
    for report in checked.reports:
        out.print(printable(dataset_line(report)))
        render.show_pairs(dataset_pairs(report), console=out)
    if checked.plan:
        from cloudcpt.cli.plan_view import plan_line

        out.print(f"{checked.path}: {plan_line(checked.plan)}")
    if checked.checks:
        out.print()
        show_checks(checked.checks, console=out)
    if checked.reports or checked.plan:
        out.print()


def _show_machine_output(checked: list[Checked], whole: Tally, output: str) -> None:
    from cloudcpt.cli.annotations import github_lines, sarif

    found = [one for each in checked for one in each.diagnostics]
    if output == "json":
        render.print_json({"ok": not whole.errors, "found": whole, "inputs": [_as_json(one) for one in checked]})
    elif output == "github":
        for line in github_lines(found):
            click.echo(line)
    elif output == "sarif":
        click.echo(json.dumps(sarif(found, explanations()), indent=2))


def _as_json(checked: Checked) -> dict[str, Any]:
    return {
        "path": checked.path,
        "kind": checked.kind,
        "diagnostics": as_json(checked.diagnostics),
        "datasets": [_report_as_json(report) for report in checked.reports],
        "plan": {"hash": checked.plan.hash, "job_name": checked.plan.job_name} if checked.plan else None,
        "checks": checks_as_json(checked.checks),
    }


def _report_as_json(report: "DatasetReport") -> dict[str, Any]:
    whole = asdict(report)
    del whole["diagnostics"]  # they stand with all findings of the path
    del whole["sample"]  # for the plan; nobody wants a megabyte of text here
    return whole
