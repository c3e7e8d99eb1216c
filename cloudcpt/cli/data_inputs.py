"""The files of several PATHs of a data command, and a word about those that are not read."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cloudcpt.cli import render
from cloudcpt.errors import Place, warning

if TYPE_CHECKING:
    from cloudcpt.cli.input_places import InputPlaces
    from cloudcpt.dataset.places import InputFile


def files_of(places: "InputPlaces", paths: Sequence[str]) -> "tuple[InputFile, ...]":
    """Find the files, in the order of the paths; warn on stderr of those that look like data and are named otherwise.

    Raises:
        DatasetError: a path leads nowhere.
    """
    selections = [places.select(path) for path in paths]
    show_left_out([file for selection in selections for file in selection.left_out])
    return tuple(file for selection in selections for file in selection.files)


def show_left_out(files: "Sequence[InputFile]") -> None:
    """Warn on stderr of files that look like data and are named otherwise."""
    render.show_diagnostics(
        [
            warning("CPT312", f"`{file.name}` does not end in `.jsonl` and is left out", place=Place(path=file.shown))
            for file in files
        ]
    )
