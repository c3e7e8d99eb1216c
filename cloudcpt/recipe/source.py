"""A recipe's bytes: read once, bounded, hashed, decoded, and free of characters that deceive a reader."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from cloudcpt.errors import Place, RecipeError, error

MAX_BYTES = 64 * 1024
"""A published recipe has 3 KB; whatever is larger than this is not a recipe."""

# What YAML 1.2 calls printable, less the line breaks that editors and YAML count differently (NEL, LS, PS), the
# byte order mark inside a file, and the marks that make text read in another order than it is stored.
REFUSED_CHARACTER = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeSource:
    """The file as read: its name as the user gave it, its text without a byte order mark, the hash of its bytes."""

    path: str
    text: str
    blake3: str


def read_source(path: Path) -> RecipeSource:
    """Read a recipe file without ever waiting on it or reading more than the limit.

    Raises:
        RecipeError: missing, unreadable, not a regular file, too large, not UTF-8, or with refused characters.
    """
    data = _read_bytes(path)
    place = Place(path=str(path))
    if len(data) > MAX_BYTES:
        raise RecipeError(error("CPT003", f"a recipe has at most {MAX_BYTES:,} bytes, this file has more", place=place))
    text = _decode(data, str(path)).removeprefix("\ufeff")
    if match := REFUSED_CHARACTER.search(text):
        found = f"character U+{ord(match[0]):04X} is not allowed in a recipe"
        raise RecipeError(error("CPT005", found, place=_place_of(text, match.start(), str(path))))
    return RecipeSource(path=str(path), text=text, blake3=blake3(data).hexdigest())


def _read_bytes(path: Path) -> bytes:
    place = Place(path=str(path))
    try:
        # O_NONBLOCK: opening a FIFO for reading would otherwise wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise RecipeError(error("CPT001", f"there is no file `{path}`", place=place)) from None
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise RecipeError(error("CPT001", f"`{path}` cannot be opened: {reason}", place=place)) from exc
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise RecipeError(error("CPT002", f"`{path}` is {kind}, a recipe is a YAML file", place=place))
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)


def _decode(data: bytes, path: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        before = data[: exc.start].decode("utf-8")
        place = _place_of(before, len(before), path, byte=exc.start)
        is_utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        hint = "save the file as UTF-8" + ("; it looks like UTF-16 now" if is_utf16 else "")
        found = f"byte 0x{data[exc.start]:02X} is not UTF-8"
        raise RecipeError(error("CPT004", found, place=place, hint=hint)) from None


def _place_of(text: str, index: int, path: str, *, byte: int | None = None) -> Place:
    """Find line and column of a character, with the line breaks of YAML: LF, CR LF and CR."""
    lines = re.split(r"\r\n|\n|\r", text[:index])
    return Place(path=path, line=len(lines), column=len(lines[-1]) + 1, byte=byte)
