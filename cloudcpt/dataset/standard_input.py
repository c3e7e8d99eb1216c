"""What comes in through a pipe, as a dataset of one file that can be read once: `gunzip -c x.gz | cloudcpt validate -`.

Whoever needs the data twice is refused before the first byte would be lost.
"""

import io
import select
from typing import TYPE_CHECKING, Final

from cloudcpt.dataset.files import unreadable
from cloudcpt.dataset.places import STDIN, InputFile, InputStream, Selection
from cloudcpt.errors import DatasetError, Diagnostic, Place, UsageProblem, error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SHOWN: Final = "<stdin>"
"""How findings call the file."""

_DESCRIPTOR: Final = 0


class StandardStream(InputStream):
    """A pipe that is read.

    Args:
        file: Where the bytes come from.
    """

    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file
        self._size_bytes = 0

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read what has come, or wait for it."""
        while (size := self._file.readinto(buffer)) is None:  # whoever started us made the pipe not wait
            select.select([self._file], [], [])
        self._size_bytes += size
        return size

    @property
    def size_bytes(self) -> int:
        """Count what has come so far."""
        return self._size_bytes

    @property
    def version_id(self) -> str:
        """Say nothing: there are no versions here."""
        return ""

    @property
    def is_unchanged(self) -> bool:
        """Say yes: what was read cannot become something else."""
        return True


class StandardInput:
    """Standard input as a place; see `DataPlace`.

    Args:
        file: What to read instead, at its start.
    """

    def __init__(self, file: io.RawIOBase | None = None) -> None:
        self._file = file
        self._is_opened = False

    def select(self, path: str) -> Selection:
        """Give the one file that there is."""
        assert path == STDIN, f"`{path}` is not standard input"
        return Selection(shown=SHOWN, files=(InputFile(name=SHOWN, path=STDIN, shown=SHOWN),))

    def open(self, file: InputFile) -> StandardStream:
        """Begin to read.

        Raises:
            DatasetError: it was read before, or is closed.
            UsageProblem: it is a terminal, where nobody will type a dataset.
        """
        assert file.path == STDIN, f"`{file.path}` is not standard input"
        if self._is_opened:
            raise DatasetError(only_once("`-` was read already, and a pipe gives its bytes once"))
        try:
            source = self._file or io.FileIO(_DESCRIPTOR, closefd=False)
        except OSError as exc:
            raise DatasetError(unreadable(SHOWN, exc)) from exc
        if source.isatty():
            hint = "pipe something into the command, such as `zstdcat data.jsonl.zst | cloudcpt validate -`"
            raise UsageProblem(
                error("CPT317", "`-` stands for what comes through a pipe, and there is none", hint=hint)
            )
        self._is_opened = True
        return StandardStream(source)


def only_once(message: str, *, place: Place | None = None) -> Diagnostic:
    """Say that something cannot be done with data that comes through a pipe."""
    hint = "write it to a file first, `... > data.jsonl`, and name the file"
    return error("CPT316", message, place=place, hint=hint)
