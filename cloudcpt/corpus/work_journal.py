"""What a command has finished: a line of JSON for its work, then one for each step, each on the disk before the next.

A line that was cut off by a kill is as if it had never been written. Of every step the journal knows the files, with
their sizes: what else lies in the output was left by a step that did not end.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cloudcpt.wire import commit_text

_FORMAT: Final = "cloudcpt output 1"


@dataclass(kw_only=True)
class Journal:
    """A journal and the file that it is in.

    Args:
        path: Of the file.
        work: Everything that the output depends on, as JSON.
        done: What was noted of each finished step, by its name.
        sizes: Bytes of each file of the finished steps, by its name.
    """

    path: Path
    work: Mapping[str, Any]
    done: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, steps: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        """Note finished steps, on the disk, with the files that they wrote; all of them or none."""
        line = json.dumps({"steps": dict(steps), "sizes": dict(sizes)}) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        self.done.update(steps)
        self.sizes.update(sizes)


def new_journal(path: Path, work: Mapping[str, Any]) -> Journal:
    """Begin a journal; one that is there is gone in the same moment."""
    commit_text(path, json.dumps({"format": _FORMAT, "work": work}) + "\n")
    return Journal(path=path, work=work)


def is_journal(path: Path) -> bool:
    """Tell a journal of ours, whoever may be writing on it."""
    try:
        with path.open("rb") as file:
            return _work_in(file.readline()) is not None
    except OSError:
        return False


def _work_in(head: bytes) -> Mapping[str, Any] | None:
    try:
        first = json.loads(head)
    except ValueError:
        return None
    return first["work"] if isinstance(first, dict) and first.get("format") == _FORMAT else None


def read_journal(path: Path) -> Journal | None:
    """Read a journal that an earlier command left, and cut off a line that is not whole; None when there is none."""
    if not is_journal(path):
        return None
    lines = path.read_bytes().splitlines(keepends=True)
    journal = Journal(path=path, work=json.loads(lines[0])["work"])
    kept = len(lines[0])
    for line in lines[1:]:
        try:
            finished = json.loads(line) if line.endswith(b"\n") else None
        except ValueError:
            break
        if finished is None:
            break
        journal.done.update(finished["steps"])
        journal.sizes.update(finished["sizes"])
        kept += len(line)
    os.truncate(path, kept)
    return journal
