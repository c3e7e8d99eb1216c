"""`cloudcpt data mix RECIPE --to OUT`: write the mixture of documents that a recipe plans to train on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cloudcpt.cli import render
from cloudcpt.cli.data_options import (
    following,
    overwrite_option,
    show_written,
    tell_going_on,
    to_option,
    workers_option,
)
from cloudcpt.cli.quantities import count
from cloudcpt.errors import Place, UsageProblem, error

if TYPE_CHECKING:
    from cloudcpt.cli.prepare import Prepared
    from cloudcpt.corpus.mix import MixSource, Portion
    from cloudcpt.dataset.tokens import DocumentTokenizer
    from cloudcpt.plan.plan import Plan

_MEANING: Final = (
    "Of each source as many tokens as the plan trains on, counted with the tokenizer, less than one document missing. "
    "Documents of a whole pass are all there; those of the last pass are drawn by the seed. The run itself draws "
    "packed rows: which documents its last pass meets, their order, where rows cut them, and padding are its own."
)


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@to_option
@click.option(
    "--tokenizer",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Count with this tokenizer instead of the base model's.",
)
@overwrite_option
@workers_option
@render.output_option
def command(recipe: Path, target: Path, folder: Path | None, overwrite: bool, workers: int, output: str) -> None:
    """Write the mixture that a recipe plans.

    RECIPE is planned as by `cloudcpt plan`. Then of the training data and of each general source so many documents are
    written as the job would train on: by tokens, for all its steps, repeated where it goes over a source more than
    once. Into a folder goes a file for each source, and `report.json` with tokens and shares, planned and reached.

    The run draws packed rows, not documents, so which documents its last pass meets, and in which order, is its own.
    The draw depends on the `seed` of the recipe.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.cli.prepare import prepare
    from cloudcpt.corpus.mix import count_portion, write_portion
    from cloudcpt.corpus.output import Output
    from cloudcpt.corpus.work import work_of

    prepared = prepare(recipe)
    plan = prepared.require_plan()
    assert prepared.loaded is not None, "what is planned was loaded"
    tokenizer, named = _tokenizer(prepared, folder)
    sources, launch = _sources(plan, prepared), prepared.loaded.recipe.launch
    place = InputPlaces(Path.cwd(), region=launch.region, owner=launch.account_id)
    wanted = {source.name: source.wanted_tokens for source in sources}
    files = [file for source in sources for file in source.files]
    work = work_of("data mix", files, tokens=wanted, seed=plan.seed, tokenizer=named)
    written = Output(target, work, overwrite=overwrite, sources=_folders(prepared))
    trained = [source for source in plan.sources_of("train", "replay") if source.name in wanted]
    passes = [-(-wanted[source.name] // source.tokens) for source in trained]
    tell_going_on(written, len(passes) + sum(passes), "step")
    portions = []
    for source in sources:
        with following(f"counting {source.name}") as progress:
            portions.append(
                count_portion(place, source, tokenizer, written, seed=plan.seed, workers=workers, progress=progress)
            )
    for source, portion in zip(sources, portions, strict=True):
        with following(f"writing {source.name}") as progress:
            write_portion(place, source, portion, written, seed=plan.seed, workers=workers, progress=progress)
    size_bytes = sum(noted["size_bytes"] for step, noted in written.finished.items() if ": pass " in step)
    rows = _rows(sources, portions)
    written.commit({"command": "data mix", "meaning": _MEANING, "seed": plan.seed, "plan": plan.hash, "sources": rows})
    _show(target, rows, size_bytes, output)


def _tokenizer(prepared: "Prepared", folder: Path | None) -> "tuple[DocumentTokenizer, str]":
    """Load the tokenizer, and name it by its content.

    Raises:
        UsageProblem: none was named, and the base model's is not on this machine.
    """
    from blake3 import blake3

    from cloudcpt.dataset.tokens import TOKENIZER_FILE, load_tokenizer

    assert prepared.loaded is not None, "what is planned was loaded"
    loaded = prepared.loaded
    chosen = folder or loaded.folder / loaded.recipe.run.model_name_or_path
    if folder is None and not (chosen / TOKENIZER_FILE).is_file():
        place = loaded.place("run", "model_name_or_path") or Place(path=loaded.path)
        message = "the mixture is counted in tokens, and the tokenizer of the base model is not on this machine"
        hint = "name the folder of a tokenizer, of this model or one like it, with `--tokenizer`"
        raise UsageProblem(error("CPT365", message, place=place, hint=hint))
    tokenizer = load_tokenizer(chosen)
    return tokenizer, f"{blake3((chosen / TOKENIZER_FILE).read_bytes()).hexdigest()} {tokenizer.boundary_id}"


def _sources(plan: "Plan", prepared: "Prepared") -> "list[MixSource]":
    from cloudcpt.corpus.mix import MixSource

    return [
        MixSource(
            name=source.name,
            file_name=f"{source.channel}.jsonl",
            files=tuple(file.as_input for file in prepared.reports[source.channel].files),
            share=source.weight,
            wanted_tokens=round(source.weight * plan.geometry.train_tokens),
        )
        for source in plan.sources_of("train", "replay")
        if source.weight > 0
    ]


def _folders(prepared: "Prepared") -> list[str]:
    """Name what the recipe names on this machine, as seen from here."""
    from cloudcpt.dataset.places import is_in_s3
    from cloudcpt.plan.inputs import recipe_inputs

    assert prepared.loaded is not None, "what is planned was loaded"
    folder, inputs = prepared.loaded.folder, recipe_inputs(prepared.loaded)
    return [str(folder / one.path) for one in inputs if not is_in_s3(one.path)]


def _rows(sources: "Sequence[MixSource]", portions: "Sequence[Portion]") -> list[dict[str, Any]]:
    whole = max(1, sum(portion.written_tokens for portion in portions))
    return [
        {
            "name": source.name,
            "file": source.file_name,
            "documents": portion.documents,
            "tokens": portion.tokens,
            "planned_tokens": source.wanted_tokens,
            "planned_share": source.share,
            "written_documents": portion.written_documents,
            "written_tokens": portion.written_tokens,
            "reached_share": portion.written_tokens / whole,
            "passes": portion.written_tokens / portion.tokens,
        }
        for source, portion in zip(sources, portions, strict=True)
    ]


def _show(target: Path, rows: list[dict[str, Any]], size_bytes: int, output: str) -> None:
    from cloudcpt.corpus.targets import is_single_file
    from cloudcpt.corpus.written import Written

    done = Written(
        target=str(target),
        files=1 if is_single_file(target) else len(rows),
        documents=sum(row["written_documents"] for row in rows),
        size_bytes=size_bytes,
    )
    tokens = sum(row["written_tokens"] for row in rows)
    show_written(done, output, pairs={"tokens": count(tokens)}, more={"tokens": tokens, "sources": rows})
    if output != "json":
        render.out().print()
        right = ("documents", "tokens", "planned", "reached", "passes")
        render.show_table(("source", *right), [_cells(row) for row in rows], right=right)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    shares = f"{row['planned_share']:.2%}", f"{row['reached_share']:.2%}"
    return (row["name"], f"{row['written_documents']:,}", f"{row['written_tokens']:,}", *shares, f"{row['passes']:.2f}")
