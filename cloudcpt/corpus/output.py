"""Where a data command writes: a folder, or one file, that appears whole under its name, when everything is done.

Whatever is killed, `OUT` is what it was before or what it is to be (`partial`). The same command, given again, finds
the steps that an earlier one finished and goes on after them; another command, or other inputs, begin anew.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from cloudcpt import __version__
from cloudcpt.corpus.partial import JOURNAL, ForeignFolder, Partial
from cloudcpt.corpus.targets import (
    REPORT_FILE,
    WORK,
    WRITTEN_BY,
    followed,
    hash_of,
    is_single_file,
    require_apart,
    require_free,
    unwritable,
)
from cloudcpt.corpus.work import INPUT_FILES
from cloudcpt.corpus.work_journal import Journal, new_journal
from cloudcpt.errors import Place, UsageProblem, error
from cloudcpt.wire import SCHEMA_VERSION, flush

__all__ = ["REPORT_FILE", "Output"]

_BUFFER_BYTES: Final = 1 << 20


class Output:
    """The output of one command.

    Args:
        target: A folder; or one file, when its name ends in `.jsonl`. Folders on the way are made.
        work: Everything that the output depends on, as JSON: the command, its options, the inputs (`work.work_of`).
        overwrite: Whether an output that is there may be replaced.
        sources: The inputs as the user typed them; the output may not lie in one that is a folder.

    Attributes:
        target: As it was given.
        gave_up: Whether what an earlier command had begun here was of other work, and is gone.

    Raises:
        UsageProblem: something is there, and it is not to be replaced; the output would lie among its inputs; another
            process is writing it.
        SetupError: the system does not let us write there.
    """

    def __init__(
        self, target: Path, work: Mapping[str, Any], *, overwrite: bool = False, sources: Sequence[str] = ()
    ) -> None:
        self.target = target
        self.gave_up = False
        self._work = json.loads(json.dumps(work))
        self._overwrite = overwrite
        self._partial = Partial(followed(target))
        self._fresh: dict[str, int] = {}
        require_apart(target, [file["path"] for file in self._work.get(INPUT_FILES, ())], sources)
        with self._explained():
            if not self._partial.path.exists():
                self._require_free()  # before anything is made
            if not self._partial.claim():
                self._refuse("CPT372", f"another command is writing `{target}` at this moment", "wait for its end")
            self._journal = self._begin()

    @property
    def finished(self) -> Mapping[str, Any]:
        """Give what an earlier command, and this one so far, have finished: what was noted, by name of the step."""
        return self._journal.done

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open one file of the output for writing; it is there, whole, after the block.

        Args:
            name: Relative to the folder, with `/`; the target's own name for a single file.

        Raises:
            SetupError: the system does not let us write: the disk is full, for one.
        """
        path = self._partial.content / name
        temporary = path.with_name(f"{path.name}.new")
        with self._opened(temporary, "wb") as file:
            yield file
        with self._explained():
            temporary.rename(path)
            self._fresh[name] = path.stat().st_size

    @contextmanager
    def appending(self, name: str) -> Iterator[BinaryIO]:
        """Open one file of the output to write on where the last finished step ended.

        Args:
            name: Relative to the folder, with `/`; the target's own name for a single file.

        Raises:
            SetupError: the system does not let us write: the disk is full, for one.
        """
        path = self._partial.content / name
        with self._opened(path, "ab") as file:
            yield file
        with self._explained():
            self._fresh[name] = path.stat().st_size

    def path_of(self, name: str) -> Path:
        """Say where a file of a finished step is, for a later step to read it."""
        return self._partial.content / name

    def discard(self, name: str) -> None:
        """Remove a file that later steps needed and the output does not have; the last thing before `commit`.

        Killed exactly between the two, the next command begins anew.
        """
        with self._explained():
            self.path_of(name).unlink()

    def finish(self, name: str, noted: Any) -> None:
        """Note that a step is done and need not be done again, once all that was written so far is on the disk.

        Args:
            name: Of the step, such as the name of an input file; its files have been written.
            noted: JSON that a later command is to know of it, such as counts.
        """
        self.finish_all({name: noted})

    def finish_all(self, steps: Mapping[str, Any]) -> None:
        """Note that several small steps are done: waiting for the disk once is faster than once for each.

        Args:
            steps: What is noted, by name of the step.
        """
        with self._explained():
            self._flush()
            self._journal.add(steps, self._fresh)
        self._fresh.clear()

    def abandon(self) -> None:
        """Remove what is unfinished, where to go on with it makes no sense: the inputs have to change first."""
        with self._explained():
            self._partial.remove()

    def commit(self, report: Mapping[str, Any]) -> None:
        """Give the output its name. Of a single file's output, other files than that one are dropped.

        Args:
            report: What was done; written into a folder as `report.json`.

        Raises:
            UsageProblem: somebody else has put something there in the meantime.
            SetupError: the system does not let us.
        """
        if not is_single_file(self.target):
            head = {"schema_version": SCHEMA_VERSION, WRITTEN_BY: f"cloudcpt {__version__}", WORK: hash_of(self._work)}
            with self.writing(REPORT_FILE) as file:
                file.write(json.dumps({**head, **report}, indent=2, ensure_ascii=False).encode() + b"\n")
        with self._explained():
            self._flush()
            if not self._partial.place(overwrite=self._overwrite):
                hint = "move it away and give the same command again; it will be quick, as all else is done"
                self._refuse("CPT370", f"something has come to be at `{self.target}` in the meantime", hint)
            self._partial.remove()

    def _begin(self) -> Journal:
        """Find out what is done already; what is there of other work goes."""
        earlier = self._partial.recover()
        try:
            self._require_free()
        except UsageProblem:
            if earlier is None:
                self._partial.remove()
            raise
        if earlier is not None and earlier.work != self._work:
            self.gave_up, earlier = bool(earlier.done), None
        journal = earlier or new_journal(self._partial.path / JOURNAL, self._work)
        self._partial.sweep(journal)
        return journal

    def _require_free(self) -> None:
        require_free(self.target, overwrite=self._overwrite, work_hash=hash_of(self._work))

    def _flush(self) -> None:
        """Bring what was written since the last step to the disk, entries of folders included."""
        content = self._partial.content
        folders = {content}
        for name in self._fresh:
            flush(content / name)
            folders.update(folder for folder in (content / name).parents if folder.is_relative_to(content))
        for folder in folders:
            flush(folder)

    @contextmanager
    def _opened(self, path: Path, mode: str) -> Iterator[BinaryIO]:
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            raw = _Stream(path, mode, target=self.target)
        file = io.BufferedWriter(raw, _BUFFER_BYTES)
        try:
            yield file
            file.flush()
        finally:
            raw.close()  # past the buffer: after an error, what is in it is no good any more

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say of what the system refuses that it is about the output."""
        try:
            yield
        except OSError as exc:
            raise unwritable(self.target, exc) from exc
        except ForeignFolder:
            message = f"unfinished output goes to `{self._partial.path.name}` beside it, and something else is there"
            self._refuse("CPT373", message, "move that away, or name another place with `--to`")

    def _refuse(self, code: str, message: str, hint: str) -> NoReturn:
        raise UsageProblem(error(code, message, place=Place(path=str(self.target)), hint=hint))


class _Stream(io.FileIO):
    """A file of the output. That it cannot be written is about the output, not about what is read meanwhile."""

    def __init__(self, path: Path, mode: str, *, target: Path) -> None:
        super().__init__(path, mode)
        self._target = target

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as exc:
            raise unwritable(self._target, exc) from exc
