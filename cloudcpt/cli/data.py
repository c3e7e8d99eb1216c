"""`cloudcpt data ...`: the commands that look at a corpus and make it fit for training."""

import click

from cloudcpt.cli.main import CommandTable

COMMANDS: dict[str, str] = {
    "check": "Find every mistake in datasets, and what is twice",
    "stats": "Measure a dataset: lengths, languages, boilerplate, personal data",
    "tokens": "Count tokens with a tokenizer, or estimate them",
    "convert": "Turn CSV, Parquet, text, HTML and others into JSON lines",
    "filter": "Leave out documents and lines by what `stats` measures",
    "dedup": "Leave out documents that are there already, exactly or nearly",
    "decontaminate": "Leave out documents that overlap with evaluation sets",
    "split": "Set some documents aside for validation",
    "sample": "Draw some documents",
    "mix": "Write the mixture that a recipe plans",
}
"""Name and one line of help, in the order in which people need them."""


def command_module(name: str) -> str:
    """Name the module of a command of this group."""
    return f"cloudcpt.cli.data_{name}"


@click.group(name="data", cls=CommandTable, table=COMMANDS, module=command_module)
def command() -> None:
    """Look at a corpus, and make it fit for training.

    PATH is a file, a folder (every `*.jsonl` below it), a pattern in quotes, an s3:// URI, or `-` for what comes in
    through a pipe. Nothing that is there is replaced unless `--overwrite` says so; a command that was cut off goes on
    where it was when it is given again.
    """
