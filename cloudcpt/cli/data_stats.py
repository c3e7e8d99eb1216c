"""`cloudcpt data stats PATH...`: measure a corpus in one pass, and say what each number means and what to do."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.data_inputs import show_left_out
from cloudcpt.cli.data_options import following, workers_option
from cloudcpt.cli.excerpt import printable

if TYPE_CHECKING:
    from cloudcpt.corpus.stats.measure import CorpusStats


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Count tokens, exactly, with the tokenizer of a model's folder.",
)
@workers_option
@render.output_option
def command(paths: tuple[str, ...], tokenizer: Path | None, workers: int, output: str) -> None:
    """Measure a corpus: is it large, diverse, representative, clean, natural?

    All PATHs together are one corpus. Lengths, languages, scripts, repeated documents, what pages leave in text
    (menus, cookie notices, adverts, links, HTML), wrong decoding, rules for fluent text, and what looks personal or
    secret, which is counted and never shown. With --tokenizer also what each language costs in tokens.

    `!` marks what one should act on. `--output json` has everything: meaning, limit, source and first places of each
    measure. Lines that are no documents are passed over; `cloudcpt data check` names them.
    """
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.cli.stats_view import stats_as_json
    from cloudcpt.corpus.stats.measure import measure_corpus

    with following(f"measuring {', '.join(paths)}") as progress:
        stats = measure_corpus(
            InputPlaces(Path.cwd()), paths, tokenizer_folder=tokenizer, workers=workers, progress=progress
        )
    show_left_out(stats.left_out)
    if output == "json":
        render.print_json(stats_as_json(stats))
    else:
        _show(stats)


def _show(stats: "CorpusStats") -> None:
    from cloudcpt.cli.stats_view import stats_lines

    out = render.out()
    width = min(out.width, render.PIPED_WIDTH) if out.is_terminal else render.PIPED_WIDTH
    for line, style in stats_lines(stats, width):
        out.print(printable(line), style=style)
