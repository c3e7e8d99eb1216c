"""The port of a place where data lies: which files a path means there, and how one of them is read.

    path --select--> Selection of InputFiles --open--> InputStream --read_lines--> documents

A check, a count of tokens and a plan take a place and do not know which one it is. `cloudcpt.dataset.files` is the one
on this machine; the adapter to S3 follows the same rules, which stand here. Every adapter passes the same tests.
"""

import io
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from cloudcpt.errors import DatasetError, Diagnostic, Place, error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

EXTENSION: Final = ".jsonl"
"""The only one; AWS asks for it and a second spelling would be a second thing to check."""

S3: Final = "s3://"
"""What the name of data in S3 begins with."""

STDIN: Final = "-"
"""Stands for what comes in through a pipe."""

WRITTEN_REPORT: Final = "report.json"
"""What `cloudcpt data` writes beside its output; no data, and nobody is to be asked about it."""

MAGIC: Final = re.compile(r"[*?\[]")
"""Finds what makes a path a pattern."""

_LOOKS_LIKE_DATA: Final = re.compile(r"\.(jsonl|json|ndjson)(\.[a-z0-9]+)?$", re.IGNORECASE)
_UNUSABLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class InputFile:
    """One file of a dataset.

    Args:
        name: Relative to the folder that was named, with `/`; its own name for a single file. `path` ends with it,
            except where the user typed a link.
        path: Where it is: absolute, not a link when the user typed one; or its s3:// URI.
        shown: As the user would name it, for messages.
        size_bytes: As it was listed, for progress; 0 when that could not be found out.
        etag: Of an object: another one when its content is another one. Empty for a file on this machine.
        version_id: Of an object in a bucket that keeps versions: which one to read. Empty for the newest.
    """

    name: str
    path: str
    shown: str
    size_bytes: int = 0
    etag: str = ""
    version_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What a path stands for: the files, and those in the folder that look like data but are named otherwise."""

    shown: str
    files: tuple[InputFile, ...]
    left_out: tuple[InputFile, ...] = ()


class InputStream(io.RawIOBase):
    """A file that is open for reading once, from its start to its end."""

    def readable(self) -> bool:
        """Say yes: it is for reading."""
        return True

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """Give the size that it had when it was opened; of a pipe, what has come so far."""

    @property
    @abstractmethod
    def version_id(self) -> str:
        """Name the version that is read, where a place keeps versions; empty elsewhere."""

    @property
    @abstractmethod
    def is_unchanged(self) -> bool:
        """Tell whether the file still is what it was when it was opened."""

    @abstractmethod
    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read the next block, as `io.RawIOBase` has it.

        Raises:
            OSError: the system does not let us read.
            DatasetError: it cannot be read, or is another one by now.
        """


class DataPlace(Protocol):
    """Where data lies."""

    def select(self, path: str) -> Selection:
        """Find the files that a path means: a file, every `*.jsonl` below a folder, or what fits a pattern.

        Raises:
            DatasetError: nothing is there, no file fits, a named file has another extension, or a name is unusable.
        """
        ...

    def open(self, file: InputFile) -> InputStream:
        """Open a file.

        Raises:
            DatasetError: it is not there, is no regular file, or may not be read.
        """
        ...


def is_in_s3(path: str) -> bool:
    """Tell what lies in S3 from what lies on this machine."""
    return path.startswith(S3)


def looks_like_data(name: str) -> bool:
    """Tell a name that data might have had, for a file that is left out of a folder."""
    return name != WRITTEN_REPORT and _LOOKS_LIKE_DATA.search(name) is not None


def require_usable(names: Sequence[str]) -> None:
    """Refuse names that could not be shown, stored in a plan or made into an object key."""
    hint = "rename it; control characters, text-direction marks and bytes that are not UTF-8 cannot be used"
    bad = [error("CPT310", f"name {name!a} cannot be used", hint=hint) for name in names if _UNUSABLE.search(name)]
    if bad:
        raise DatasetError(*bad)


def wrong_extension(shown: str) -> Diagnostic:
    """Say that a file that was named is not called JSON lines."""
    hint = f"if it holds JSON lines, rename it to end in `{EXTENSION}`"
    return error("CPT302", f"`{shown}` does not end in `{EXTENSION}`", place=Place(path=shown), hint=hint)


def no_data(shown: str, others: Sequence[InputFile]) -> Diagnostic:
    """Say that a folder holds no JSON lines.

    Args:
        shown: The folder.
        others: What it holds that looks like data.
    """
    seen = f"; `{others[0].name}` has another name" if others else ""
    return error("CPT301", f"there is no `*{EXTENSION}` file in `{shown}`{seen}", place=Place(path=shown))


def no_match(shown: str) -> Diagnostic:
    """Say that nothing fits a pattern."""
    return error("CPT301", f"no file matches `{shown}`")


def closest(name: str, nearby: Sequence[str]) -> str | None:
    """Make a hint out of the name that was probably meant."""
    import difflib

    close = difflib.get_close_matches(name, nearby, n=1)
    return f"did you mean `{close[0]}`?" if close else None
