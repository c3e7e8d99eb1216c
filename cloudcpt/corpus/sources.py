"""The files that are to be converted: what the paths of a command line mean, with every format that is read.

A folder stands for all files below it but hidden ones. What is of no format that we know is left out of a folder, with
the reason; named itself, it is refused. Order: that of the command line, and by name within a folder.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloudcpt.corpus.formats import Format, Kind, kind_of, why_not
from cloudcpt.dataset.places import MAGIC, STDIN, InputFile, closest, is_in_s3, require_usable
from cloudcpt.errors import DatasetError, Diagnostic, Place, error, warning

_DESCRIPTIONS: Final = ("dataset_info.json", "state.json", "dataset_dict.json")
"""What Hugging Face's `save_to_disk` writes beside the Arrow files."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file and what it is."""

    file: InputFile
    kind: Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """What the paths of a command line mean.

    Args:
        files: To convert; their names are all different.
        left_out: Why others in the same folders are not converted, as warnings.
    """

    files: tuple[Source, ...]
    left_out: tuple[Diagnostic, ...]


def find_sources(paths: Sequence[str]) -> Sources:
    """Find what is to be converted.

    Args:
        paths: Files, folders and patterns, as the user typed them.

    Raises:
        DatasetError: something is not there, is of a format that is not read, or there is nothing to convert.
    """
    problems: list[Diagnostic] = []
    left_out: list[Diagnostic] = []
    found: dict[Path, str] = {}
    for path in paths:
        try:
            for file, shown, reason in _meant_by(path):
                if reason is None:
                    found.setdefault(file, shown)
                else:
                    left_out.append(reason)
        except DatasetError as exc:
            problems += exc.diagnostics
    if not found and not problems:
        reasons = left_out[:5]
        hint = reasons[0].hint if reasons else "name a file, or a folder with files in it"
        problems.append(error("CPT376", f"there is nothing to convert in `{'`, `'.join(paths)}`", hint=hint))
    if problems:
        raise DatasetError(*problems)
    return Sources(files=tuple(_named(found)), left_out=tuple(left_out))


def _named(found: dict[Path, str]) -> Iterator[Source]:
    """Name each file from the folder that all lie in, so that no two have the same name."""
    parents = [file.parent for file in found]
    top = Path(os.path.commonpath(parents))
    names = {file: file.relative_to(top).as_posix() for file in found}
    require_usable(list(names.values()))
    for file, shown in found.items():
        kind = kind_of(file.name)
        assert kind is not None, f"{file} has passed the test of its name"
        size = file.stat().st_size
        yield Source(file=InputFile(name=names[file], path=str(file), shown=shown, size_bytes=size), kind=kind)


def _meant_by(path: str) -> Iterable[tuple[Path, str, Diagnostic | None]]:
    """List the files that one path means: where it is, how to show it, and why it is left out, if it is."""
    if is_in_s3(path) or path == STDIN:
        where = "what lies in S3" if is_in_s3(path) else "what comes through a pipe"
        copy = f"`aws s3 sync {path} data/`" if is_in_s3(path) else "`... > data.txt`"
        hint = f"bring it to this machine first, with {copy} for one"
        raise DatasetError(error("CPT376", f"`{path}`: {where} cannot be converted, only files can", hint=hint))
    there = Path(path)
    if there.is_dir():
        return _in_folder(there)
    files = [there] if there.is_file() else _matches(there) if MAGIC.search(path) else []
    if not files:
        raise DatasetError(_missing(path, there))
    if unreadable := [_unreadable(file) for file in files if kind_of(file.name) is None]:
        raise DatasetError(*unreadable)
    return [(file.resolve(), str(file), None) for file in files]


def _matches(pattern: Path) -> list[Path]:
    top = Path(pattern.anchor)
    found = top.glob(str(pattern.relative_to(top)))
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def _missing(path: str, there: Path) -> Diagnostic:
    if MAGIC.search(path):
        return error("CPT301", f"no file matches `{path}`")
    if there.exists() or there.is_symlink():
        hint = "write the data to a file first"
        return error("CPT303", f"`{path}` is no regular file", place=Place(path=path), hint=hint)
    nearby = [entry.name for entry in there.parent.iterdir()] if there.parent.is_dir() else []
    return error("CPT300", f"`{path}` does not exist", hint=closest(there.name, nearby))


def _unreadable(file: Path) -> Diagnostic:
    reason, hint = why_not(file.name)
    return error("CPT376", f"`{file}` {reason} and is not converted", place=Place(path=str(file)), hint=hint)


def _in_folder(folder: Path) -> Iterator[tuple[Path, str, Diagnostic | None]]:
    for at, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(at, name)
            yield file.resolve(), str(file), _why_left_out(file, names)


def _raise(exc: OSError) -> None:
    reason = f"`{exc.filename}` cannot be read: {exc.strerror}"
    raise DatasetError(error("CPT305", reason, place=Place(path=str(exc.filename)))) from exc


def _why_left_out(file: Path, beside: Sequence[str]) -> Diagnostic | None:
    """Say why a file of a folder is not converted.

    Args:
        file: The file.
        beside: Names of all files in the same folder.
    """
    place = Place(path=str(file))
    if file.is_symlink() or not file.is_file():
        hint = "name it on the command line, if it is meant"
        return warning("CPT375", f"`{file}` is no regular file and is left out", place=place, hint=hint)
    kind = kind_of(file.name)
    if kind is None:
        reason, hint = why_not(file.name)
        return warning("CPT375", f"`{file}` {reason} and is left out", place=place, hint=hint)
    has_arrow = any(name.endswith(".arrow") for name in beside)
    if file.name == _DESCRIPTIONS[-1] or (file.name in _DESCRIPTIONS and has_arrow):
        return warning("CPT375", f"`{file}` describes a dataset and is left out", place=place)
    if kind.format is Format.ARROW and _DESCRIPTIONS[1] in beside and file.name not in _files_of(file.parent):
        message = f"`{file}` is no part of the dataset that `{_DESCRIPTIONS[1]}` beside it describes and is left out"
        return warning("CPT375", message, place=place)
    return None


def _files_of(folder: Path) -> Sequence[str]:
    """Read which files a dataset of Hugging Face has; others beside them are caches of what was done with it."""
    try:
        state = json.loads((folder / _DESCRIPTIONS[1]).read_text("utf-8"))
        return [file["filename"] for file in state["_data_files"]]
    except (OSError, ValueError, LookupError, TypeError):
        return [file.name for file in folder.glob("*.arrow")]
