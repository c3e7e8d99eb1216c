"""Whether an output may be written at a place: nothing is replaced unasked, and nothing but our own output ever."""

import errno
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cloudcpt.dataset.places import EXTENSION, WRITTEN_REPORT, is_in_s3
from cloudcpt.errors import Diagnostic, Place, SetupError, UsageProblem, error

REPORT_FILE: Final = WRITTEN_REPORT
"""In a folder of output: what was done to what, with all counts; it also says that the folder is an output."""

WRITTEN_BY: Final = "written_by"
"""Field of the report: `cloudcpt` and its version."""

WORK: Final = "work"
"""Field of the report: the hash of everything that the output depends on."""

_ANOTHER_PLACE: Final = "name another place with `--to`"
_HELP: Final = (
    ((errno.ENOSPC, errno.EDQUOT), "make room and give the same command again: it goes on where it stopped"),
    ((errno.EFBIG,), "the limit on the size of a file (`ulimit -f`, or the file system's) is reached"),
    ((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT), "name a place with `--to` where you may write"),
    ((errno.ENAMETOOLONG,), "give it a shorter name; `.partial` is added to it while it is written"),
    ((errno.ENOTDIR, errno.EEXIST), "a folder on the way to it is a file"),
)
"""What the system says, and what may help."""


def is_single_file(target: Path) -> bool:
    """Tell an output that is one file from one that is a folder."""
    return target.suffix == EXTENSION


def require_free(target: Path, *, overwrite: bool, work_hash: str) -> None:
    """Refuse a place where something is, unless it is empty or the user lets us replace it and we may.

    Raises:
        UsageProblem: something is there.
    """
    if found := _obstacle(target, overwrite=overwrite, work_hash=work_hash):
        raise UsageProblem(found)


def require_apart(target: Path, inputs: Sequence[str], sources: Sequence[str]) -> None:
    """Refuse an output that would lie among its own inputs, where the same command would read it the next time.

    Args:
        target: Of the output.
        inputs: The files: absolute, or s3:// URIs.
        sources: Files, folders and patterns as the user typed them.

    Raises:
        UsageProblem: it would.
    """
    whole, place = followed(target), Place(path=str(target))
    local = [followed(Path(path)) for path in inputs if not is_in_s3(path)]
    found = []
    if whole in local:
        found.append(error("CPT371", f"`{target}` is itself an input", place=place, hint=_ANOTHER_PLACE))
    elif held := next((path for path in local if path.is_relative_to(whole)), None):
        message = f"`{target}` holds an input, `{held.relative_to(whole)}`"
        found.append(error("CPT371", message, place=place, hint=_ANOTHER_PLACE))
    for source in sources if not found else ():
        if not is_in_s3(source) and Path(source).is_dir() and whole.is_relative_to(Path(source).resolve()):
            hint = f"{_ANOTHER_PLACE}, beside the folder: what is in it is read the next time"
            found.append(error("CPT371", f"`{target}` lies in `{source}`, which is an input", place=place, hint=hint))
    if found:
        raise UsageProblem(*found)


def unwritable(target: Path, exc: OSError) -> SetupError:
    """Say that the system does not let us write an output, and what may help."""
    hint = next((hint for numbers, hint in _HELP if exc.errno in numbers), None)
    message = f"`{target}` cannot be written: {exc.strerror or exc}"
    return SetupError(error("CPT374", message, place=Place(path=str(target)), hint=hint))


def report_of(folder: Path) -> Mapping[str, Any]:
    """Read the report of an output; empty when the folder is none."""
    try:
        report = json.loads((folder / REPORT_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) and WRITTEN_BY in report else {}


def hash_of(work: Mapping[str, Any]) -> str:
    """Give a work its name: equal work, equal hash."""
    from blake3 import blake3

    return blake3(json.dumps(work, sort_keys=True).encode()).hexdigest()


def followed(path: Path) -> Path:
    """Follow the links of the folders on the way, but not the last name, which is what would be replaced."""
    whole = path.absolute()
    return whole.resolve() if whole.name in ("", "..") else whole.parent.resolve() / whole.name


def _obstacle(target: Path, *, overwrite: bool, work_hash: str) -> Diagnostic | None:
    place, single = Place(path=str(target)), is_single_file(target)
    if followed(target).is_mount():
        hint = "name a folder in it: the last step of writing an output is a rename"
        return error("CPT370", f"`{target}` is where a file system is mounted", place=place, hint=hint)
    if target.is_symlink():
        hint = "name the place that it leads to, or another one"
        return error("CPT370", f"`{target}` is a symbolic link", place=place, hint=hint)
    if not target.exists():
        return None
    if single and not target.is_file():
        message = f"`{target}` is there already and is no file, but a name in `{EXTENSION}` stands for one file"
        return error("CPT370", message, place=place, hint=_ANOTHER_PLACE)
    if not single and not target.is_dir():
        hint = f"{_ANOTHER_PLACE}; a single file of output ends in `{EXTENSION}`"
        return error("CPT370", f"`{target}` is a file, where a folder is to be written", place=place, hint=hint)
    if not single and not any(target.iterdir()):
        return None
    if not overwrite:
        return _already_there(target, work_hash)
    if not single and not report_of(target):
        message = f"`{target}` is no output of `cloudcpt data`: it has no `{REPORT_FILE}` of ours"
        return error("CPT373", message, place=place, hint=f"{_ANOTHER_PLACE}, or remove it yourself")
    return None


def _already_there(target: Path, work_hash: str) -> Diagnostic:
    place = Place(path=str(target))
    if not is_single_file(target) and report_of(target).get(WORK) == work_hash:
        message = f"`{target}` is there already: this same command wrote it, from the same inputs"
        return error("CPT370", message, place=place, hint="there is nothing to do; `--overwrite` does it again")
    hint = f"{_ANOTHER_PLACE}, or replace it with `--overwrite`"
    return error("CPT370", f"`{target}` is there already", place=place, hint=hint)
