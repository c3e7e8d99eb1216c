"""What the lines of a document look like, as shares: bullets, ellipses, unfinished, short, repeated ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SHORT_LINE: Final = 30
"""Characters; lines below it are menus, table cells and verse. Source: FineWeb (arXiv:2406.17557), section 3.6."""

FEWEST_LINES: Final = 5
"""With fewer, a share of lines says nothing."""

LONG_LINE: Final = 20
"""Characters from which a line may be compared over documents; `</div>` and `Chapter 1` are everywhere."""

_BULLETS: Final = ("•", "●", "○", "■", "▪", "‣", "-", "*", "·", "–")
_ELLIPSES: Final = ("...", "…")
_ENDINGS: Final = tuple(".!?\"'”’。！？…」』）)؟۔।॥:;：；、»")
"""What a finished line ends with, in the scripts that have such signs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Of the lines that are not blank.

    Args:
        count: How many there are.
        bullets: Share that begins with a bullet.
        ellipses: Share that ends with an ellipsis.
        finished: Share that ends with punctuation.
        short: Share below `SHORT_LINE` characters.
        repeated: Share of the characters that is in lines that came before in the document.
    """

    count: int
    bullets: float
    ellipses: float
    finished: float
    short: float
    repeated: float


def lines_of(text: str) -> Lines:
    """Look at the lines of a text that is not blank."""
    lines = list(_stripped(text))
    count = len(lines)
    characters = sum(map(len, lines))
    return Lines(
        count=count,
        bullets=sum(line.startswith(_BULLETS) for line in lines) / count,
        ellipses=sum(line.endswith(_ELLIPSES) for line in lines) / count,
        finished=sum(line.endswith(_ENDINGS) for line in lines) / count,
        short=sum(len(line) < SHORT_LINE for line in lines) / count,
        repeated=(characters - sum(map(len, set(lines)))) / characters,
    )


def long_lines(text: str) -> Iterator[str]:
    """Give the lines of a text that are long enough to be compared with those of other documents."""
    return (line for line in _stripped(text) if len(line) >= LONG_LINE)


def _stripped(text: str) -> Iterator[str]:
    return filter(None, map(str.strip, text.split("\n")))
