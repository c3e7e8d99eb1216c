"""What a dry run leaves to an engine that outlives it: containers and a network, and the note that they are there.

    <job>/containers.json    from before the first container until after the last one

Whoever finds the note where nobody watches over the job any more (`kill -9`, a power cut) removes what it names. The
containers are found by their label, so the note need not know how many there are.
"""

import json
import os
from pathlib import Path
from typing import Final

from cloudcpt.local.answers import Answer, ask
from cloudcpt.local.folder import JobFolder
from cloudcpt.local.lock import claim
from cloudcpt.wire import commit_text

LABEL: Final = "cloudcpt.job"
"""Of every container of a dry run; its value is the name that all of the job's names begin with."""

NOTE_FILE: Final = "containers.json"

_PATIENCE_S: Final = 60.0


def note_containers(folder: Path, program: str, job: str) -> None:
    """Say, before the first container is there, who has to be asked about them."""
    commit_text(folder / NOTE_FILE, json.dumps({"program": program, "job": job}) + "\n")


def forget_containers(folder: Path) -> None:
    """Take the note back: there is nothing left."""
    (folder / NOTE_FILE).unlink(missing_ok=True)


def remove_containers(program: str, job: str) -> Answer:
    """Remove every container and the network of a job, running or not; where there are none that is no mistake."""
    found = _ask(program, "ps", "--all", "--quiet", "--filter", f"label={LABEL}={job}")
    names = found.out.split()
    if found.status != 0 or not names:
        _ask(program, "network", "rm", job)
        return found
    _ask(program, "unpause", *names)  # what is paused cannot be killed everywhere
    _ask(program, "kill", "--signal", "KILL", *names)  # `rm --force` alone may wait for each to end by itself
    removed = _ask(program, "rm", "--force", "--volumes", *names)
    _ask(program, "network", "rm", job)
    return removed


def remove_leftovers(folder: Path) -> Answer | None:
    """Remove what a note names, and the note; only for whoever holds the lock of the job's folder.

    Returns:
        The engine's last answer, which may be that it could not; None where there is no note.
    """
    try:
        note: dict[str, str] = json.loads((folder / NOTE_FILE).read_text("utf-8"))
    except FileNotFoundError:
        return None
    answer = remove_containers(note["program"], note["job"])
    if answer.status == 0:
        forget_containers(folder)
    return answer


def _ask(program: str, *words: str) -> Answer:
    return ask((program, *words), _PATIENCE_S)


def tidy(folder: JobFolder) -> None:
    """Remove what is left of a job that nobody watches over any more; without effect on any other."""
    if not (folder.root / NOTE_FILE).exists():
        return
    lock = claim(folder.lock, patience_s=0)
    if lock is None:
        return
    try:
        remove_leftovers(folder.root)
    finally:
        os.close(lock)
