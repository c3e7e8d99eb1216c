"""The folder beside an output in which it comes into being, and the renames that make it the output.

    OUT.partial/lock      who is at it (`claim`)
    OUT.partial/journal   of what work, and which steps are finished (`work_journal`)
    OUT.partial/.content  what is finished so far; hidden, so that nobody reads it as a dataset
    OUT.partial/.ready    the same once it is whole
    OUT                   after the last step, by one rename of `.ready`, or of the file in it

A folder that is to be replaced changes places with the new one in one step (renameat2), and goes afterwards. Where a
file system has no such step, the old one moves to `OUT.partial/.old` first: killed exactly between these two renames,
`OUT` is missing until the next command puts the new one there.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from cloudcpt.corpus.claim import LOCK, claim, give_up
from cloudcpt.corpus.renames import exchange, rename_onto_nothing
from cloudcpt.corpus.targets import WORK, hash_of, is_single_file, report_of
from cloudcpt.corpus.work_journal import Journal, is_journal, read_journal
from cloudcpt.wire import flush

JOURNAL: Final = "journal"
"""Not `.jsonl`: nobody is to read it as a dataset."""

_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR)


class ForeignFolder(Exception):
    """What is at the place of the partial folder is not ours."""


class Partial:
    """The partial folder of a target.

    Args:
        target: Absolute, with no link on the way.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._is_file = is_single_file(target)
        self.path = target.parent / f"{target.name}.partial"
        self.content = self.path / ".content"
        self._ready = self.path / ".ready"
        self._old = self.path / ".old"

    def claim(self) -> bool:
        """Make the folder, if need be, and claim it; False when another process has it.

        Raises:
            ForeignFolder: it is not ours.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(self.path) and not self._is_ours():
            raise ForeignFolder
        return claim(self.path)

    def recover(self) -> Journal | None:
        """Bring the commit of an earlier command to its end, or back to before its beginning.

        Returns:
            The journal of what the earlier command had finished, all of which is there; None if there is nothing.
        """
        journal = read_journal(self.path / JOURNAL)
        if journal is None:
            return None
        if self._old.exists() and self._ready.exists() and not self._target.exists():
            self._ready.rename(self._target)
        if self._ready.exists() and not self._old.exists() and not self._is_placed(journal):
            self._ready.rename(self.content)
        if not self._holds(journal):
            self._empty()
            return None
        return journal

    def sweep(self, journal: Journal) -> None:
        """Remove what steps left that did not end: whole files, and ends of files that are appended to."""
        self.content.mkdir(exist_ok=True)
        for path in [path for path in self.content.rglob("*") if not path.is_dir()]:
            size = journal.sizes.get(path.relative_to(self.content).as_posix())
            if size is None:
                path.unlink()
            elif path.stat().st_size > size:
                os.truncate(path, size)

    def place(self, *, overwrite: bool) -> bool:
        """Make the content the target; False, and all is as before, when something has come to be there meanwhile."""
        self.content.rename(self._ready)
        flush(self.path)
        try:
            self._place(overwrite)
        except OSError as exc:
            self._ready.rename(self.content)
            if exc.errno not in _TAKEN:
                raise
            return False
        flush(self._target.parent)
        return True

    def remove(self) -> None:
        """Remove the folder with everything in it, and the claim with it."""
        self._empty()
        give_up(self.path)

    def _place(self, overwrite: bool) -> None:
        if self._is_file:
            source = self._ready / self._target.name
            if overwrite:
                source.replace(self._target)
            else:
                rename_onto_nothing(source, self._target)
        elif not overwrite or not self._target.exists():
            self._ready.rename(self._target)  # over an empty folder, never over any other
        elif not exchange(self._ready, self._target):
            self._target.rename(self._old)
            self._ready.rename(self._target)

    def _is_ours(self) -> bool:
        """Look for a journal; a kill may leave a folder of ours without one, but then with nothing else either."""
        if self.path.is_symlink() or not self.path.is_dir():
            return False
        names = {path.name for path in self.path.iterdir()} - {LOCK, JOURNAL}
        return is_journal(self.path / JOURNAL) or all(name.startswith(f".{JOURNAL}.") for name in names)

    def _is_placed(self, journal: Journal) -> bool:
        """Tell on which side of the last rename a commit was cut off; `.ready` holds the old folder after it."""
        if self._is_file:
            return not (self._ready / self._target.name).exists()
        return report_of(self._target).get(WORK) == hash_of(journal.work)

    def _holds(self, journal: Journal) -> bool:
        """Tell whether every finished file is there and not shorter than it was; after a commit none is."""
        if not self.content.is_dir():
            return False
        paths = ((self.content / name, size) for name, size in journal.sizes.items())
        return all(path.is_file() and path.stat().st_size >= size for path, size in paths)

    def _empty(self) -> None:
        """Remove all but the lock; the journal, which says that the folder is ours, goes last."""
        for folder in (self.content, self._ready, self._old):
            shutil.rmtree(folder, ignore_errors=True)
        for path in sorted(self.path.iterdir(), key=lambda path: path.name == JOURNAL):
            if path.name != LOCK:
                path.unlink()
