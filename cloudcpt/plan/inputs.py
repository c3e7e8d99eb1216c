"""The datasets that a recipe names, and what each becomes in the plan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from cloudcpt.dataset.check import DatasetReport
from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import Diagnostic, Place, error
from cloudcpt.plan.extent import DOMAIN
from cloudcpt.plan.plan import DataFile, Source, SourceRole
from cloudcpt.plan.site import Target
from cloudcpt.plan.volume import Volume
from cloudcpt.recipe.load import LoadedRecipe
from cloudcpt.wire import GENERAL_VALIDATION_CHANNEL, TRAIN_CHANNEL, VALIDATION_CHANNEL, replay_channel

GENERAL = "general"
"""Name of the held-out set on which forgetting is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataInput:
    """One dataset that a recipe names.

    Args:
        name: `domain` for the training data, the recipe's name for a replay source, `domain` and `general` for the
            held-out sets.
        role: What it is for.
        channel: The input channel that will carry it.
        path: As the recipe has it: a local path, relative to the recipe's folder, or s3://; empty when the recipe
            leaves the training data open.
        named_by: The keys of the recipe under which the path stands.
        version: Which version of the data is meant, as the recipe has it; empty for what is there.
        version_named_by: The keys of the recipe under which the version stands.
    """

    name: str
    role: SourceRole
    channel: str
    path: str
    named_by: tuple[str | int, ...]
    version: str
    version_named_by: tuple[str | int, ...]


def recipe_inputs(loaded: LoadedRecipe) -> tuple[DataInput, ...]:
    """List the datasets of a recipe: the training data, named or not, then the replay sources and held-out sets."""
    recipe = loaded.recipe
    sources = recipe.data_mixing.sources if recipe.data_mixing else ()
    named = (
        DataInput(
            name=DOMAIN,
            role="train",
            channel=TRAIN_CHANNEL,
            path=recipe.run.data_s3_path,
            named_by=("run", "data_s3_path"),
            version=recipe.data.version,
            version_named_by=("data", "version"),
        ),
        *(
            DataInput(
                name=source.name,
                role="replay",
                channel=replay_channel(source.name),
                path=source.path,
                named_by=("data_mixing", "sources", index, "path"),
                version=source.version,
                version_named_by=("data_mixing", "sources", index, "version"),
            )
            for index, source in enumerate(sources)
        ),
        DataInput(
            name=DOMAIN,
            role="validation",
            channel=VALIDATION_CHANNEL,
            path=recipe.run.validation_data_s3_path,
            named_by=("run", "validation_data_s3_path"),
            version=recipe.data.validation_version,
            version_named_by=("data", "validation_version"),
        ),
        DataInput(
            name=GENERAL,
            role="general_validation",
            channel=GENERAL_VALIDATION_CHANNEL,
            path=recipe.eval.general_data_path,
            named_by=("eval", "general_data_path"),
            version=recipe.eval.general_data_version,
            version_named_by=("eval", "general_data_version"),
        ),
    )
    return tuple(one for one in named if one.path or one.role == "train")


def unnamed_data(loaded: LoadedRecipe) -> Iterator[Diagnostic]:
    """Say that a recipe names no training data, when it does not."""
    if not loaded.recipe.run.data_s3_path:
        yield error(
            "CPT503",
            "the recipe names no training data, so there is nothing to plan",
            place=loaded.place("run", "data_s3_path"),
            hint="name JSONL in `run.data_s3_path`; or `cloudcpt plan --samples 100000` plans with an assumed amount",
        )


def input_faults(
    loaded: LoadedRecipe, reports: Mapping[str, DatasetReport], *, assumed_rows: int
) -> Iterator[Diagnostic]:
    """Say which datasets cannot be planned with: no training data, not checked, or checked and bad.

    Args:
        loaded: The recipe.
        reports: By channel.
        assumed_rows: Not 0 where a dataset without a report is planned with an assumed amount.
    """
    if not assumed_rows:
        yield from unnamed_data(loaded)
    for one in recipe_inputs(loaded):
        report = reports.get(one.channel)
        if report is None and one.path and not assumed_rows:
            hint = "name a local copy; cloudcpt plans with data that it has read"
            yield error("CPT504", f"`{one.path}` was not checked", hint=hint)
        elif report is not None and not report.ok:
            hint = f"see them with `cloudcpt validate {one.path}`"
            yield error("CPT504", f"`{one.path}` has {report.error_count} errors", hint=hint)


def distant_inputs(loaded: LoadedRecipe, reports: Mapping[str, DatasetReport], target: Target) -> Iterator[Diagnostic]:
    """Say which datasets a job on this machine could not read."""
    if target not in ("local", "container"):
        return
    for one in recipe_inputs(loaded):
        report = reports.get(one.channel)
        if report is not None and any(is_in_s3(file.path) for file in report.files):
            yield in_s3_but_needed_here(one.path, loaded.place(*one.named_by))


def in_s3_but_needed_here(uri: str, place: Place | None) -> Diagnostic:
    """Say that an input is in S3 and the job is to run on this machine."""
    hint = "copy it to this machine and name the copy; or let the job run in the cloud, `launch.target: sagemaker`"
    return error(
        "CPT315", f"`{uri}` is in S3, and a job on this machine reads local files only", place=place, hint=hint
    )


def sources_of(
    loaded: LoadedRecipe,
    reports: Mapping[str, DatasetReport],
    volumes: Mapping[str, Volume],
    weights: Mapping[str, Fraction],
    *,
    stand_in: bool,
) -> tuple[Source, ...]:
    """Describe every dataset for the plan.

    Args:
        loaded: The recipe.
        reports: By channel, of what was read.
        volumes: By channel, of every dataset.
        weights: Shares of the replay sources, by name; the rest is the domain's.
        stand_in: The job reads bytes instead of the model's tokens, so no count of ours can be exact.
    """
    return tuple(
        Source(
            name=one.name,
            role=one.role,
            channel=one.channel,
            files=_files(reports.get(one.channel)),
            documents=reports[one.channel].documents if one.channel in reports else 0,
            tokens=volumes[one.channel].tokens,
            rows=volumes[one.channel].rows,
            cut_documents=volumes[one.channel].cut_documents,
            cut_tokens=volumes[one.channel].cut_tokens,
            exact=volumes[one.channel].exact and not stand_in,
            weight=_weight(one, weights),
        )
        for one in recipe_inputs(loaded)
    )


def _files(report: DatasetReport | None) -> tuple[DataFile, ...]:
    return tuple(
        DataFile(name=file.name, uri=file.path, size_bytes=file.size_bytes, blake3=file.blake3)
        for file in (report.files if report else ())
    )


def _weight(one: DataInput, weights: Mapping[str, Fraction]) -> float:
    if one.role == "replay":
        return float(weights[one.name])
    return float(1 - sum(weights.values(), Fraction(0))) if one.role == "train" else 0.0
