"""How findings read: a header with code and place, the source with carets, related places, a hint, and a tally.

    error[CPT204] `min_lr` `1e-4` is not below `lr` `1e-5`          recipes/demo.yaml:33:17
       27 |       lr: 1e-5
          |           ---- `lr` is set here
          ...
       33 |         min_lr: 1e-4
          |                 ^^^^
       hint: set `min_lr` below `1e-5`

Everything here is text with roles; nothing is printed and no colour is known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cloudcpt.cli.excerpt import Mark, StyledLine, excerpt, lines_of, printable
from cloudcpt.cli.quantities import duration, plural
from cloudcpt.errors import Diagnostic, Place, Severity

WIDEST = 110
"""Cells beyond which a wide terminal does not pull place and message apart."""


def diagnostic_lines(diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], width: int) -> Iterator[StyledLine]:
    """Lay out findings, with a blank line after each that takes several lines, and what was left out per code.

    Args:
        diagnostics: In the order in which to show them.
        sources: Text of the files they point into, by path; others are read from disk.
        width: Cells to use.
    """
    width = min(width, WIDEST)
    left_out = _left_out(diagnostics)
    for index, found in enumerate(diagnostics):
        lines = [*_header(found, width), *_excerpts(found, sources, width)]
        if found.hint:
            lines.append([("   hint: ", "hint"), (printable(found.hint), "")])
        if more := left_out.get(index):
            lines.append([(f"   ... and {more:,} more {found.code}", "faint")])
        yield from lines
        if len(lines) > 1 and index + 1 < len(diagnostics):
            yield []


def place_text(place: Place) -> str:
    """Write a place so that editors can jump to it, with the byte offset where it helps more than a column."""
    return printable(str(place)) + (f" (byte {place.byte:,})" if place.byte is not None else "")


def _header(found: Diagnostic, width: int) -> list[StyledLine]:
    from rich.cells import cell_len

    label = f"{found.severity}[{found.code}]"
    message = printable(found.message)
    line: StyledLine = [(label, str(found.severity)), (f" {message}", "message")]
    if found.place is None:
        return [line]
    place = place_text(found.place)
    blank = width - cell_len(f"{label} {message}") - cell_len(place)
    if blank >= 2:
        return [[*line, (" " * blank, ""), (place, "place")]]
    return [line, [("   --> ", "gutter"), (place, "place")]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Spot:
    """A place to show, and how to mark it."""

    place: Place
    sign: str
    role: str
    label: str = ""

    @property
    def page(self) -> tuple[str, int | None]:
        """Tell which spots are shown together: those of one file, but each line of data by itself."""
        return self.place.path, self.place.line if self.place.byte is not None else None


def _excerpts(found: Diagnostic, sources: Mapping[str, str], width: int) -> list[StyledLine]:
    spots = [_Spot(place=found.place, sign="^", role=str(found.severity))] if found.place else []
    main = spots[0].page if spots else None
    spots += [_Spot(place=item.place, sign="-", role="related", label=printable(item.label)) for item in found.related]
    lines: list[StyledLine] = []
    for page in dict.fromkeys(spot.page for spot in spots):
        here = [spot for spot in spots if spot.page == page]
        text, shift = lines_of(here[0].place, sources)
        shown = excerpt(text, [_mark(spot, shift) for spot in here], width)
        for spot in here:
            is_labelled = bool(shown) and spot.place.column is not None  # the underline carries the label
            if spot.label and not (page == main and is_labelled):
                label = "" if is_labelled else f" {spot.label}"
                lines.append([("   --> ", "gutter"), (place_text(spot.place), "place"), (label, "related")])
        lines += shown
    return lines


def _mark(spot: _Spot, shift: int) -> Mark:
    place = spot.place
    column = place.column + shift if place.column is not None else None
    return Mark(
        line=place.line or 0, column=column, length=place.length, sign=spot.sign, role=spot.role, label=spot.label
    )


def _left_out(diagnostics: Sequence[Diagnostic]) -> dict[int, int]:
    """Count, at the last finding of each kind, how many more there are than are shown."""
    last = {_kind(found): index for index, found in enumerate(diagnostics)}
    return {last[kind]: total - shown for kind, (shown, total) in _counts(diagnostics).items() if total > shown}


def _kind(found: Diagnostic) -> tuple[str, Severity]:
    return found.code, found.severity


def _counts(diagnostics: Sequence[Diagnostic]) -> dict[tuple[str, Severity], tuple[int, int]]:
    """Count findings by kind: those in the list, and all of them."""
    counts: dict[tuple[str, Severity], tuple[int, int]] = {}
    for found in diagnostics:
        shown, total = counts.get(_kind(found), (0, 0))
        counts[_kind(found)] = shown + 1, max(total, found.count, shown + 1)
    return counts


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """How many findings there are of each severity, and the code to read about first."""

    errors: int = 0
    warnings: int = 0
    notes: int = 0
    first_code: str = ""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            errors=self.errors + other.errors,
            warnings=self.warnings + other.warnings,
            notes=self.notes + other.notes,
            first_code=other.first_code if other.errors and not self.errors else self.first_code or other.first_code,
        )


def tally(diagnostics: Sequence[Diagnostic]) -> Tally:
    """Count findings, those left out of the list included."""
    numbers = dict.fromkeys(Severity, 0)
    for (_, severity), (_, total) in _counts(diagnostics).items():
        numbers[severity] += total
    worst = min(diagnostics, key=lambda found: list(Severity).index(found.severity), default=None)
    return Tally(
        errors=numbers[Severity.ERROR],
        warnings=numbers[Severity.WARNING],
        notes=numbers[Severity.NOTE],
        first_code=worst.code if worst else "",
    )


def tally_line(found: Tally, seconds: float) -> StyledLine:
    """Write the last line of a check."""
    parts = [
        (plural(number, name), name)
        for number, name in ((found.errors, "error"), (found.warnings, "warning"), (found.notes, "note"))
        if number
    ]
    if not parts:
        return [("Found no problems", "good"), (f" in {duration(seconds)}", "")]
    line: StyledLine = [("Found ", "")]
    for index, part in enumerate(parts):
        line += [(", ", ""), part] if index else [part]
    return [*line, (f" in {duration(seconds)}; explain: ", ""), (f"cloudcpt explain {found.first_code}", "title")]


def as_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    """Turn findings into plain JSON objects with the fields of `Diagnostic`."""
    return [asdict(found) for found in diagnostics]
