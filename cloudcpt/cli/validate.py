"""`cloudcpt validate PATH...`: find every mistake in recipes and datasets before anything is spent.

A recipe brings its datasets and its plan with it; anything else is a dataset, and checking one loads nothing that only
recipes need. The findings are this command's answer, so they go to stdout.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.check import check
from cloudcpt.cli.dataset_view import dataset_line, dataset_pairs
from cloudcpt.cli.diagnostics import Tally, as_json, tally
from cloudcpt.cli.excerpt import printable
from cloudcpt.errors import DatasetError, Diagnostic, ExitCode, explanations

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
    """

    path: str
    kind: str
    findings: tuple[tuple[Diagnostic, ...], ...]
    sources: Mapping[str, str]
    reports: "tuple[DatasetReport, ...]"
    plan: "Plan | None" = None

    @property
    def tally(self) -> Tally:
        """Count the findings of all groups."""
        return sum((tally(group) for group in self.findings), Tally())

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All findings, in order."""
        return tuple(found for group in self.findings for found in group)


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@render.output_formats("text", "json", "github", "sarif")
@click.option(
    "--first", type=click.IntRange(min=1), default=5, show_default=True, help="Findings of each code to show."
)
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.pass_context
def command(context: click.Context, paths: tuple[str, ...], output: str, first: int, strict: bool) -> None:
    """Find every mistake in recipes and datasets.

    A PATH that ends in .yaml or .yml is a recipe: the datasets that it names are checked and it is planned. Any other
    PATH is a dataset: a .jsonl file, a folder, or a quoted pattern such as 'data/*.jsonl'.

    Exit code 0: no errors; 1: errors, or warnings with --strict.
    """
    if not paths:
        raise click.UsageError(_what_to_type())
    start = time.monotonic()
    checked = []
    for path in paths:
        checked.append(_check(path, first))
        if output == "text":
            _show(checked[-1])
    whole = sum((one.tally for one in checked), Tally())
    _show_machine_output(checked, whole, output)
    render.show_tally(whole, time.monotonic() - start, console=render.out() if output == "text" else render.err())
    if whole.errors or (strict and whole.warnings):
        context.exit(ExitCode.FINDINGS)


def _what_to_type() -> str:
    nearby = [path.as_posix() for pattern in ("*.y*ml", "recipes/*.y*ml", "*.jsonl") for path in Path().glob(pattern)]
    example = f"cloudcpt validate {nearby[0]}" if nearby else "cloudcpt validate recipe.yaml"
    return f"name a recipe or a dataset, such as `{example}`"


def _check(path: str, first: int) -> Checked:
    if path.endswith(RECIPE_SUFFIXES):
        return _check_recipe(path, first)
    try:
        report = check(path, Path.cwd(), first=first)
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
    }


def _report_as_json(report: "DatasetReport") -> dict[str, Any]:
    whole = asdict(report)
    del whole["diagnostics"]  # they stand with all findings of the path
    return whole
