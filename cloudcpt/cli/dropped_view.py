"""What would be left out of some files: in all, of each file, and a few examples."""

from collections.abc import Mapping, Sequence
from typing import Any

from cloudcpt.cli import render
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.quantities import plural

_MOST_FILES = 20


def show_dropped(report: Mapping[str, Any], headers: Sequence[str], examples: Sequence[Sequence[str]]) -> None:
    """Print what a dry run has found.

    Args:
        report: With `dropped`, `documents` and `files`.
        headers: Of the examples.
        examples: The first documents that would go.
    """
    dropped, documents = report["dropped"], report["documents"]
    share = f" ({dropped / documents:.1%})" if dropped else ""
    render.out().print(f"{dropped:,} of {plural(documents, 'document')} would go{share}")
    concerned = [file for file in report["files"] if file["dropped"]]
    shown = [(f"  {file['file']}", f"{file['dropped']:,} of {file['documents']:,}") for file in concerned[:_MOST_FILES]]
    render.show_pairs(shown)
    if len(concerned) > _MOST_FILES:
        render.out().print(printable(f"  and {plural(len(concerned) - _MOST_FILES, 'file')} more"))
    if examples:
        render.out().print()
        render.show_table(headers, examples)
        if len(examples) < dropped:
            render.out().print(f"and {dropped - len(examples):,} more")
