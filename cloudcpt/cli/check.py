"""Check one dataset with progress on stderr; what `validate` does to data, and every command that plans."""

import time
from typing import TYPE_CHECKING

from cloudcpt.cli import render
from cloudcpt.cli.quantities import count, size

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport
    from cloudcpt.dataset.places import DataPlace


def check(path: str, place: "DataPlace", *, first: int) -> "DatasetReport":
    """Check a file, a folder or a glob, showing how far it is and how fast.

    Args:
        path: As the user or the recipe names it.
        place: Where the data is.
        first: Findings of each code to keep; all are counted.

    Raises:
        DatasetError: there is nothing to check at `path`.
        CloudcptError: S3 cannot be read.
    """
    from cloudcpt.dataset.check import CheckProgress, check_in

    start = time.monotonic()
    with render.live_progress(f"checking {path}") as progress:

        def show(seen: CheckProgress) -> None:
            rate = seen.bytes_done / max(time.monotonic() - start, 1e-3)
            detail = f"{count(seen.documents)} documents, {size(rate)}/s"
            progress.update(seen.bytes_done, seen.bytes_total, detail)

        return check_in(place, path, first=first, progress=show)
