"""What the data commands share on the command line: options, progress, and how what they wrote is told."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.out_path import OutPath
from cloudcpt.cli.quantities import count, duration, plural, size

if TYPE_CHECKING:
    from cloudcpt.corpus.output import Output
    from cloudcpt.corpus.written import Written
    from cloudcpt.dataset.progress import DataProgress, ShowProgress

to_option = click.option(
    "--to",
    "target",
    type=OutPath(),
    required=True,
    metavar="OUT",
    help="The folder to write; or one file, if it ends in `.jsonl`.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what is there.")
workers_option = click.option(
    "--workers", type=click.IntRange(min=0), default=0, metavar="N", help="Processes; one per core without it."
)
seed_option = click.option("--seed", type=int, default=1234, show_default=True, help="Of every draw.")


@contextmanager
def following(what: str) -> "Iterator[ShowProgress]":
    """Show on stderr how far a command is, how fast, and how long it will take, while the block runs.

    Args:
        what: What is going on, such as `checking data/train.jsonl`.
    """
    start = time.monotonic()
    with render.live_progress(what) as bar:

        def show(seen: "DataProgress") -> None:
            rate = seen.bytes_done / max(time.monotonic() - start, 1e-3)
            words = [f"{count(seen.documents)} documents", f"{size(rate)}/s"]
            if seen.findings:
                words.append(f"{count(seen.findings)} findings")
            if rate and seen.bytes_total > seen.bytes_done:
                words.append(f"{duration((seen.bytes_total - seen.bytes_done) / rate)} left")
            bar.update(seen.bytes_done, seen.bytes_total or None, ", ".join(words))

        yield show


def tell_going_on(output: "Output", steps: int, noun: str = "file") -> None:
    """Say on stderr what an earlier command has left of this output; nothing when it has left nothing.

    Args:
        output: Just begun.
        steps: Of the whole work.
        noun: What one step is.
    """
    if output.finished:
        done = f"{len(output.finished):,} of {plural(steps, noun)}"
        render.err().print(f"going on: {done} {'was' if steps == 1 else 'were'} finished before", style="faint")
    elif output.gave_up:
        render.err().print("beginning anew: options or inputs are not those of the unfinished output", style="faint")


def show_written(written: "Written", output: str, *, pairs: Mapping[str, object], more: Mapping[str, object]) -> None:
    """Say on stdout what a command wrote.

    Args:
        written: What it wrote.
        output: `text` or `json`.
        pairs: For people: names and values of what else it found.
        more: For programs: other fields of the JSON.
    """
    if output == "json":
        render.print_json({"ok": True, "written": written, **more})
        return
    documents, files = plural(written.documents, "document"), plural(written.files, "file")
    render.out().print(printable(f"{written.target}: {documents} in {files}, {size(written.size_bytes)}"))
    dropped = sum(written.dropped.values())
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in written.dropped.items() if number)
    left_out = {"left out": f"{plural(dropped, 'document')}: {reasons}"} if dropped else {}
    render.show_pairs([(f"  {name}", value) for name, value in {**left_out, **pairs}.items()])
