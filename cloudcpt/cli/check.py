"""Check one dataset with progress on stderr; what `validate` does to data, and every command that plans."""

from typing import TYPE_CHECKING

from cloudcpt.cli.data_options import following

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport, ReadFiles
    from cloudcpt.dataset.overlap import SeeDocument
    from cloudcpt.dataset.places import DataPlace


def check(
    path: str,
    place: "DataPlace",
    *,
    first: int,
    see: "SeeDocument | None" = None,
    workers: int = 0,
    read: "ReadFiles | None" = None,
) -> "DatasetReport":
    """Check a file, a folder or a glob, showing how far it is and how fast.

    Args:
        path: As the user or the recipe names it.
        place: Where the data is.
        first: Findings of each code to keep; all are counted.
        see: Told of every document.
        workers: Processes; 0 for one per core.
        read: Reads the files somewhere else, such as on many machines.

    Raises:
        DatasetError: there is nothing to check at `path`.
        CloudcptError: S3 cannot be read.
    """
    from cloudcpt.dataset.check import check_in

    with following(f"checking {path}") as progress:
        return check_in(place, path, first=first, progress=progress, see=see, workers=workers, read=read)
