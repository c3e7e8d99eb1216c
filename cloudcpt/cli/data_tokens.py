"""`cloudcpt data tokens PATH...`: count the tokens of datasets, or estimate them and say how well."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.check import check
from cloudcpt.cli.data_engine import EngineChoice, engine_options, make_place, require_job
from cloudcpt.cli.data_options import following, workers_option
from cloudcpt.cli.quantities import count, plural, rough
from cloudcpt.errors import DatasetError, Severity

if TYPE_CHECKING:
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.engine import Engine
    from cloudcpt.dataset.tokens import DocumentTokenizer
    from cloudcpt.plan.census import Census


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--tokenizer",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder of the base model, or any folder with its `tokenizer.json`.",
)
@click.option(
    "--exact/--estimate",
    "is_exact",
    default=None,
    help="Count every token, which --tokenizer does by itself; or encode excerpts only, which takes seconds.",
)
@click.option(
    "--max-length",
    "seq_len",
    type=click.IntRange(min=1),
    default=8192,
    show_default=True,
    metavar="TOKENS",
    help="Tokens in a row, as `max_length` of a recipe.",
)
@workers_option
@click.option("--dry-run", is_flag=True, help="With `--on`: print what would be sent, and send nothing.")
@engine_options
@render.output_option
def command(
    paths: tuple[str, ...],
    folder: Path | None,
    is_exact: bool | None,
    seq_len: int,
    workers: int,
    dry_run: bool,
    engine: EngineChoice,
    output: str,
) -> None:
    """Count the tokens of datasets.

    With --tokenizer every token is counted, boundaries between documents included. With --estimate as well, excerpts
    of 500 documents are encoded: the number comes with an interval that holds the truth 95 times of 100. Without a
    tokenizer it is a rule of thumb, 4 characters per token, within 30 % or so.

    Says too how many rows the documents fill in either packing, how much of them is padding, and what is cut.
    """
    if is_exact and folder is None:
        raise click.UsageError("`--exact` counts with a tokenizer: name a model's folder with `--tokenizer`")
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.dataset.places import is_in_s3
    from cloudcpt.dataset.tokens import load_tokenizer

    require_job(dry_run=dry_run)
    tokenizer = load_tokenizer(folder) if folder is not None else None
    places = InputPlaces(Path.cwd())
    found = []
    with engine.running(paths, workers) as running:
        for path in paths:
            if is_in_s3(path) and (trouble := places.out_of_reach(path)):
                raise trouble
            if tokenizer is not None and is_exact is not False:
                found.append(_count(path, places, tokenizer, seq_len, workers, running))
            else:
                found.append(_guess(path, places, tokenizer, seq_len, workers, running))
    if output == "json":
        render.print_json(_as_json(paths, found))
    else:
        _show(paths, found)


def _count(
    path: str,
    places: "InputPlaces",
    tokenizer: "DocumentTokenizer",
    seq_len: int,
    workers: int,
    engine: "Engine | None",
) -> "Census":
    from cloudcpt.corpus.engine_tokens import counted_on
    from cloudcpt.plan import census

    files = places.select(path).files
    blocks = counted_on(engine, make_place(), files, tokenizer) if engine else None
    with following(f"counting tokens of {path}") as progress:
        return census.count(
            places, files, tokenizer, seq_len=seq_len, workers=workers, progress=progress, blocks=blocks
        )


def _guess(
    path: str,
    places: "InputPlaces",
    tokenizer: "DocumentTokenizer | None",
    seq_len: int,
    workers: int,
    engine: "Engine | None",
) -> "Census":
    from cloudcpt.corpus.engine_check import reading_on
    from cloudcpt.plan import census
    from cloudcpt.plan.token_rate import rate_of

    read = reading_on(engine, make_place()) if engine else None
    report = check(path, places, first=5, workers=workers, read=read)
    if not report.ok:
        raise DatasetError(*(found for found in report.diagnostics if found.severity is Severity.ERROR))
    return census.guess(report, rate_of(report, tokenizer), seq_len=seq_len)


def _show(paths: Sequence[str], found: "Sequence[Census]") -> None:
    for path, one in zip(paths, found, strict=True):
        render.out().print(f"{path}: {_amount([one])}")
        render.show_pairs(_pairs(one))
    if len(found) > 1:
        render.out().print(f"in all: {_amount(found)}")
    render.err().print("`cloudcpt plan RECIPE` says what training on them takes, in hours and dollars", style="faint")


def _amount(found: "Sequence[Census]") -> str:
    """Say how many tokens there are in all; errors of several estimates are taken to have one cause, and add up."""
    tokens = sum(one.tokens for one in found)
    error = round(sum(one.tokens * one.error for one in found))
    documents = f"in {plural(sum(one.documents for one in found), 'document')}"
    if not error:
        return f"{plural(tokens, 'token')} {documents}"
    low, high = (count(rough(bound)) for bound in (tokens - error, tokens + error))
    return f"about {count(rough(tokens))} tokens {documents} ({low} to {high})"


def _pairs(one: "Census") -> list[tuple[str, str]]:
    lengths = one.lengths
    return [
        ("  how", _how(one)),
        (
            "  per document",
            f"{lengths.min:,} to {lengths.max:,}, median {lengths.median:,}, mean {lengths.mean:,.0f}, "
            f"95 % up to {lengths.p95:,}",
        ),
        ("  per character", f"{one.tokens / max(1, one.characters):.3f}"),
        *((f"  rows, {packing}", _rows(one, packing)) for packing in one.rows),
    ]


def _how(one: "Census") -> str:
    if one.exact:
        return "counted"
    if one.sampled:
        return f"estimated from excerpts of {plural(one.sampled, 'document')}, within {one.error:.1%}"
    return f"guessed from characters, within {one.error:.0%} or so; `--tokenizer FOLDER` counts"


def _rows(one: "Census", packing: Any) -> str:  # Any: a key of the mapping itself
    rows = one.rows[packing]
    shown = f"{rows.rows:,}" if one.exact else f"about {rough(rows.rows):,}"
    cut = f"{plural(rows.cut_documents, 'document')} ({rows.cut_documents / max(1, one.documents):.1%}) cut"
    return f"{shown} of {one.seq_len:,} tokens, {one.padding_share(packing):.1%} padding, {cut}"


def _as_json(paths: Sequence[str], found: "Sequence[Census]") -> dict[str, Any]:
    return {
        "tokens": sum(one.tokens for one in found),
        "exact": all(one.exact for one in found),
        "inputs": [
            {
                "path": path,
                "documents": one.documents,
                "characters": one.characters,
                "tokens": one.tokens,
                "exact": one.exact,
                "error": one.error,
                "sampled_documents": one.sampled,
                "tokens_per_document": {
                    name: getattr(one.lengths, name) for name in ("min", "mean", "median", "p95", "max")
                },
                "max_length": one.seq_len,
                "rows": {
                    packing: {
                        "rows": rows.rows,
                        "padding_share": one.padding_share(packing),
                        "cut_documents": rows.cut_documents,
                        "cut_tokens": rows.cut_tokens,
                    }
                    for packing, rows in one.rows.items()
                },
            }
            for path, one in zip(paths, found, strict=True)
        ],
    }
