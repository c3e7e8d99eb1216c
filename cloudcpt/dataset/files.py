"""Which files a dataset path means, and how one is opened: regular files only, never through a link in a folder.

A path is a file, a folder (every `*.jsonl` in it, at any depth), or a pattern with `*`, `?`, `[...]` and `**`.

- The path that the user typed may be a symbolic link; it stands for what it points to.
- Below that, links are not followed and not passed over in silence: each one that stands for data is refused.
- Names that begin with a dot are left out, as in a shell: `.ipynb_checkpoints` is data that nobody meant.
- Order is by name, so that documents have the same numbers on every machine.
"""

import io
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudcpt.dataset.places import (
    EXTENSION,
    MAGIC,
    InputFile,
    InputStream,
    Selection,
    closest,
    looks_like_data,
    no_data,
    no_match,
    require_usable,
    wrong_extension,
)
from cloudcpt.errors import DatasetError, Diagnostic, Place, error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_KINDS: Final = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFDIR: "a folder",
}


class LocalStream(InputStream):
    """A regular file that is open, and watched while it is.

    Args:
        file: At its start.
    """

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._opened = os.fstat(file.fileno())

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read the next block."""
        return self._file.readinto(buffer)

    def close(self) -> None:
        """Read no more."""
        self._file.close()
        super().close()

    @property
    def version_id(self) -> str:
        """Say nothing: there are no versions here."""
        return ""

    @property
    def size_bytes(self) -> int:
        """Give the size that it had when it was opened."""
        return self._opened.st_size

    @property
    def is_unchanged(self) -> bool:
        """Compare size and time of the last change."""
        now = os.fstat(self._file.fileno())
        return (now.st_size, now.st_mtime_ns) == (self._opened.st_size, self._opened.st_mtime_ns)


@dataclass(frozen=True)
class LocalFiles:
    """The files of this machine; see `DataPlace`.

    Args:
        base: The folder that a relative path starts from.
    """

    base: Path = Path()

    def select(self, path: str) -> Selection:
        """Find the files that a path means."""
        return select_files(path, self.base)

    def open(self, file: InputFile) -> LocalStream:
        """Open a regular file, never through a link."""
        return LocalStream(open_regular(Path(file.path), file.shown))


HERE: Final = LocalFiles()
"""The current folder, and every file that is named by its whole path."""


def find_files(path: str, base: Path) -> tuple[InputFile, ...]:
    """List the files that a dataset path means, in order.

    Whether each can be opened is for `open_regular` to say, so that one bad entry does not hide the others.

    Args:
        path: A file, a folder or a pattern, as the user typed it.
        base: The folder that a relative path starts from.

    Raises:
        DatasetError: nothing is there, no file fits, a named file has another extension, or a name is unusable.
    """
    return select_files(path, base).files


def select_files(path: str, base: Path) -> Selection:
    """Do what `find_files` does, and say also what was left out of a folder."""
    full = base / path
    _require_usable_path(path, full)
    shown_base = Path() if base == Path.cwd() else base
    shown = _short(shown_base / path)
    mode = _mode_of(full, shown)
    if mode is None and MAGIC.search(path):
        return _select_pattern(Path(path), base, shown_base)
    if mode is None:
        raise DatasetError(_missing(full, shown))
    if stat.S_ISDIR(mode):
        return _select_folder(full, shown)
    return _select_file(full, shown, mode)


def _short(path: Path) -> str:
    """Write `recipes/../data/a.jsonl` as `data/a.jsonl`, for messages only: links are followed before."""
    return os.path.normpath(path)


def open_regular(path: Path, shown: str) -> io.FileIO:
    """Open a file for reading if it is a regular file and not a link; never wait for a pipe or wake a device.

    Raises:
        DatasetError: it is something else, or the system does not let us read it.
    """
    try:
        _require_regular(path.lstat().st_mode, shown)  # before open(): opening a device may act on it
        file = io.FileIO(path, opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK))
    except (OSError, ValueError) as exc:
        raise DatasetError(unreadable(shown, exc)) from exc
    try:
        _require_regular(os.fstat(file.fileno()).st_mode, shown)  # it may have been replaced in between
    except DatasetError:
        file.close()
        raise
    return file


def unreadable(shown: str, exc: Exception) -> Diagnostic:
    """Say that the system does not let us read a file or folder."""
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return error("CPT305", f"`{shown}` cannot be read: {reason}", place=Place(path=shown))


def _require_regular(mode: int, shown: str) -> None:
    if stat.S_ISLNK(mode):
        hint = "put the file itself there, or name the file instead of the folder"
        raise DatasetError(error("CPT304", f"`{shown}` is a symbolic link", place=Place(path=shown), hint=hint))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "not a file")
        hint = "write the data to a file first; it is read more than once"
        raise DatasetError(
            error("CPT303", f"`{shown}` is {kind}, not a regular file", place=Place(path=shown), hint=hint)
        )


def _require_usable_path(path: str, full: Path) -> None:
    if not path.strip():
        raise DatasetError(error("CPT300", "the data path is empty"))
    if "://" in path:
        hint = "give a local file, folder or pattern, or an s3:// URI"
        raise DatasetError(error("CPT311", f"`{path}` is not a local path", hint=hint))
    require_usable([str(full)])


def _mode_of(full: Path, shown: str) -> int | None:
    try:
        return full.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise DatasetError(unreadable(shown, exc)) from exc


def _missing(full: Path, shown: str) -> Diagnostic:
    if full.is_symlink():
        return error("CPT300", f"`{shown}` is a symbolic link to nothing")
    try:
        nearby = [entry.name for entry in full.parent.iterdir()]
    except OSError:
        nearby = []
    return error("CPT300", f"`{shown}` does not exist", hint=closest(full.name, nearby))


def _select_file(full: Path, shown: str, mode: int) -> Selection:
    if stat.S_ISREG(mode) and full.suffix != EXTENSION:
        raise DatasetError(wrong_extension(shown))
    path = full.resolve()
    file = InputFile(name=full.name, path=str(path), shown=shown, size_bytes=_size_of(path))
    return Selection(shown=shown, files=(file,))


def _select_folder(folder: Path, shown: str) -> Selection:
    found = _inputs(_walk(folder, ("**", "*"), shown), folder, shown)
    files = tuple(file for file in found if file.name.endswith(EXTENSION) or _leads_to_folder(Path(file.path)))
    others = tuple(file for file in found if file not in files and looks_like_data(file.name))
    if not files:
        raise DatasetError(no_data(shown, others))
    return Selection(shown=shown, files=files, left_out=others)


def _select_pattern(path: Path, base: Path, shown_base: Path) -> Selection:
    first = next(index for index, part in enumerate(path.parts) if MAGIC.search(part))
    stem, pattern = Path(*path.parts[:first]), path.parts[first:]
    folder, shown_folder = base / stem, _short(shown_base / stem)
    found = _walk(folder, pattern, shown_folder) if folder.is_dir() else ()
    files = _inputs(found, folder, shown_folder)
    if not files:
        raise DatasetError(no_match(str(shown_base / path)))
    named_otherwise = (file for file in files if not file.name.endswith(EXTENSION))
    wrong = [file.shown for file in named_otherwise if not _leads_to_folder(Path(file.path))]
    if wrong:
        raise DatasetError(*(wrong_extension(name) for name in wrong))
    return Selection(shown=str(shown_base / path), files=files)


def _inputs(paths: Iterable[Path], folder: Path, shown_folder: str) -> tuple[InputFile, ...]:
    named = sorted((path.relative_to(folder).as_posix(), path) for path in paths)
    require_usable([name for name, _ in named])
    return tuple(
        InputFile(name=name, path=str(path.absolute()), shown=str(Path(shown_folder, name)), size_bytes=_size_of(path))
        for name, path in named
    )


def _size_of(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _walk(folder: Path, pattern: Sequence[str], shown: str) -> Iterable[Path]:
    """List what fits a pattern below a folder, without recursion and without following links.

    A link to a folder is listed where the walk would have gone through it, so that it can be refused by name.
    """
    if pattern[-1] == "**":
        pattern = (*pattern, "*")
    found: dict[Path, None] = {}
    pending = [(folder, 0)]
    seen = set(pending)
    while pending:
        where, index = pending.pop()
        is_last, is_deep = index == len(pattern) - 1, pattern[index] == "**"
        ahead = [(where, index + 1)] if is_deep else []
        for entry in _entries(where, str(Path(shown) / where.relative_to(folder))):
            path = Path(entry)
            if not is_deep and not fnmatchcase(entry.name, pattern[index]):
                continue
            if entry.is_dir(follow_symlinks=False):
                ahead += [] if is_last else [(path, index if is_deep else index + 1)]
            elif (is_last and not is_deep) or (entry.is_symlink() and _leads_to_folder(path)):
                found[path] = None
        pending += [step for step in ahead if step not in seen]
        seen.update(ahead)
    return found


def _entries(folder: Path, shown: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as exc:
        raise DatasetError(unreadable(shown, exc)) from exc


def _leads_to_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
