"""The normal form of a text: its words in order, without case, punctuation, white space or ways of encoding.

A word is a run of letters, marks and digits after NFKC and case folding; everything else separates. Scripts that put
no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese, Tibetan) have no such runs: there, each character
is a word. So `Ｈello, world` and `hello WORLD!` are equal, and so are `你好，世界` and `你好 世界`.

`words_of` is the rule. `word_hashes` gives one number per word by the same rule, without making a Python object of any:

    text --UTF-16--> codes --table--> folded codes, 0 = separator --sum of h(code) * B^position--> one hash per word

A sum over a run, divided by B to the power of where the run begins, does not depend on where that is; B is odd, so it
has an inverse modulo 2^64. Whatever the table cannot say of one code unit (ligatures, marks that combine with what
stands before, characters beyond 16 bits) takes the long way through `unicodedata`, for that text only.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_WORD: Final = 4096
"""Characters after which a run without a separator, such as base64, is cut into a further word."""

_ALONE: Final = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
)
"""Scripts without spaces, in 16 bits; what of them lies beyond (rare Han) is read as words like Latin."""

_CODES: Final = 1 << 16
_PIECE: Final = 1 << 16
_BASE: Final = 0x9E3779B97F4A7C15
_IS_LONG: Final = 1
_IS_JOINING: Final = 2
_IS_ASTRAL: Final = 4


def words_of(text: str) -> list[str]:
    """Give the words of a text, as a person would read them; slow, for showing and for comparison."""
    return _words().findall("".join(map(_fold, unicodedata.normalize("NFKC", text))))


def word_hashes(text: str) -> "NDArray[np.uint64]":
    """Hash each word of a text: equal words have equal numbers, different ones different numbers, as good as always.

    Returns:
        [W] uint64, one for each of `words_of`. Memory: about 20 bytes per character on the way.
    """
    import numpy as np

    tables = _tables()
    codes = _folded(text, tables)
    starts = _word_starts(codes, tables)
    hashes = np.empty(len(starts), np.uint64)
    for low, high in _pieces(starts):
        at = starts[low:high] - starts[low]
        piece = codes[starts[low] : starts[high - 1] + LONGEST_WORD]
        if high < len(starts):
            piece = piece[: starts[high] - starts[low]]
        sums = np.add.reduceat(tables.values[piece] * tables.powers[: len(piece)], at)
        hashes[low:high] = sums * tables.inverses[at]
    return mixed(hashes)


def mixed(hashes: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    """Spread every bit of a number over all bits, one to one.

    Source: the finaliser of SplitMix64, Steele et al. 2014.
    """
    import numpy as np

    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


@dataclass(frozen=True, kw_only=True)
class _Tables:
    """What is known of each of the 65,536 code units of UTF-16.

    Args:
        ascii: The folded character of each byte below 128; 0 for a separator.
        fold: The same for every code unit.
        kind: Bits of what a table cannot fold by itself.
        alone: Whether a folded character is a word by itself.
        values: A random number for each folded character; 0 for a separator.
        powers: B^n modulo 2^64.
        inverses: B^-n.
        joining: Characters beyond 16 bits that may combine with what stands before.
    """

    ascii: bytes
    fold: "NDArray[np.uint16]"
    kind: "NDArray[np.uint8]"
    alone: "NDArray[np.bool_]"
    values: "NDArray[np.uint64]"
    powers: "NDArray[np.uint64]"
    inverses: "NDArray[np.uint64]"
    joining: frozenset[str]


@cache
def _tables() -> _Tables:
    import numpy as np

    fold, kind = np.zeros(_CODES, np.uint16), np.zeros(_CODES, np.uint8)
    joining = _joining()
    for code in range(_CODES):
        if 0xD800 <= code <= 0xDFFF:  # half of a character whose folding has been done
            fold[code], kind[code] = code, _IS_ASTRAL
            continue
        folded = _fold_whole(chr(code))
        if not folded.strip(" "):
            continue
        is_long = len(folded) > 1 or folded > "\uffff"
        fold[code] = 0 if is_long else ord(folded)
        kind[code] = _IS_LONG * is_long
    kind[[ord(char) for char in joining if char < "\U00010000"]] |= _IS_JOINING
    values = mixed(np.arange(_CODES, dtype=np.uint64) * np.uint64(_BASE))
    exponents = np.ones(_PIECE, np.uint64)
    powers, inverses = exponents.copy(), exponents
    powers[1:], inverses[1:] = _BASE, pow(_BASE, -1, 1 << 64)
    return _Tables(
        ascii=bytes(fold[:128].tolist()) + bytes(128),
        fold=fold,
        kind=kind,
        alone=_alone(),
        values=values,
        powers=np.cumprod(powers),
        inverses=np.cumprod(inverses),
        joining=frozenset(char for char in joining if char >= "\U00010000"),
    )


def _alone() -> "NDArray[np.bool_]":
    import numpy as np

    alone = np.zeros(_CODES, np.bool_)
    for first, last in _ALONE:
        alone[first : last + 1] = True
    return alone


def _joining() -> set[str]:
    """List the characters that may change, or change places, because of what stands before them."""
    # The vowels and final consonants of Hangul, which are composed by arithmetic, not by a table.
    second = {chr(code) for first, last in ((0x1161, 0x1175), (0x11A8, 0x11C2)) for code in range(first, last + 1)}
    for code in range(0x20000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            second.add(chr(int(parts[1], 16)))
    return {
        chr(code)
        for code in range(0x20000)
        if not 0xD800 <= code <= 0xDFFF
        and any(part in second or unicodedata.combining(part) for part in unicodedata.normalize("NFKC", chr(code)))
    }


@cache
def _fold(char: str) -> str:
    """Fold one character of a text that is in NFKC; a space stands for whatever separates words."""
    folded = unicodedata.normalize("NFKC", char.casefold())
    return "".join(part if unicodedata.category(part)[0] in "LMN" else " " for part in folded)


def _fold_whole(char: str) -> str:
    return "".join(map(_fold, unicodedata.normalize("NFKC", char)))


@cache
def _words() -> re.Pattern[str]:
    alone = "".join(f"{chr(first)}-{chr(last)}" for first, last in _ALONE)
    return re.compile(f"[{alone}]|[^ {alone}]{{1,{LONGEST_WORD}}}")


def _folded(text: str, tables: _Tables) -> "NDArray[np.uint16 | np.uint8]":
    """Fold a text, as UTF-16, or as ASCII if it is that; 0 is a separator."""
    import numpy as np

    if text.isascii():
        return np.frombuffer(text.encode().translate(tables.ascii), np.uint8)
    codes = _utf16(text)
    present = np.bitwise_or.reduce(tables.kind[codes])
    may_join = present & _IS_JOINING or not tables.joining.isdisjoint(_astral(codes))
    if may_join and not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
        codes = _utf16(text)
        present = np.bitwise_or.reduce(tables.kind[codes])
    if present & (_IS_LONG | _IS_ASTRAL):
        long = np.unique(codes[tables.kind[codes] & _IS_LONG != 0])
        for char in (*map(chr, long), *_astral(codes)):
            text = text.replace(char, _fold_whole(char))
        codes = _utf16(text)
    return tables.fold[codes]


def _astral(codes: "NDArray[np.uint16]") -> list[str]:
    """List the different characters beyond 16 bits."""
    import numpy as np

    high = np.flatnonzero((codes >= 0xD800) & (codes < 0xDC00))
    pairs = (codes[high].astype(np.int64) - 0xD800 << 10) + codes[high + 1] - 0xDC00 + 0x10000
    return [chr(code) for code in np.unique(pairs)]


def _utf16(text: str) -> "NDArray[np.uint16]":
    import numpy as np

    return np.frombuffer(text.encode("utf-16-le"), np.uint16)


def _word_starts(codes: "NDArray[np.uint16 | np.uint8]", tables: _Tables) -> "NDArray[np.int64]":
    """Find where each word begins."""
    import numpy as np

    is_letter = codes != 0
    is_start = is_letter.copy()
    if codes.dtype == np.uint8:
        is_start[1:] &= ~is_letter[:-1]
    else:
        is_alone = tables.alone[codes]
        is_start[1:] &= ~is_letter[:-1] | is_alone[1:] | is_alone[:-1]
    starts = np.flatnonzero(is_start)
    far = np.flatnonzero(np.diff(starts, append=len(codes)) > LONGEST_WORD)
    return starts if not len(far) else _with_cuts(codes, starts, far)


def _with_cuts(
    codes: "NDArray[np.uint16 | np.uint8]", starts: "NDArray[np.int64]", far: "NDArray[np.int64]"
) -> "NDArray[np.int64]":
    """Add a start wherever a word has reached its greatest length."""
    import numpy as np

    cuts = [starts]
    for index in far:
        until = starts[index + 1] if index + 1 < len(starts) else len(codes)
        is_separator = codes[starts[index] : until] == 0
        length = int(is_separator.argmax()) if is_separator.any() else len(is_separator)
        cuts.append(np.arange(starts[index] + LONGEST_WORD, starts[index] + length, LONGEST_WORD))
    return np.sort(np.concatenate(cuts))


def _pieces(starts: "NDArray[np.int64]") -> Iterator[tuple[int, int]]:
    """Group words so that each group lies within as many characters as there are powers, and arrays stay small."""
    import numpy as np

    low = 0
    while low < len(starts):
        high = int(np.searchsorted(starts, starts[low] + _PIECE - LONGEST_WORD, side="right"))
        yield low, high
        low = high
