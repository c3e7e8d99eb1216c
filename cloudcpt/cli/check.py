"""Check one dataset with progress on stderr; what `validate` does to data, and every command that plans."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cloudcpt.cli import render
from cloudcpt.cli.quantities import count, size

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport


def check(path: str, base: Path, *, first: int) -> "DatasetReport":
    """Check a file, a folder or a glob, showing how far it is and how fast.

    Args:
        path: As the user or the recipe names it.
        base: Folder that a relative path starts from.
        first: Findings of each code to keep; all are counted.

    Raises:
        DatasetError: there is nothing to check at `path`.
    """
    from cloudcpt.dataset.check import CheckProgress, check_dataset

    start = time.monotonic()
    with render.live_progress(f"checking {path}") as progress:

        def show(seen: CheckProgress) -> None:
            rate = seen.bytes_done / max(time.monotonic() - start, 1e-3)
            detail = f"{count(seen.documents)} documents, {size(rate)}/s"
            progress.update(seen.bytes_done, seen.bytes_total, detail)

        return check_dataset(path, base, first=first, progress=show)
