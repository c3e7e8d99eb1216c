"""Which objects a path in S3 means, by the rules of `cloudcpt.dataset.files`.

An object, a prefix that ends with `/` (every `*.jsonl` below it, at any depth), or a pattern in the key. What is a
folder on a disk is the part of a key before a `/`; names that begin with a dot are left out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from cloudcpt.dataset.places import (
    EXTENSION,
    MAGIC,
    S3,
    InputFile,
    Selection,
    closest,
    looks_like_data,
    no_data,
    no_match,
    require_usable,
    wrong_extension,
)
from cloudcpt.errors import DatasetError, Diagnostic, error


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedObject:
    """What a listing says of an object.

    Args:
        key: Its key.
        size_bytes: Exact size.
        etag: With its quotes.
        version_id: Of a listing of versions; empty where the newest of each object was listed.
    """

    key: str
    size_bytes: int
    etag: str
    version_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """How one bucket is listed.

    Args:
        bucket: Its name.
        below: Gives the objects whose keys begin with a prefix, in the order of their keys.
        beside: Gives the names next to a key: of objects and, with a `/` at the end, of prefixes.
    """

    bucket: str
    below: Callable[[str], Iterator[ListedObject]]
    beside: Callable[[str], Sequence[str]]


def select_objects(listing: Listing, key: str, shown: str) -> Selection:
    """Find the objects that a key, a prefix or a pattern means.

    Args:
        listing: Of the bucket.
        key: What follows the bucket's name.
        shown: The whole URI as the user typed it.

    Raises:
        DatasetError: nothing is there, no object fits, or a name cannot be used.
    """
    prefix = key if not key or key.endswith("/") else f"{key}/"
    first = None if prefix == key else next(listing.below(key), None)
    exact = first if first and first.key == key else None  # of all keys that begin like it, it is the first
    if exact and key.endswith(EXTENSION):
        return _select_object(listing.bucket, exact, shown)
    below = tuple(listing.below(prefix))
    if below:
        return _select_prefix(listing.bucket, prefix, below, shown)
    if exact:
        raise DatasetError(wrong_extension(shown))
    if MAGIC.search(key):
        return _select_pattern(listing, key.rstrip("/"), shown)
    raise DatasetError(_missing(listing, key, shown))


def _select_object(bucket: str, found: ListedObject, shown: str) -> Selection:
    if PurePosixPath(found.key).suffix != EXTENSION:  # `.jsonl` alone is a hidden file and no extension
        raise DatasetError(wrong_extension(shown))
    return Selection(shown=shown, files=_inputs(bucket, found.key.rpartition("/")[0], (found,)))


def _select_prefix(bucket: str, prefix: str, below: Iterable[ListedObject], shown: str) -> Selection:
    seen = _inputs(bucket, prefix.removesuffix("/"), (one for one in below if _is_seen(one.key[len(prefix) :])))
    files = tuple(file for file in seen if file.name.endswith(EXTENSION))
    others = tuple(file for file in seen if file not in files and looks_like_data(file.name))
    if not files:
        raise DatasetError(no_data(shown, others))
    _require_a_tree(files)
    return Selection(shown=shown, files=files, left_out=others)


def _select_pattern(listing: Listing, key: str, shown: str) -> Selection:
    parts = key.split("/")
    first = next(index for index, part in enumerate(parts) if MAGIC.search(part))
    stem, pattern = "/".join(parts[:first]), parts[first:]
    if pattern[-1] == "**":
        pattern.append("*")
    folder = f"{stem}/" if first else ""
    # What stands before the first magic character narrows the listing down.
    begin = MAGIC.split(pattern[0], maxsplit=1)[0]
    found = (one for one in listing.below(folder + begin) if _is_seen(one.key[len(folder) :]))
    fitting = (one for one in found if _fits(one.key[len(folder) :].split("/"), pattern))
    files = _inputs(listing.bucket, stem if first else None, fitting)
    if not files:
        raise DatasetError(no_match(shown))
    if wrong := [file.shown for file in files if not file.name.endswith(EXTENSION)]:
        raise DatasetError(*(wrong_extension(name) for name in wrong))
    _require_a_tree(files)
    return Selection(shown=shown, files=files)


def _is_seen(name: str) -> bool:
    """Tell a file from the marks that consoles leave for empty folders, and from what begins with a dot."""
    return not name.endswith("/") and not any(part.startswith(".") for part in name.split("/"))


def _fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether the parts of a name fit those of a pattern, where `**` stands for any number of folders."""
    at = {0}
    for index, part in enumerate(parts):
        for place, wanted in enumerate(pattern):
            if wanted == "**" and place in at:
                at.add(place + 1)  # it may stand for no folder at all
        named = {place for place in at if pattern[place] != "**" and fnmatchcase(part, pattern[place])}
        if index == len(parts) - 1:
            return len(pattern) - 1 in named
        deeper = {place + 1 for place in named if place + 1 < len(pattern)}
        at = deeper | {place for place in at if pattern[place] == "**"}
    return False


def _inputs(bucket: str, stem: str | None, found: Iterable[ListedObject]) -> tuple[InputFile, ...]:
    """Name objects relative to what stands before them in their keys, in the order of their names."""
    start = len(stem) + 1 if stem else 0
    named = sorted(((one.key[start:], one) for one in found), key=lambda pair: pair[0])
    require_usable([name for name, _ in named])
    return tuple(
        InputFile(
            name=name,
            path=f"{S3}{bucket}/{one.key}",
            shown=f"{S3}{bucket}/{one.key}",
            size_bytes=one.size_bytes,
            etag=one.etag,
            version_id=one.version_id,
        )
        for name, one in named
    )


def _require_a_tree(files: Sequence[InputFile]) -> None:
    """Refuse what S3 can hold and a disk cannot: the trainer reads files."""
    names = {file.name for file in files}
    faults = []
    for file in files:
        folders = file.name.split("/")[:-1]
        if "" in folders:
            faults.append(_untreelike(file, "it has an empty part between two `/`"))
        elif above := [name for name in _paths(folders) if name in names]:
            faults.append(_untreelike(file, f"`{above[0]}` is an object too"))
    if faults:
        raise DatasetError(*faults)


def _paths(folders: Sequence[str]) -> list[str]:
    return ["/".join(folders[: depth + 1]) for depth in range(len(folders))]


def _untreelike(file: InputFile, reason: str) -> Diagnostic:
    hint = "copy it to another key; the trainer finds its data as files in folders"
    return error("CPT310", f"name `{file.name}` cannot be used, {reason}", hint=hint)


def _missing(listing: Listing, key: str, shown: str) -> Diagnostic:
    wanted = key.rstrip("/").rpartition("/")[2]
    hint = closest(wanted, listing.beside(key)) if wanted else None
    return error("CPT300", f"`{shown}` does not exist", hint=hint)
