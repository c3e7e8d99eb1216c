"""What checking one path of a command line found, and how it is shown: for `validate` and for `data check`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.check import check
from cloudcpt.cli.check_view import checks_as_json, show_checks
from cloudcpt.cli.dataset_view import dataset_line, dataset_pairs
from cloudcpt.cli.diagnostics import Tally, as_json, tally
from cloudcpt.cli.excerpt import printable
from cloudcpt.errors import DatasetError, Diagnostic, explanations
from cloudcpt.jobs.checks import Check, CheckOutcome

if TYPE_CHECKING:
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.dataset.check import DatasetReport, ReadFiles
    from cloudcpt.dataset.overlap import SeeDocument
    from cloudcpt.plan.plan import Plan


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


def check_data(
    path: str,
    places: "InputPlaces",
    *,
    first: int,
    see: "SeeDocument | None" = None,
    workers: int = 0,
    read: "ReadFiles | None" = None,
) -> Checked:
    """Check a dataset; that there is none at the path is a finding like any other.

    Args:
        path: As it was typed.
        places: Where data is.
        first: Findings of each code to keep; all are counted.
        see: Told of every document.
        workers: Processes; 0 for one per core.
        read: Reads the files somewhere else, such as on many machines.

    Raises:
        CloudcptError: S3 cannot be read.
    """
    from cloudcpt.dataset.places import is_in_s3

    # Who names data in S3 wants it read: that it cannot be is no finding about the data.
    if is_in_s3(path) and (trouble := places.out_of_reach(path)):
        raise trouble
    try:
        report = check(path, places, first=first, see=see, workers=workers, read=read)
    except DatasetError as exc:
        return Checked(path=path, kind="dataset", findings=(exc.diagnostics,), sources={}, reports=())
    return Checked(path=path, kind="dataset", findings=(report.diagnostics,), sources={}, reports=(report,))


def show_checked(checked: Checked) -> None:
    """Print what was found at one path, and what it holds, on stdout."""
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


def print_checked(checked: Sequence[Checked], whole: Tally, output: str, across: Sequence[Diagnostic] = ()) -> None:
    """Print what was found as `json`, `github` or `sarif`; nothing for any other format.

    Args:
        checked: One for each path.
        whole: All findings, counted.
        output: The format.
        across: Findings that are about several paths at once.
    """
    found = [*(one for each in checked for one in each.diagnostics), *across]
    if output == "json":
        inputs = [_as_json(one) for one in checked]
        render.print_json({"ok": not whole.errors, "found": whole, "inputs": inputs, "across": as_json(across)})
    elif output == "github":
        from cloudcpt.cli.annotations import github_lines

        for line in github_lines(found):
            click.echo(line)
    elif output == "sarif":
        from cloudcpt.cli.annotations import sarif

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
    del whole["sample"], whole["sample_lengths"]  # for the plan; nobody wants a megabyte of text here
    return whole
