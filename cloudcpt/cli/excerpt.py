"""The lines of a file that a finding points at, cut to the screen, with carets below.

Columns count characters; carets must stand below what the characters take on screen. So each character is mapped to
what is shown for it (a tab is four spaces, a control character a visible sign) and the shown text is measured in
terminal cells. A line is data of a stranger: nothing in it may move the cursor, change colours or reorder text.

A styled line is a list of (text, role) pairs; `cloudcpt.cli.render` gives the roles their colours.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloudcpt.errors import Place

StyledLine = list[tuple[str, str]]

GUTTER = 8
"""Cells left of the source text: five digits, a space, the bar, a space."""

NARROWEST = 20
"""Cells of source text that are shown even where the terminal has fewer."""

WHOLE_FILE_BYTES = 1 << 20
"""A file up to this size is read whole; of a larger one only the surroundings of a known byte offset."""

AROUND_BYTES = 1024
"""How much of a large file is read on either side of the byte offset."""

_TAB = "    "
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_LINE_END = re.compile(r"\r\n|\n|\r")


def printable(text: str) -> str:
    """Replace what would act on a terminal by a visible sign; everything else stays as it is."""
    return _UNSAFE.sub(lambda match: _sign(match[0]), text)


def _sign(char: str) -> str:
    if char == "\t":
        return _TAB
    code = ord(char)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What to underline: characters of one line, with what sign and role, and a label after it."""

    line: int
    column: int | None
    length: int
    sign: str
    role: str
    label: str = ""


def lines_of(place: Place, sources: Mapping[str, str]) -> tuple[dict[int, str], int]:
    """Find the text around a place: given, small enough to read whole, or read around the byte offset.

    Returns:
        Lines by their 1-based number, empty when there is nothing to show, and what to add to the columns of the place
        because its line was not read from the start.
    """
    text = sources.get(place.path)
    try:
        path = Path(place.path)
        if text is None and path.is_file():
            if place.byte is not None and place.line is not None:
                return _line_around(path, place.line, place.byte, place.column or 1)
            if path.stat().st_size <= WHOLE_FILE_BYTES:
                text = path.read_text("utf-8", errors="replace")
    except (OSError, ValueError):  # the excerpt is a courtesy: the finding itself is shown without it
        return {}, 0
    if text is None:
        return {}, 0
    # A finding may point at a secret, which must not reach a screen or a log even so.
    from cloudcpt.recipe.credentials import redact

    return {number: redact(line) for number, line in enumerate(_LINE_END.split(text), start=1)}, 0


def _line_around(path: Path, line: int, byte: int, column: int) -> tuple[dict[int, str], int]:
    start = max(0, byte - AROUND_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        chunk = file.read(2 * AROUND_BYTES)
    left = chunk[: byte - start].rpartition(b"\n")[2].decode("utf-8", errors="replace")
    right = chunk[byte - start :].partition(b"\n")[0].decode("utf-8", errors="replace").rstrip("\r")
    return {line: left + right}, len(left) + 1 - column


def excerpt(lines: Mapping[int, str], marks: Iterable[Mark], width: int) -> list[StyledLine]:
    """Lay out the marked lines of one file, and the line that opens the block around the first mark.

    Args:
        lines: Text by 1-based line number.
        marks: What to underline; the first is the finding itself.
        width: Cells in all; longer lines are cut around their first mark.
    """
    by_line: dict[int, list[Mark]] = {}
    for mark in marks:
        if mark.line in lines:
            by_line.setdefault(mark.line, []).append(mark)
    if not by_line:
        return []
    opener = _opener(lines, next(iter(by_line)))
    shown: list[StyledLine] = []
    previous = None
    for number in sorted({*by_line, *([opener] if opener else [])}):
        if previous is not None and number > previous + 1:
            shown.append([("     ...", "gutter")])
        shown += _line(number, lines[number], by_line.get(number, []), max(width - GUTTER, NARROWEST))
        previous = number
    return shown


def _opener(lines: Mapping[int, str], line: int) -> int | None:
    """Find the nearest line above that is less indented: in YAML, the key that holds this one."""
    indent = _indent(lines[line])
    for number in range(line - 1, 0, -1):
        text = lines.get(number, "")
        if text.strip() and not text.lstrip().startswith("#") and _indent(text) < indent:
            return number
    return None


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _line(number: int, text: str, marks: list[Mark], room: int) -> list[StyledLine]:
    focus = min((mark.column for mark in marks if mark.column is not None), default=1) - 1
    low, high = _window(text, min(focus, len(text)), room)
    cut = "…" if low else ""
    body = cut + printable(text[low:high]) + ("…" if high < len(text) else "")
    shown: list[StyledLine] = [[(f"{number:>5} | ", "gutter"), (body.rstrip(), "source")]]
    for mark in marks:
        if mark.column is not None:
            shown.append(_underline(text, mark, low, high, cut))
    return shown


def _underline(text: str, mark: Mark, low: int, high: int, cut: str) -> StyledLine:
    from rich.cells import cell_len

    assert mark.column is not None, "only a mark with a column has something to underline"
    start = min(max(mark.column - 1, low), high)
    stop = min(start + mark.length, high)
    blank = " " * cell_len(cut + printable(text[low:start]))
    line: StyledLine = [
        ("      | ", "gutter"),
        (blank, "source"),
        (mark.sign * max(1, cell_len(printable(text[start:stop]))), mark.role),
    ]
    return [*line, (f" {mark.label}", mark.role)] if mark.label else line


def _window(text: str, focus: int, room: int) -> tuple[int, int]:
    """Choose the characters to show so that they fit and `focus` is among them, with a third of the room before it."""
    from rich.cells import cell_len

    def cells(index: int) -> int:
        return cell_len(printable(text[index]))

    if len(text) <= room and cell_len(printable(text)) <= room:
        return 0, len(text)
    budget = room - 2  # an ellipsis on either side
    low, used = focus, 0
    while low > 0 and used + cells(low - 1) <= budget // 3:
        low -= 1
        used += cells(low)
    high = focus
    while high < len(text) and used + cells(high) <= budget:
        used += cells(high)
        high += 1
    while low > 0 and used + cells(low - 1) <= budget:  # near the end of the line there is room on the left
        low -= 1
        used += cells(low)
    return low, high
