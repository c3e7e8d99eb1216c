"""From a recipe's path to its plan, with everything that is wrong on the way: for `validate`, `plan` and `submit`.

    recipe --load--> every dataset it names --check--> plan

Each stage runs on what the stage before could save, so that one look shows as much as possible: a dataset is checked
although another one is missing, but nothing is planned on data that failed. Data that cannot be read from here is
planned with only when the user says how much of it to assume.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudcpt.cli import render
from cloudcpt.cli.check import check
from cloudcpt.errors import CloudcptError, DatasetError, Diagnostic, InputError, Place, Related, Severity, note

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport
    from cloudcpt.plan.make import DataInput
    from cloudcpt.plan.plan import Plan
    from cloudcpt.recipe.load import LoadedRecipe

_UNCHECKED = "CPT395"
"""Code of data that cannot be checked from here."""

_NOT_THERE = {"CPT300", "CPT301"}
"""Codes of a path with nothing behind it, unlike data that is there and wrong."""

_NAMED_BY = {
    "train": ("run", "data_s3_path"),
    "validation": ("run", "validation_data_s3_path"),
    "general_validation": ("eval", "general_data_path"),
}
"""The recipe key that names the dataset of a role; replay sources are a list of their own."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recipe as far as it could be prepared.

    Args:
        findings: In groups, in the order in which to show them: of the recipe, of each dataset, of the plan.
        loaded: None when the recipe itself is wrong.
        reports: Of the datasets that could be checked, by channel.
        plan: None when something is wrong, or when a dataset cannot be checked from here.
    """

    findings: tuple[tuple[Diagnostic, ...], ...]
    loaded: "LoadedRecipe | None"
    reports: "Mapping[str, DatasetReport]"
    plan: "Plan | None"

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """All findings that stop."""
        return tuple(found for group in self.findings for found in group if found.severity is Severity.ERROR)

    @property
    def sources(self) -> dict[str, str]:
        """Text of the recipe by its path, for excerpts."""
        return {self.loaded.path: self.loaded.text} if self.loaded else {}

    def require_plan(self) -> "Plan":
        """Show warnings and notes, and give the plan.

        Raises:
            InputError: with everything that is wrong, when there is no plan.
        """
        if self.plan is None:
            raise InputError(*(self.errors or self._missing()))
        for group in self.findings:
            render.show_diagnostics(group, self.sources)
            render.err().print()
        return self.plan

    def _missing(self) -> tuple[Diagnostic, ...]:
        """Say which data a recipe without mistakes still lacks for a plan."""
        from cloudcpt.plan.inputs import unnamed_data

        assert self.loaded is not None, "a recipe that could not be loaded has errors"
        unchecked = (found for group in self.findings for found in group if found.code == _UNCHECKED)
        return (
            *unnamed_data(self.loaded),
            *(replace(found, severity=Severity.ERROR) for found in unchecked),
        )


def prepare(
    path: Path, *, target: str | None = None, stand_in: bool = False, samples: int = 0, first: int = 5
) -> Prepared:
    """Load a recipe, check its datasets, plan it; collect instead of raising.

    Args:
        path: Of the recipe.
        target: Where to plan it for instead of where the recipe says.
        stand_in: Plan a rehearsal on a tiny random model.
        samples: Rows to assume for each dataset that cannot be read from here; 0 plans with data that was read only.
        first: Findings of each code to keep per dataset.
    """
    from cloudcpt.plan.inputs import recipe_inputs
    from cloudcpt.recipe.load import load_recipe

    try:
        loaded = load_recipe(path)
    except InputError as exc:
        return Prepared(findings=(exc.diagnostics,), loaded=None, reports={}, plan=None)
    inputs = recipe_inputs(loaded)
    findings = [loaded.diagnostics, () if samples else _in_s3(loaded, inputs)]
    reports: dict[str, DatasetReport] = {}
    for source in inputs:
        if source.path and not _is_in_s3(source):
            report, found = _check_input(loaded, source, first)
            findings.append(_without_missing(found) if samples else found)
            if report is not None:
                reports[source.channel] = report
    prepared = Prepared(findings=tuple(filter(None, findings)), loaded=loaded, reports=reports, plan=None)
    if prepared.errors or (len(reports) < len(inputs) and not samples):
        return prepared
    plan, found = _plan(loaded, reports, target=target, stand_in=stand_in, samples=samples)
    return replace(prepared, findings=(*prepared.findings, *filter(None, [found])), plan=plan)


def _is_in_s3(source: "DataInput") -> bool:
    return source.path.startswith("s3://")


def _in_s3(loaded: "LoadedRecipe", inputs: "Sequence[DataInput]") -> tuple[Diagnostic, ...]:
    """Say once which datasets are out of sight, with all their places."""
    away = [source for source in inputs if _is_in_s3(source)]
    if not away:
        return ()
    if len(away) == 1:
        message = f"`{away[0].path}` is in S3, which is not read from here: it is not checked and not planned with"
    else:
        message = f"{len(away)} datasets are in S3, which is not read from here: not checked and not planned with"
    places = [_where_named(loaded, source) for source in away]
    related = tuple(Related(place=place, label="and this") for place in places[1:] if place is not None)
    hint = (
        "name local files: they are checked, planned with and uploaded when the job is submitted; or "
        "`cloudcpt plan --samples 100000` plans with an assumed amount"
    )
    return (replace(note(_UNCHECKED, message, place=places[0], hint=hint), related=related),)


def _check_input(
    loaded: "LoadedRecipe", source: "DataInput", first: int
) -> "tuple[DatasetReport | None, tuple[Diagnostic, ...]]":
    named_here = _where_named(loaded, source)
    try:
        report = check(source.path, _as_typed(loaded.folder), first=first)
    except DatasetError as exc:
        return None, tuple(_with_place(found, named_here) for found in exc.diagnostics)
    return report, report.diagnostics


def _without_missing(findings: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(found for found in findings if found.code not in _NOT_THERE)


def _as_typed(folder: Path) -> Path:
    """Name a folder below the current one as a person there would, so that messages are short."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _where_named(loaded: "LoadedRecipe", source: "DataInput") -> Place | None:
    if source.role == "replay":
        mixing = loaded.recipe.data_mixing
        assert mixing is not None, "only `data_mixing` names replay sources"
        index = [mixed.name for mixed in mixing.sources].index(source.name)
        return loaded.place("data_mixing", "sources", index, "path")
    return loaded.place(*_NAMED_BY[source.role])


def _with_place(found: Diagnostic, named_here: Place | None) -> Diagnostic:
    """Let a finding about a whole dataset point at the line of the recipe that names the dataset."""
    if named_here is None or (found.place is not None and found.place.line is not None):
        return found
    return replace(found, place=named_here)


def _plan(
    loaded: "LoadedRecipe", reports: "Mapping[str, DatasetReport]", *, target: str | None, stand_in: bool, samples: int
) -> "tuple[Plan | None, tuple[Diagnostic, ...]]":
    from cloudcpt.plan.instances import this_machine
    from cloudcpt.plan.make import make_plan

    machine = this_machine()
    try:
        return make_plan(loaded, reports, target=target, stand_in=stand_in, assumed_rows=samples, machine=machine)
    except CloudcptError as exc:
        return None, exc.diagnostics
