"""The port of a place that many machines write an output to: a prefix of an object store.

    work.json      first: what this output is of, so that another command leaves it alone and the same one goes on
    <files>        by the tasks, each whole or not there, under the names of the inputs
    dropped.csv    what was left out, and why
    report.json    last: it is the mark that the output is whole

Nothing is ever replaced. An object that is there under the same work was written by it, and is not written again.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from cloudcpt import __version__
from cloudcpt.corpus.targets import REPORT_FILE, WORK, WRITTEN_BY, hash_of
from cloudcpt.errors import Place, UsageProblem, error
from cloudcpt.wire import SCHEMA_VERSION

WORK_FILE: Final = "work.json"


class Destination(Protocol):
    """A prefix that objects are written below."""

    @property
    def uri(self) -> str:
        """Name it, as the user did."""
        ...

    def is_empty(self) -> bool:
        """Tell whether nothing is below it."""
        ...

    def size_of(self, name: str) -> int | None:
        """Give the bytes of an object; None when there is none."""
        ...

    def read(self, name: str) -> bytes | None:
        """Read a small object; None when there is none."""
        ...

    def send(self, name: str, path: Path) -> None:
        """Write an object from a file, whole or not at all; the same content is written once.

        Raises:
            CloudcptError: it cannot be written, or other content is there.
        """
        ...


class Outgoing:
    """Files that are written to a disk here and sent when they are whole: what a task writes to.

    Args:
        destination: Where they go.
    """

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    @property
    def target(self) -> Path:
        """Say that it is a folder: its name is of no interest to who writes into it."""
        return Path()

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open one file for writing; after the block it is at the destination."""
        with tempfile.TemporaryDirectory(prefix="cloudcpt-") as folder:
            path = Path(folder) / "content"
            with path.open("wb") as file:
                yield file
            self._destination.send(name, path)


def begin(destination: Destination, work: Mapping[str, Any]) -> bool:
    """Claim a destination for some work.

    Args:
        destination: Nothing is below it, or what an earlier command of the same work has left.
        work: As in `corpus.work.work_of`.

    Returns:
        Whether an earlier command has begun it.

    Raises:
        UsageProblem: something else is there, or this work has been done.
    """
    mark, ours = destination.read(WORK_FILE), json.dumps({WORK: hash_of(work)}).encode()
    if mark == ours and destination.size_of(REPORT_FILE) is not None:
        _refuse(destination, "is there already: this same command wrote it, from the same inputs")
    if mark not in (None, ours):
        _refuse(destination, "is the output of another command, or of other inputs")
    if mark is None:
        if not destination.is_empty():
            _refuse(destination, "is not empty")
        with Outgoing(destination).writing(WORK_FILE) as file:
            file.write(ours)
    return mark is not None


def complete(destination: Destination, work: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write the report, which makes the output whole."""
    whole = {
        "schema_version": SCHEMA_VERSION,
        WRITTEN_BY: f"cloudcpt {__version__}",
        WORK: hash_of(work),
        **report,
    }
    with Outgoing(destination).writing(REPORT_FILE) as file:
        file.write(json.dumps(whole, indent=2, ensure_ascii=False).encode() + b"\n")


def _refuse(destination: Destination, what: str) -> None:
    hint = "name another prefix with `--to`; nothing in S3 is ever replaced"
    place = Place(path=destination.uri)
    raise UsageProblem(error("CPT774", f"`{destination.uri}` {what}", place=place, hint=hint))
