"""From a recipe's path to its plan, with everything that is wrong on the way: for `validate`, `plan` and `submit`.

    recipe --load--> every dataset it names --check--> plan

Each stage runs on what the stage before could save, so that one look shows as much as possible: a dataset is checked
although another one is missing, but nothing is planned on data that failed. Data that cannot be read from here is
planned with only when the user says how much of it to assume.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cloudcpt.cli import render
from cloudcpt.cli.input_places import InputPlaces
from cloudcpt.cli.model_in_s3 import model_in_s3
from cloudcpt.cli.recipe_data import NOT_THERE, RecipeData
from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import (
    CloudcptError,
    Diagnostic,
    InputError,
    Related,
    Severity,
    TransientError,
    note,
)

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport
    from cloudcpt.plan.make import DataInput
    from cloudcpt.plan.plan import Plan
    from cloudcpt.recipe.load import LoadedRecipe

_UNCHECKED = "CPT395"
"""Code of data that cannot be checked from here."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A recipe as far as it could be prepared.

    Args:
        findings: In groups, in the order in which to show them: of the recipe, of each dataset, of the plan.
        loaded: None when the recipe itself is wrong.
        reports: Of the datasets that could be checked, by channel.
        plan: None when something is wrong, or when a dataset cannot be checked from here.
        paths: Where the files lie that have to be uploaded for the plan, by BLAKE3; empty for a job on this machine.
    """

    findings: tuple[tuple[Diagnostic, ...], ...]
    loaded: "LoadedRecipe | None"
    reports: "Mapping[str, DatasetReport]"
    plan: "Plan | None"
    paths: Mapping[str, Path] = field(default_factory=dict)

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
    path: Path,
    *,
    target: str | None = None,
    stand_in: bool = False,
    samples: int = 0,
    first: int = 5,
    nodes: int = 0,
) -> Prepared:
    """Load a recipe, check its datasets, plan it; collect instead of raising.

    Args:
        path: Of the recipe.
        target: Where to plan it for instead of where the recipe says.
        stand_in: Plan a rehearsal on a tiny random model.
        samples: Rows to assume for each dataset that cannot be read from here; 0 plans with data that was read only.
        first: Findings of each code to keep per dataset.
        nodes: Containers of target `container`, instead of what the recipe says.

    Raises:
        TransientError: reading from S3 began and could not go on.
    """
    from cloudcpt.plan.addresses import local_paths
    from cloudcpt.plan.inputs import recipe_inputs
    from cloudcpt.recipe.load import load_recipe

    try:
        loaded = load_recipe(path)
    except InputError as exc:
        return Prepared(findings=(exc.diagnostics,), loaded=None, reports={}, plan=None)
    inputs, places = recipe_inputs(loaded), _places_of(loaded)
    away = [source for source in inputs if is_in_s3(source.path)]
    trouble = places.out_of_reach(away[0].path) if away and not samples else None
    findings = [loaded.diagnostics, _unread(loaded, away, trouble) if trouble else ()]
    reports, of_data = _read_data(loaded, places, inputs, away if samples or trouble else (), first)
    findings += [_without_missing(group) for group in of_data] if samples else of_data
    prepared = Prepared(findings=tuple(filter(None, findings)), loaded=loaded, reports=reports, plan=None)
    if prepared.errors or (len(reports) < len(inputs) and not samples):
        return prepared
    plan, found = _plan(loaded, reports, places, target=target, stand_in=stand_in, samples=samples, nodes=nodes)
    paths = local_paths(loaded, reports, plan) if plan else {}
    return replace(prepared, findings=(*prepared.findings, *filter(None, [found])), plan=plan, paths=paths)


def _places_of(loaded: "LoadedRecipe") -> InputPlaces:
    launch = loaded.recipe.launch
    return InputPlaces(_as_typed(loaded.folder), region=launch.region, owner=launch.account_id)


def _unread(loaded: "LoadedRecipe", away: "Sequence[DataInput]", trouble: CloudcptError) -> tuple[Diagnostic, ...]:
    """Say once which datasets are out of sight, with all their places and the reason."""
    which = f"`{away[0].path}` is" if len(away) == 1 else f"{len(away)} datasets are"
    message = f"{which} in S3, which is not read from here, so not checked and not planned with: {_reason(trouble)}"
    places = [loaded.place(*source.named_by) for source in away]
    related = tuple(Related(place=place, label="and this") for place in places[1:] if place is not None)
    hint = (
        "sign in to AWS, or name local files, which are uploaded when the job is submitted; or "
        "`cloudcpt plan --samples 100000` plans with an assumed amount"
    )
    return (replace(note(_UNCHECKED, message, place=places[0], hint=hint), related=related),)


def _reason(trouble: CloudcptError) -> str:
    return trouble.diagnostics[0].message


def _read_data(
    loaded: "LoadedRecipe",
    places: InputPlaces,
    inputs: "Sequence[DataInput]",
    left: "Sequence[DataInput]",
    first: int,
) -> "tuple[dict[str, DatasetReport], list[tuple[Diagnostic, ...]]]":
    """Read the datasets that a recipe names, but for some that are left; give reports and findings in its order."""
    data = RecipeData(loaded, places, first=first)
    data.read([source for source in inputs if source.path and source not in left])
    channels = [source.channel for source in inputs]
    reports = {channel: data.reports[channel] for channel in channels if channel in data.reports}
    return reports, [*(data.findings.get(channel, ()) for channel in channels), data.findings_across()]


def _without_missing(findings: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(found for found in findings if found.code not in NOT_THERE)


def _as_typed(folder: Path) -> Path:
    """Name a folder below the current one as a person there would, so that messages are short."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _plan(
    loaded: "LoadedRecipe",
    reports: "Mapping[str, DatasetReport]",
    places: InputPlaces,
    *,
    target: str | None,
    stand_in: bool,
    samples: int,
    nodes: int,
) -> "tuple[Plan | None, tuple[Diagnostic, ...]]":
    from cloudcpt.plan.instances import this_machine
    from cloudcpt.plan.make import make_plan

    notes: tuple[Diagnostic, ...] = ()
    try:
        with model_in_s3(loaded, places, stand_in=stand_in) as (model, notes):
            plan, found = make_plan(
                loaded,
                reports,
                target=target,
                stand_in=stand_in,
                assumed_rows=samples,
                region=_configured_region(loaded, target),
                machine=this_machine(),
                place=places,
                model_in_s3=model,
                nodes=nodes,
            )
    except TransientError:
        raise
    except CloudcptError as exc:
        return None, (*notes, *exc.diagnostics)
    return plan, (*notes, *found)


def _configured_region(loaded: "LoadedRecipe", target: str | None) -> str:
    """Look the Region up where the plan needs one and the recipe names none; reading it loads all of boto3."""
    from cloudcpt.plan.site import choose_target

    if loaded.recipe.launch.region or choose_target(loaded, target) in ("local", "container"):
        return ""
    from cloudcpt.aws.session import configured_region

    return configured_region()
