"""Which version of a dataset is meant, when that is written down: a pin.

    blake3:3f8a61c20d        content, wherever it lies: of one file `b3sum FILE`, of several `b3sum` of that list
    2026-11-20T12:00:00Z     a moment: of every object in S3 the version that was the newest then
    anything else            the version id of one object in S3

A pin of content is held against what was read. The others say what to read. A pin that means nothing for the place
where the data lies is refused: a version that is written down and has no effect would be worse than none.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import DatasetError, Diagnostic, error

if TYPE_CHECKING:
    from cloudcpt.dataset.check import FileReport

FEWEST_DIGITS: Final = 8
"""Of a hash: fewer could be a coincidence, more is for the careful."""

_CONTENT: Final = re.compile(r"blake3:(?P<digits>[0-9a-f]*)", re.IGNORECASE)
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")
_SHOWN_DIGITS: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """One version; exactly one of the three is given.

    Args:
        blake3: First digits of the hash of the content, in small letters.
        moment: With its time zone.
        version_id: Of an object in S3.
    """

    blake3: str = ""
    moment: datetime | None = None
    version_id: str = ""


def read_pin(text: str, path: str) -> Pin:
    """Understand a version.

    Args:
        text: As the recipe writes it.
        path: Of the data that it is a version of.

    Raises:
        DatasetError: it is no version that data in this place can have.
    """
    if match := _CONTENT.fullmatch(text):
        digits = match["digits"].lower()
        if FEWEST_DIGITS <= len(digits) <= 64:
            return Pin(blake3=digits)
        hint = f"write {FEWEST_DIGITS} to 64 digits of it: `blake3:` and what `b3sum` prints"
        raise DatasetError(error("CPT318", f"`{text}` has {len(digits)} digits of a hash", hint=hint))
    if not is_in_s3(path):
        hint = f"write `blake3:` and the first {FEWEST_DIGITS} or more digits of its hash, as `b3sum` prints it"
        raise DatasetError(error("CPT318", f"`{text}` is no version that data on this machine has", hint=hint))
    if not _MOMENT.fullmatch(text):
        return Pin(version_id=text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise DatasetError(error("CPT318", f"`{text}` is no moment: {exc}", hint=_MOMENT_HINT)) from exc
    if moment.tzinfo is None:
        raise DatasetError(error("CPT318", f"`{text}` does not say in which time zone", hint=_MOMENT_HINT))
    return Pin(moment=moment)


_MOMENT_HINT: Final = "write it as `2026-11-20T12:00:00Z`, with `Z` for UTC"


def content_blake3(files: Sequence["FileReport"]) -> str:
    """Give one hash for the content of a dataset, 64 hex digits; empty when a file could not be read.

    Of one file it is the file's own, whatever it is called; of several that of the list that `b3sum` prints of them,
    names relative to the folder and in order.
    """
    from blake3 import blake3

    if not all(file.blake3 for file in files):
        return ""
    if len(files) == 1:
        return files[0].blake3
    return blake3("".join(f"{file.blake3}  {file.name}\n" for file in files).encode()).hexdigest()


def content_fault(pin: Pin, path: str, files: Sequence["FileReport"]) -> Diagnostic | None:
    """Say that a dataset that was read is not the one that was pinned; None when it is, or when another pin was read.

    Args:
        pin: Of its content, or not.
        path: As the recipe has it.
        files: What was read.
    """
    found = content_blake3(files)
    if not found or found.startswith(pin.blake3):
        return None
    hint = f"put the data back as it was, or pin what is there now: `blake3:{found[:_SHOWN_DIGITS]}`"
    return error("CPT319", f"`{path}` is not the version `blake3:{pin.blake3}`: its content is another one", hint=hint)
