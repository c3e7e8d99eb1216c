"""`cloudcpt data filter PATH... --to OUT`: leave out documents and lines by the measures of `data stats`."""

from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.data_inputs import files_of
from cloudcpt.cli.data_options import (
    following,
    overwrite_option,
    show_written,
    tell_going_on,
    to_option,
    workers_option,
)
from cloudcpt.cli.quantities import plural
from cloudcpt.corpus.stats.credentials import KINDS as SECRETS

_RULES = (
    "short", "repetitive", "repeated_lines", "unfinished_lines", "short_lines", "bullets", "ellipses", "few_letters",
    "word_length", "symbols", "links", "mostly_links", "html", "mojibake", "unseen", "not_normal", "placeholder",
    "cookies", "legal", "navigation", "advertising",
)  # fmt: skip
_PERSONAL = ("email", "phone", "ip_address", "credit_card", "iban", "us_ssn", "cn_resident_id")
_PHRASES = ("advertising", "cookies", "navigation", "legal", "placeholder")

_WEB_RULES = (
    "short", "repetitive", "repeated_lines", "bullets", "ellipses", "few_letters", "symbols", "mostly_links",
    "placeholder", *SECRETS,
)  # fmt: skip
_WEB_PHRASES = ("advertising", "cookies", "navigation")


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@to_option
@click.option(
    "--drop",
    "documents",
    multiple=True,
    type=click.Choice([*_RULES, *_PERSONAL, *SECRETS, "secrets"]),
    metavar="MEASURE",
    help="Leave out documents with it: a measure or a kind of personal data, named as in the JSON of `data stats`; "
    "`secrets` for every kind of key and token. May be repeated.",
)
@click.option(
    "--drop-lines",
    "lines",
    multiple=True,
    type=click.Choice(_PHRASES),
    help="Take the lines out that hold such phrases. May be repeated.",
)
@click.option(
    "--language", "languages", multiple=True, metavar="CODE", help="Keep documents in it only. May be repeated."
)
@click.option("--web", is_flag=True, help="For crawled pages: a choice of the above, see below.")
@overwrite_option
@workers_option
@render.output_option
def command(
    paths: tuple[str, ...],
    target: Path,
    documents: tuple[str, ...],
    lines: tuple[str, ...],
    languages: tuple[str, ...],
    web: bool,
    overwrite: bool,
    workers: int,
    output: str,
) -> None:
    """Leave out documents and lines by the measures of `data stats`.

    Nothing goes unless it is named. Lines go first, and a document is judged by what is left of it. OUT/dropped.csv
    says of each document that went why, and of which documents lines went.

    --web takes lines out with adverts, cookie notices and navigation, and leaves out documents that are short,
    repetitive, lists, teasers, mostly links or numbers or signs, placeholders, or that hold a secret. Look first at
    what `data stats` says of your data: rules for English pages are wrong for code and for poems.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.corpus.filter import FilterOptions, filter_files, filter_work
    from cloudcpt.corpus.leaving_out import require_files
    from cloudcpt.corpus.output import Output

    documents = tuple(dict.fromkeys((*_spelled_out(documents), *(_WEB_RULES if web else ()))))
    lines = tuple(dict.fromkeys((*lines, *(_WEB_PHRASES if web else ()))))
    if not (documents or lines or languages):
        raise click.UsageError("say what is to go, with `--drop`, `--drop-lines`, `--language` or `--web`")
    if languages:
        _require_known(languages)
    options = FilterOptions(documents=documents, lines=lines, languages=tuple(dict.fromkeys(languages)))
    places = InputPlaces(Path.cwd())
    files = files_of(places, paths)
    work = filter_work(files, options)
    require_files(files, target)
    written = Output(target, work, overwrite=overwrite, sources=paths)
    tell_going_on(written, 1 + len(files), "step")
    with following(f"filtering {', '.join(paths)}") as progress:
        done, shortened = filter_files(places, files, options, written, workers=workers, progress=progress)
    pairs = {"shortened": f"{plural(shortened, 'document')} of which lines went"} if shortened else {}
    show_written(done, output, pairs=pairs, more={"shortened": shortened})


def _spelled_out(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for name in names for one in (SECRETS if name == "secrets" else (name,)))


def _require_known(languages: tuple[str, ...]) -> None:
    from cloudcpt.corpus.extras import require
    from cloudcpt.corpus.stats.language import known_languages

    require("py3langid")
    known = known_languages()
    unknown = [code for code in languages if code not in known]
    if unknown:
        raise click.UsageError(f"`--language {unknown[0]}` is none of {', '.join(sorted(known))}")
