"""Which column of a table is the text: the one that is named, the only one there can be, or a question to the user.

Decided for each file by its first rows. Text is told from keys, numbers, dates and addresses by what most values look
like; where two columns look like text, nobody but the user knows which one is meant.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloudcpt.corpus.conversations import conversation_of, is_for_turns, shape_of
from cloudcpt.corpus.template import MissingValue, Template
from cloudcpt.dataset.fault import show_all
from cloudcpt.dataset.places import closest
from cloudcpt.errors import DatasetError, Place, error

SAMPLE_ROWS: Final = 100
"""So many rows are looked at before a column is taken."""

TEXT: Final = "text"
_LONG: Final = 20
"""From so many characters on, something that is one word is text too: Chinese has no spaces."""

_NO_TEXT: Final = re.compile(r"\S+://\S+|[\w.+-]+@[\w-]+\.[\w.]+|[0-9a-fA-F-]{20,}|[\d\s.,:;/+%TZ-]+")
"""Addresses, hashes, numbers, dates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How a row becomes a text.

    Args:
        columns: The ones that are needed.
        make: Gives the text of a row; None where there is none. It raises `MissingValue`.
        is_guess: Whether nobody has named them, so that it should be said.
    """

    columns: tuple[str, ...]
    make: Callable[[Mapping[str, Any]], str | None]
    is_guess: bool = False


def choose(rows: Sequence[Mapping[str, Any]], shown: str, *, column: str | None, template: Template | None) -> Choice:
    """Decide what the text of a row is.

    Args:
        rows: The first of a file; their values by the names of columns.
        shown: The file as the user named it.
        column: What the user has named.
        template: What the user has given; not together with a column.

    Raises:
        DatasetError: the column is not there, or there are several that may be meant.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    shape = shape_of(columns)
    if template and is_for_turns(template) and len(shape) == 1:
        return Choice(columns=shape, make=lambda row: conversation_of(row, shape, template))
    if template:
        _require(template.columns, columns, shown)
        return Choice(columns=template.columns, make=template.fill)
    if column is not None or TEXT in columns:
        name = column if column is not None else TEXT
        _require((name,), columns, shown)
        return Choice(columns=(name,), make=lambda row: _only(row, name))
    if shape:
        return Choice(columns=shape, make=lambda row: conversation_of(row, shape, None), is_guess=True)
    candidates = [name for name in columns if _is_text([row.get(name) for row in rows])]
    if len(columns) == 1:
        candidates = columns
    if len(candidates) != 1:
        raise _question(candidates, columns, shown)
    only = candidates[0]
    return Choice(columns=(only,), make=lambda row: _only(row, only), is_guess=True)


def _only(row: Mapping[str, Any], name: str) -> str | None:
    """Take the text of one column."""
    if name not in row:
        raise MissingValue(f"the row has no `{name}`")
    value = row[name]
    if value is None or isinstance(value, str):
        return value
    kind = {list: "a list", dict: "an object", bool: "true or false", bytes: "bytes"}.get(type(value), "a number")
    shown = f": `{value}`" if kind == "a number" else ""
    hint = "name the column that holds the text with `--column`; `--template '{a} {b}'` makes one text of several"
    raise MissingValue(f"`{name}` is {kind}, not text{shown}", hint)


def _is_text(values: Sequence[Any]) -> bool:
    """Tell whether most of the values of a column look like something that people read."""
    there = [value for value in values if value is not None and value != ""]
    alike = [value for value in there if isinstance(value, str) and _reads_like_text(value)]
    return bool(there) and len(alike) * 2 > len(there)


def _reads_like_text(value: str) -> bool:
    words = value.split(None, 2)
    return (len(words) > 1 or len(value) >= _LONG) and not _NO_TEXT.fullmatch(value.strip())


def _require(wanted: Sequence[str], columns: Sequence[str], shown: str) -> None:
    missing = [name for name in wanted if name not in columns]
    if missing:
        message = f"`{shown}` has no column {show_all(missing)}; it has {show_all(columns, limit=12)}"
        hint = closest(missing[0], columns)
        raise DatasetError(error("CPT377", message, place=Place(path=shown), hint=hint))


def _question(candidates: Sequence[str], columns: Sequence[str], shown: str) -> DatasetError:
    place = Place(path=shown)
    if not candidates:
        message = f"no column of `{shown}` looks like text; it has {show_all(columns, limit=12)}"
        hint = "name the column that holds the text with `--column NAME`"
        return DatasetError(error("CPT377", message, place=place, hint=hint))
    message = f"several columns of `{shown}` may be the text: {show_all(candidates, limit=12)}"
    example = f"'{{{candidates[0]}}}\\n\\n{{{candidates[1]}}}'"
    hint = f"name one with `--column {candidates[-1]}`, or join some with `--template {example}`"
    return DatasetError(error("CPT377", message, place=place, hint=hint))
