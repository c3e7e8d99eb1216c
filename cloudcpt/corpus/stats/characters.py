"""What the characters of a text are: script, letter or blank, by one look into a table of Unicode.

Legend: `C` characters of the text.

`scripts.txt` holds the Script property of every code point as runs: a code point and what begins there. Code points
that stood for nothing when it was made belong to the run before them.
Source: Unicode 18.0, Scripts.txt, as `regex` 2026.11.15 has it; UAX #24.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NO_SCRIPT: Final = ("Unknown", "Common", "Inherited")
"""What no script owns: private use; digits, punctuation, signs; marks that take the script of what they stand on."""

_BLANK: Final = 255

WITHOUT_SPACES: Final = frozenset(
    {"Bopomofo", "Han", "Hiragana", "Katakana", "Khmer", "Lao", "Myanmar", "Thai", "Tibetan", "Yi"}
)
"""Scripts in living use that write words without spaces between them, so rules about words say nothing of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Characters:
    """A text, character by character.

    Args:
        codes: Code points, [C] uint32.
        scripts: Characters of each script that is there; those of no script are left out.
        words: Runs of characters that are not blank.
        words_with_letter: Those among them that hold a character of a script.
        blank: Blank characters.
    """

    codes: "NDArray[np.uint32]"
    scripts: dict[str, int]
    words: int
    words_with_letter: int
    blank: int

    @property
    def script(self) -> str:
        """Name the script of most characters, the first by name of two that tie; empty when there is none."""
        return min(self.scripts, key=lambda name: (-self.scripts[name], name), default="")

    @property
    def has_words(self) -> bool:
        """Whether words stand between spaces here."""
        return self.script != "" and self.script not in WITHOUT_SPACES


def characters_of(text: str) -> Characters:
    """Look at every character of a text that is not empty."""
    import numpy as np

    names, classes_of = _table()
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    classes = classes_of[codes]  # [C] uint8
    counts = np.bincount(classes, minlength=_BLANK + 1)
    is_blank = classes == _BLANK
    is_start = ~is_blank
    is_start[1:] &= is_blank[:-1]
    starts = np.flatnonzero(is_start)
    has_letter = np.logical_or.reduceat((classes >= len(_NO_SCRIPT)) & ~is_blank, starts) if len(starts) else starts
    return Characters(
        codes=codes,
        scripts={names[at]: int(counts[at]) for at in np.flatnonzero(counts[: len(names)]) if at >= len(_NO_SCRIPT)},
        words=len(starts),
        words_with_letter=int(np.count_nonzero(has_letter)),
        blank=int(counts[_BLANK]),
    )


@cache
def _table() -> "tuple[tuple[str, ...], NDArray[np.uint8]]":
    """Read the names of the scripts, and the class of every code point: an index of a name, or blank."""
    import numpy as np

    lines = files("cloudcpt.corpus.stats").joinpath("scripts.txt").read_text("utf-8").splitlines()
    runs = [(int(start, 16), name) for start, _, name in (line.partition(" ") for line in lines)]
    names = (*_NO_SCRIPT, *sorted({name for _, name in runs} - set(_NO_SCRIPT)))
    assert len(names) < _BLANK, f"a class is one byte, and there are {len(names)} scripts"
    classes = np.zeros(0x110000, np.uint8)
    for (start, name), (end, _) in zip(runs, [*runs[1:], (0x110000, "")], strict=True):
        classes[start:end] = names.index(name)
    classes[[code for code in range(0x3001) if chr(code).isspace()]] = _BLANK
    return names, classes
