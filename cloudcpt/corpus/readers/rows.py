"""What every reader yields: rows, one after the other, and in between those that cannot be read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cloudcpt.errors import DatasetError, Place, error

ROW_LIMIT_BYTES: Final = 64 << 20
"""Largest row, or whole file where that is one document; it bounds our memory. A document is far smaller."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, or one text.

    Args:
        number: Of its first line in a file of text, of the row in any other; from 1.
        value: A text, or values by the names of columns: whatever JSON or Arrow has.
    """

    number: int
    value: str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read; the rows after it can.

    Args:
        number: As in `Row`.
        message: What is wrong, as a sentence.
        hint: What to do.
    """

    number: int
    message: str
    hint: str | None = None


Rows = Iterator[Row | BadRow]


def damaged(shown: str, message: str, *, line: int | None = None, hint: str | None = None) -> DatasetError:
    """Say that a file cannot be read on from some place: it is damaged, or is not what its name says.

    Args:
        shown: The file as the user named it.
        message: What is wrong, as a sentence.
        line: Where, from 1.
        hint: What to do.
    """
    return DatasetError(error("CPT379", message, place=Place(path=shown, line=line), hint=hint))
