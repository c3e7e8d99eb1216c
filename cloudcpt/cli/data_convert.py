"""`cloudcpt data convert PATH...`: turn files of other formats into JSON lines."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloudcpt.cli import render
from cloudcpt.cli.amounts import SizeType
from cloudcpt.cli.data_options import following, overwrite_option, show_written, tell_going_on, to_option
from cloudcpt.cli.diagnostics import as_json
from cloudcpt.cli.quantities import plural

if TYPE_CHECKING:
    from cloudcpt.corpus.convert import Conversion, Converted
    from cloudcpt.corpus.file_lines import Making


class _Encoding(click.ParamType[str]):
    """An encoding that Python knows."""

    name = "encoding"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            " ".encode(value)
        except (LookupError, ValueError):  # also of codecs that are not for text, such as base64
            known = "`utf-8`, `utf-16`, `cp1252`, `gb18030` and `shift_jis`"
            self.fail(f"`{value}` is no encoding; {known} are, for example", param, ctx)
        return str(value)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@to_option
@click.option("--column", metavar="NAME", help="The column of tables that is the text.")
@click.option("--template", metavar="TEXT", help=r"Make the text of several columns: '{prompt}\n{response}'.")
@click.option(
    "--documents",
    type=click.Choice(("files", "paragraphs", "lines")),
    default="files",
    show_default=True,
    help="What is one document in text and Markdown.",
)
@click.option("--encoding", type=_Encoding(), help="Of text; UTF-8, and for HTML what the page says, without it.")
@click.option("--delimiter", metavar="CHAR", help=r"Between values of CSV, such as ';' or '\t'; found out without it.")
@click.option("--quote", metavar="CHAR", default='"', show_default=True, help="Around values of CSV; or `none`.")
@click.option("--no-header", is_flag=True, help="The first row of CSV is data; columns are named 1, 2, ...")
@click.option("--nfc", is_flag=True, help="Bring texts into Unicode's composed form.")
@click.option("--skip-bad", is_flag=True, help="Leave out rows that are no documents, instead of refusing all.")
@click.option("--max-bytes", type=SizeType(), metavar="SIZE", help="Of one file of output.  [default: 5GB]")
@overwrite_option
@render.output_option
def command(paths: tuple[str, ...], target: Path, output: str, **chosen: Any) -> None:
    """Turn CSV, TSV, JSON, Parquet, Arrow, text, Markdown and HTML into JSON lines that can be trained on.

    PATH is a file, a folder (all files below it), or a pattern in quotes; `.gz`, `.bz2`, `.xz` and `.zst` are
    unpacked on the way. The format follows from the name. Every file becomes one of its own in the folder OUT, or all
    become one if OUT ends in `.jsonl`.

    The text of a table is its column `text`, the one that --column names, or the only one that looks like text. Of
    fine-tuning data (instruction, input, output; prompt, response; messages) each row becomes one document; --template
    changes how. Blank values are left out and counted. A row that is no document refuses everything, unless --skip-bad
    leaves it out; a file that cannot be read always does.
    """
    from cloudcpt.corpus.convert import FILE_LIMIT_BYTES, convert, convert_work
    from cloudcpt.corpus.output import Output
    from cloudcpt.corpus.sources import find_sources
    from cloudcpt.corpus.targets import is_single_file

    max_bytes = chosen["max_bytes"] or FILE_LIMIT_BYTES
    if chosen["max_bytes"] and is_single_file(target):
        raise click.UsageError(f"`--max-bytes` cuts the files of a folder, and `{target}` is to be a single file")
    making = _making(chosen)
    sources = find_sources(paths)
    work = convert_work(sources, making, max_bytes)
    writing = Output(target, work, overwrite=chosen["overwrite"], sources=paths)
    tell_going_on(writing, len(sources.files))
    with following(f"converting {plural(len(sources.files), 'file')}") as progress:
        done = convert(sources, writing, making, max_bytes=max_bytes, progress=progress)
    _show(done, output)


def _making(chosen: dict[str, Any]) -> "Making":
    from cloudcpt.corpus.file_lines import Making
    from cloudcpt.corpus.readers.csv_rows import Dialect
    from cloudcpt.corpus.readers.plain_text import Documents
    from cloudcpt.corpus.readers.read import Reading
    from cloudcpt.corpus.template import parse_template

    if chosen["column"] is not None and chosen["template"] is not None:
        raise click.UsageError("`--column` and `--template` both say what the text is: give one of them")
    delimiter = (chosen["delimiter"] or "").replace("\\t", "\t")
    for name, value in (("delimiter", delimiter), ("quote", chosen["quote"])):
        if len(value) > 1 and value != "none":
            raise click.UsageError(f"`--{name}` is one character, and not `{value}`")
    return Making(
        reading=Reading(
            encoding=chosen["encoding"],
            dialect=Dialect(delimiter=delimiter, quote=chosen["quote"] or "none", has_header=not chosen["no_header"]),
            documents=Documents(chosen["documents"]),
        ),
        column=chosen["column"],
        template=None if chosen["template"] is None else parse_template(chosen["template"]),
        nfc=chosen["nfc"],
        skip_bad=chosen["skip_bad"],
    )


def _show(done: "Conversion", output: str) -> None:
    if done.warnings and output == "text":
        render.show_diagnostics(done.warnings)
        render.err().print()
    more = {"sources": done.sources, "diagnostics": as_json(done.warnings)}
    show_written(done.written, output, pairs=_taken(done.sources), more=more)


def _taken(sources: "Sequence[Converted]") -> dict[str, str]:
    """Say which columns were taken without having been named."""
    files: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for source in sources:
        if source.columns:
            files[source.columns].append(source.name)
    shown = []
    for columns, names in files.items():
        others = f" and {plural(len(names) - 1, 'other file')}" if len(names) > 1 else ""
        shown.append(f"{', '.join(f'`{column}`' for column in columns)} of {names[0]}{others}")
    return {"text from": "; ".join(shown)} if shown else {}
