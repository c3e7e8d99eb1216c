"""How far the domain data is from the general data: compared by how often words occur, with no model and no tokenizer.

    excerpts of documents --> words --> two halves of each side --> frequencies --> divergences --> one number

Two samples of one text never have quite the same frequencies, the less text the less so. So what lies between the sides
is set against what lies between the halves of each side, documents taken in turn:

    shift = (across - within) / (1 - within)

`across` is the mean of the four divergences between a half of the domain and a half of the general text, `within` that
of the two between halves of one side. 0: the sides differ no more than each does from itself; 1: they share no word.

Words and not tokens, because languages share the pieces of a small vocabulary: no one threshold would fit two
tokenizers, and the same recipe would be another plan where none is installed. Figures are in docs/numerics.md.

Source: Lin, "Divergence measures based on the Shannon entropy", 1991 (Jensen-Shannon, in bits, 0 to 1).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import log2
from typing import Final

STRONG_SHIFT: Final = 0.5
"""English of another subject, and code, measure 0.13 to 0.46 against English text; other languages 0.74 to 0.98, and
their manual pages, which are partly English, 0.54 to 0.82. Measured 2026-11-21, bench/shift.py, docs/numerics.md."""

_FEWEST_WORDS: Final = 500
"""In a half; less text says nothing."""

_UNSPACED: Final = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Characters of Chinese and Japanese, which are written without spaces."""

_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+")
"""One such character, or a run of other letters."""

Frequencies = Mapping[str, float]
Halves = tuple[list[str], list[str]]
"""Words of every other document, and of those between."""


def measure_shift(domain: Sequence[str], general: Sequence[tuple[Fraction, Sequence[str]]]) -> float | None:
    """Measure how far the domain is from a mix of general sources.

    Args:
        domain: Excerpts of the domain data.
        general: Share and excerpts of each general source; one with too little text is left out.

    Returns:
        The shift: about 0 for text of one kind, at most 1; None where there is too little text to tell.
    """
    ours = _halves(domain)
    found = [(share, halves) for share, excerpts in general if (halves := _halves(excerpts))]
    if ours is None or not found:
        return None
    whole = sum(share for share, _ in found)
    theirs = [(share / whole, halves) for share, halves in found]
    # As many words in every half: rare words would make unequal samples of one text differ.
    words = min(len(half) for half in ours)
    words = min(words, *(int(len(half) / share) for share, halves in theirs for half in halves))
    if words < _FEWEST_WORDS:
        return None
    one = [_frequencies(half[:words]) for half in ours]
    two = [
        _frequencies([word for share, halves in theirs for word in halves[side][: round(words * share)]])
        for side in (0, 1)
    ]
    across = sum(_divergence(a, b) for a in one for b in two) / 4
    within = (_divergence(*one) + _divergence(*two)) / 2
    return (across - within) / (1 - within) if within < 1 else None


def _halves(excerpts: Sequence[str]) -> Halves | None:
    """Cut excerpts into words; None where one half has too few."""
    first, second = ([word for text in excerpts[start::2] for word in _WORD.findall(text.lower())] for start in (0, 1))
    return None if min(len(first), len(second)) < _FEWEST_WORDS else (first, second)


def _frequencies(words: Sequence[str]) -> Frequencies:
    return {word: count / len(words) for word, count in Counter(words).items()}


def _divergence(one: Frequencies, two: Frequencies) -> float:
    """Return the Jensen-Shannon divergence in bits: 0 for equal frequencies, 1 for no word in common."""
    return (_surprise(one, two) + _surprise(two, one)) / 2


def _surprise(one: Frequencies, two: Frequencies) -> float:
    """Return the Kullback-Leibler divergence of one side from the mean of both, in bits."""
    return sum(frequency * log2(2 * frequency / (frequency + two.get(word, 0.0))) for word, frequency in one.items())
