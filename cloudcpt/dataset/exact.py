r"""Read one line exactly: the text it holds, or the first reason why it is not a document.

A document is `{"text": "..."}`: one object, one field, nothing nested. That grammar needs no recursion and turns
no digits into numbers, so depth, huge integers and NaN cannot hurt here the way they hurt a general parser: strings
are read by the standard library's JSON decoder, everything between them by a walk from left to right that knows the
column of each surprise. Nested values are refused wherever they stand; they are only skipped over, to name the
fields that follow. Blank space is JSON's own: space, tab and CR (LF ends the line).
"""

import json
import re
from dataclasses import dataclass
from typing import Final

from cloudcpt.dataset.fault import VISIBLE, BadLine, field_hint, show, show_all

MAX_DEPTH: Final = 64
"""Brackets inside brackets; deeper is an attack or an accident, never a document with a misplaced field."""

MAX_FIELDS: Final = 32
"""Fields that are told apart before a line is refused unread, so that memory does not grow with the line."""

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\r]*")
_SCALAR: Final = re.compile(r"(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![0-9A-Za-z.])")
_WORD: Final = re.compile(r"-?[A-Za-z_][A-Za-z_0-9]*")
_STRING_BODY: Final = re.compile(r'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+')
_NESTED_PART: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]|[^"\[\]{}]++')
_ESCAPE: Final = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u(?P<lone>[dD][89a-fA-F]..)|\\.")
_ONE_PER_LINE: Final = "write each document as one whole JSON object on one line"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Value:
    """One value of the line: `kind` in words, where it stands, and its text when it is a string."""

    kind: str
    start: int
    end: int
    text: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    """Where a field's name stands, quotes included, and its value."""

    start: int
    end: int
    value: _Value


def read_exactly(line: str) -> str:
    """Return the text of a line that is a document.

    Args:
        line: Without its line end.

    Raises:
        BadLine: it is not a document; the first reason from the left, syntax before meaning.
    """
    if (nul := line.find("\0")) >= 0:
        raise BadLine(
            "CPT322", "the line holds a NUL byte", line=line, at=nul, hint="the file may be damaged or binary"
        )
    if line.startswith("\ufeff"):
        raise BadLine(
            "CPT320",
            "the line begins with a byte order mark",
            line=line,
            at=0,
            hint="save the file as UTF-8 without BOM",
        )
    start = _after_space(line, 0)
    _require_object(line, start)
    fields, end = _read_fields(line, start)
    _require_end(line, end)
    return _only_text(line, start, fields)


def _after_space(line: str, at: int) -> int:
    found = _SPACE.match(line, at)
    assert found is not None, "a pattern that matches the empty string always matches"
    return found.end()


def _require_object(line: str, at: int) -> None:
    if at == len(line):
        raise BadLine(
            "CPT325", "the line is blank", line=line, at=0, hint="remove it; the last line needs no line after it"
        )
    if line[at] != "{":
        value = _read_value(line, at)
        raise BadLine(
            "CPT332",
            f'the line is {value.kind}, not an object like `{{"text": "..."}}`',
            line=line,
            at=at,
            length=value.end - at,
            hint=_ONE_PER_LINE,
        )


def _read_fields(line: str, at: int) -> tuple[dict[str, _Field], int]:
    """Read the object that begins at `at`; return its fields in order and the index after it."""
    fields: dict[str, _Field] = {}
    at = _after_space(line, at + 1)
    while line[at : at + 1] != "}":
        name, field = _read_field(line, at)
        if name in fields:
            raise BadLine("CPT340", f"field `{show(name)}` is there twice", line=line, at=at, length=field.end - at)
        fields[name] = field
        if len(fields) > MAX_FIELDS:
            message = f"the object has more than {MAX_FIELDS} fields; a line has exactly one, `text`"
            raise BadLine("CPT342", message, line=line, at=at, length=field.end - at, hint=field_hint(fields))
        at = _after_space(line, field.value.end)
        if line[at : at + 1] == ",":
            comma, at = at, _after_space(line, at + 1)
            if line[at : at + 1] == "}":
                raise BadLine("CPT330", "invalid JSON: there is a comma before the closing `}`", line=line, at=comma)
        elif line[at : at + 1] != "}":
            raise _unexpected(line, at, "`,` or `}`")
    return fields, at + 1


def _read_field(line: str, at: int) -> tuple[str, _Field]:
    if line[at : at + 1] != '"':
        raise _unexpected(line, at, "a field name in double quotes")
    name, end = _read_string(line, at)
    colon = _after_space(line, end)
    if line[colon : colon + 1] != ":":
        raise _unexpected(line, colon, "`:`")
    return name, _Field(start=at, end=end, value=_read_value(line, _after_space(line, colon + 1)))


def _read_value(line: str, at: int) -> _Value:
    first = line[at : at + 1]
    if first == '"':
        text, end = _read_string(line, at)
        return _Value(kind="a string", start=at, end=end, text=text)
    if first and first in "[{":
        return _Value(kind="an array" if first == "[" else "an object", start=at, end=_after_nested(line, at))
    if number := _SCALAR.match(line, at):
        return _Value(kind="a number", start=at, end=number.end())
    word = _WORD.match(line, at)
    if word and word[0] in ("true", "false", "null"):
        return _Value(kind=f"`{word[0]}`", start=at, end=word.end())
    if word and word[0] in ("NaN", "Infinity", "-Infinity"):
        raise BadLine("CPT333", f"`{word[0]}` is not JSON", line=line, at=at, length=len(word[0]))
    raise _unexpected(line, at, "a value")


def _read_string(line: str, at: int) -> tuple[str, int]:
    """Read the string whose opening quote is at `at`; return it and the index after its closing quote."""
    try:
        text, end = _DECODER.raw_decode(line, at)
    except json.JSONDecodeError:
        raise _bad_string(line, at) from None
    return text, end


def _bad_string(line: str, at: int) -> BadLine:
    """Find what the decoder stumbled over: the first character that does not continue a string."""
    body = _STRING_BODY.match(line, at + 1)
    stop = body.end() if body else at + 1
    if stop == len(line):
        hint = 'a line break inside a text is written `\\n`; quotes inside it `\\"`'
        return BadLine("CPT330", "invalid JSON: the line ends inside a string", line=line, at=at, hint=hint)
    if line[stop] == "\\":
        escape = line[stop : stop + 6] if line[stop + 1 : stop + 2] == "u" else line[stop : stop + 2]
        hint = 'JSON knows `\\"`, `\\\\`, `\\/`, `\\b`, `\\f`, `\\n`, `\\r`, `\\t` and `\\u` with four hex digits'
        message = f"`{show(escape)}` is not an escape of JSON"
        return BadLine("CPT335", message, line=line, at=stop, length=len(escape), hint=hint)
    hint = f"write it as `\\u{ord(line[stop]):04x}`" + (" or `\\t`" if line[stop] == "\t" else "")
    return BadLine(
        "CPT334", f"a string holds a raw control character, {show(line[stop])}", line=line, at=stop, hint=hint
    )


def _after_nested(line: str, at: int) -> int:
    """Skip an array or object that will be refused anyway, counting brackets outside strings only."""
    depth = 0
    for part in _NESTED_PART.finditer(line, at):
        first = line[part.start()]
        depth += (first in "[{") - (first in "]}")
        if depth > MAX_DEPTH:
            raise BadLine("CPT336", f"values are nested more than {MAX_DEPTH} deep", line=line, at=part.start())
        if depth == 0:
            return part.end()
    raise BadLine(
        "CPT330", f"invalid JSON: `{line[at]}` is not closed on this line", line=line, at=at, hint=_ONE_PER_LINE
    )


def _require_end(line: str, at: int) -> None:
    rest = _after_space(line, at)
    if rest == len(line):
        return
    if line[rest] in '{["-' or line[rest].isalnum():
        only_cr = "\r" in line[at:rest]
        hint = "the lines end with CR alone; convert the file to LF line ends" if only_cr else _ONE_PER_LINE
        raise BadLine("CPT331", "there is a second value on the line", line=line, at=rest, hint=hint)
    raise _unexpected(line, rest, "the end of the line")


def _unexpected(line: str, at: int, expected: str) -> BadLine:
    """Say what stands where something else should, with a hint for what people often write."""
    if at >= len(line):
        message = f"invalid JSON: the line ends where {expected} should follow"
        return BadLine("CPT330", message, line=line, at=at, hint=_ONE_PER_LINE)
    found = line[at]
    if not VISIBLE.match(found):
        message = f"{show(found)} is not white space in JSON; only space and tab may stand around values"
        return BadLine("CPT338", message, line=line, at=at, hint="remove it, or move it into the text")
    word = _WORD.match(line, at)
    hint = None
    if found in "'`‘’“”":
        hint = 'strings and field names take straight double quotes, `"`'
    elif found in "/#":
        hint = "JSON has no comments"
    elif word:
        hint = "JSON has `true`, `false` and `null`; everything else takes double quotes"
    what = show(word[0] if word else found)
    length = len(word[0]) if word else 1
    return BadLine(
        "CPT330", f"invalid JSON: expected {expected}, found `{what}`", line=line, at=at, length=length, hint=hint
    )


def _only_text(line: str, start: int, fields: dict[str, _Field]) -> str:
    """Return the text of well-formed fields, if `text` is the only one and holds a document."""
    field = fields.get("text")
    others = [name for name in fields if name != "text"]
    if field is None:
        found = f"; found {show_all(others)}" if others else ""
        hint = field_hint(others) if others else None
        raise BadLine("CPT341", f"the object has no field `text`{found}", line=line, at=start, hint=hint)
    if others:
        extra = fields[others[0]]
        message = f"unknown field {show_all(others)}; a line has exactly one, `text`"
        raise BadLine(
            "CPT342", message, line=line, at=extra.start, length=extra.end - extra.start, hint=field_hint(others)
        )
    value = field.value
    if value.text is None:
        message = f"`text` is {value.kind}, not a string"
        raise BadLine("CPT344", message, line=line, at=value.start, length=value.end - value.start)
    _require_document(line, value, value.text)
    return value.text


def _require_document(line: str, value: _Value, text: str) -> None:
    for escape in _ESCAPE.finditer(line, value.start, value.end):
        if escape["lone"]:
            message = f"`{escape[0]}` is half of a surrogate pair and stands for no character"
            hint = "the text was cut inside a character, or decoded wrongly, before it was written"
            raise BadLine("CPT346", message, line=line, at=escape.start(), length=6, hint=hint)
    if not VISIBLE.search(text):
        message = "`text` is blank: nothing in it can be seen" if text else "`text` is empty"
        hint = "remove the line, or give it a document"
        raise BadLine("CPT345", message, line=line, at=value.start, length=value.end - value.start, hint=hint)
