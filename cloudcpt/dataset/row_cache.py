"""Tokenised rows kept from one job on this machine to the next, so that the same text is tokenised once.

    <state>/rows/<key>/     the files of one set of rows, and seal.json: the size and BLAKE3 of each

The key is a hash of everything that the rows depend on; whoever makes rows knows what that is
(`cloudcpt.train.row_maker`).
There is no lock. A set appears under its key by a rename, whole or not at all, and of two makers one wins. A job takes
hard links: its own names for the same bytes, which stay when the set is removed. What is taken is verified, byte for
byte, and a damaged set is removed. The sets that were not used for longest give way to new ones.

A cache may always be empty: where links cannot be made, or the disk is full, nothing is kept and nothing fails.
"""

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from blake3 import blake3

MOST_BYTES: Final = 20 * 2**30
"""Of all sets together: five billion tokens."""

_SEAL: Final = "seal.json"
_NEW: Final = ".new-"
_GONE: Final = ".gone-"
_ABANDONED_S: Final = 3600.0

Found = Literal["taken", "missing", "damaged"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptRows:
    """One set of rows.

    Args:
        key: What it was made from.
        size_bytes: Of its files.
        used_at: When it was made or taken last, in seconds of the epoch.
    """

    key: str
    size_bytes: int
    used_at: float


class RowCache:
    """The sets of rows in one folder.

    Args:
        root: The folder; where there is none, nothing is found and nothing kept.
        most_bytes: Size of all sets above which the least recently used ones are removed.
    """

    def __init__(self, root: Path, most_bytes: int = MOST_BYTES) -> None:
        self.root = root
        self._most_bytes = most_bytes

    def holds(self, key: str) -> bool:
        """Tell whether there is a set with a key; whether it is whole shows when it is taken."""
        return (self.root / key).is_dir()

    def take(self, key: str, folder: Path) -> Found:
        """Link the files of a set into a new folder, if they are there and are what was kept.

        Args:
            key: Of the set.
            folder: Made by this call, below a folder that is there, and only if it answers `taken`.
        """
        entry = self.root / key
        if not self.holds(key):
            return "missing"
        with suppress(OSError):  # removed in this moment, or there are no links between these two places
            _link_all(entry, folder)
            if _is_sealed(folder):
                (folder / _SEAL).unlink()
                os.utime(entry / _SEAL)
                return "taken"
            self.remove(key)
            shutil.rmtree(folder, ignore_errors=True)
            return "damaged"
        shutil.rmtree(folder, ignore_errors=True)
        return "missing"

    def keep(self, key: str, folder: Path) -> None:
        """Keep the files of a folder, which are not to change from now on; without effect where that cannot be done."""
        new = self.root / f"{_NEW}{secrets.token_hex(8)}"
        try:
            _link_all(folder, new)
            files = {path.name: _facts(path) for path in sorted(new.iterdir())}
            (new / _SEAL).write_text(json.dumps({"files": files}, indent=1), "utf-8")
            new.rename(self.root / key)
        except OSError:
            shutil.rmtree(new, ignore_errors=True)
        self._make_room()

    def kept(self) -> tuple[KeptRows, ...]:
        """List the sets, the most recently used first."""
        return tuple(sorted(self._sets(), key=lambda one: one.used_at, reverse=True))

    def remove(self, key: str) -> None:
        """Remove a set: at once for whoever looks, then from the disk."""
        gone = self.root / f"{_GONE}{secrets.token_hex(8)}"
        with suppress(OSError):  # somebody else removes it
            (self.root / key).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _sets(self) -> Iterator[KeptRows]:
        for entry in self.root.glob("[!.]*") if self.root.is_dir() else ():
            with suppress(OSError):  # removed in this moment
                sizes = [path.stat().st_size for path in entry.iterdir()]
                yield KeptRows(key=entry.name, size_bytes=sum(sizes), used_at=(entry / _SEAL).stat().st_mtime)

    def _make_room(self) -> None:
        """Remove what was not used for longest, and what killed makers and removers left behind."""
        total = 0
        for one in self.kept():
            total += one.size_bytes
            if total > self._most_bytes:
                self.remove(one.key)
        for path in self.root.glob(f"{_GONE}*"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.root.glob(f"{_NEW}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(path, ignore_errors=True)


def _link_all(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for path in source.iterdir():
        os.link(path, target / path.name)


def _facts(path: Path) -> list[int | str]:
    """Tell size and content of a file."""
    return [path.stat().st_size, blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()]


def _is_sealed(folder: Path) -> bool:
    """Tell whether a folder holds the files that its seal names, with their content, and no other."""
    try:
        files = json.loads((folder / _SEAL).read_text("utf-8"))["files"]
        names = {path.name for path in folder.iterdir()} - {_SEAL}
        return names == set(files) and all(_facts(folder / name) == facts for name, facts in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
