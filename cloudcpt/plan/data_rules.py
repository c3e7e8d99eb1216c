"""What a recipe asks of its data beyond being readable: sizes, and held-out text that is not trained on."""

from collections.abc import Iterator, Mapping

from cloudcpt.dataset.check import DatasetReport
from cloudcpt.dataset.overlap import Overlap
from cloudcpt.errors import Diagnostic, Related, warning
from cloudcpt.plan.inputs import DataInput, recipe_inputs
from cloudcpt.recipe.load import LoadedRecipe

_GB = 10**9


def size_findings(loaded: LoadedRecipe, reports: Mapping[str, DatasetReport]) -> Iterator[Diagnostic]:
    """Warn of files, and of data in all, above the limits of the recipe; a dataset that is named twice counts once.

    Args:
        loaded: The recipe.
        reports: Of the datasets that could be read, by channel.
    """
    rules = loaded.recipe.data
    for one in recipe_inputs(loaded):
        files = reports[one.channel].files if one.channel in reports else ()
        large = [file for file in files if file.size_bytes > rules.max_file_gb * _GB]
        if large:
            largest = max(large, key=lambda file: file.size_bytes)
            which = "is" if len(large) == 1 else f"is the largest of {len(large)} files that are"
            yield warning(
                "CPT381",
                f"`{largest.name}` has {_gb(largest.size_bytes)} GB and {which} above {rules.max_file_gb:g} GB",
                place=loaded.place(*one.named_by),
                hint="cut it into several files; or raise `data.max_file_gb`, if you mean it",
            )
    sizes = {file.path: file.size_bytes for report in reports.values() for file in report.files}
    if (total := sum(sizes.values())) > rules.max_total_gb * _GB:
        yield warning(
            "CPT382",
            f"all data together has {_gb(total)} GB, above {rules.max_total_gb:g} GB",
            place=loaded.place("run", "data_s3_path"),
            hint="every machine of the job needs room for it; raise `data.max_total_gb`, if you mean it",
        )


def overlap_finding(
    loaded: LoadedRecipe,
    held_out: DataInput,
    trained: DataInput,
    overlap: Overlap,
    reports: Mapping[str, DatasetReport],
) -> Diagnostic:
    """Warn that a held-out set is trained on, as a whole or in part.

    Args:
        loaded: The recipe.
        held_out: The set.
        trained: Training data, of whichever kind.
        overlap: What both have.
        reports: Of both, by channel.
    """
    return warning(
        "CPT385",
        f"{_how_much(overlap, reports[held_out.channel])} of `{held_out.path}` "
        f"{_also_in(held_out, trained, reports)}: the loss on them does not say how well new text is learned",
        place=loaded.place(*held_out.named_by),
        hint="set documents aside with `cloudcpt data split`, or take them out with `cloudcpt data decontaminate`",
        related=(
            Related(place=overlap.place, label="the first such document, held out"),
            Related(place=overlap.trained_at, label="and trained on"),
        ),
    )


def _gb(size_bytes: int) -> str:
    """Write bytes in GB, with digits that say something of small numbers too."""
    size = size_bytes / _GB
    return f"{size:,.1f}" if size >= 1 else f"{size:.2g}"


def _how_much(overlap: Overlap, report: DatasetReport) -> str:
    different = report.documents - report.duplicate_documents
    if overlap.documents >= different:
        return "every document"
    return f"{'' if overlap.is_complete else 'at least '}{overlap.documents:,} of the {different:,} different documents"


def _also_in(held_out: DataInput, trained: DataInput, reports: Mapping[str, DatasetReport]) -> str:
    """Say where the documents are trained on, and which whole files are the same, if there are such."""
    ours = {file.blake3: file.name for file in reports[held_out.channel].files if file.blake3}
    same = [file.name for file in reports[trained.channel].files if file.blake3 in ours]
    return f"can be found in `{trained.path}`" + (f" (`{same[0]}` is the same file)" if same else "")
