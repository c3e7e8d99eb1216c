"""Which language a document is in, by the langid model that comes with py3langid.

140 languages and `zxx` for what is none. One excerpt from the middle of a document is looked at: the beginning is where
menus and licences are. What the model is not sure of, and what has hardly a letter, is `und`.
Measured (`tests/corpus/test_stats_language.py` has the samples): docs/data.md.

Source: Lui and Baldwin 2012 (ACL, langid.py); py3langid 0.4, whose model is its own. Codes are ISO 639.
"""

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

EXCERPT_BYTES: Final = 400
"""In UTF-8. More cost more time, most of which goes here, and change nothing on the samples."""

FEWEST_LETTERS: Final = 20
"""With fewer in the excerpt nobody could tell."""

SURE: Final = 0.7
"""Lowest probability; program code in English words stays below it, and prose of 100 characters above."""

UNKNOWN: Final = "und"
"""ISO 639-2 for a language that is not determined."""


def language_of(text: str) -> str:
    """Name the language of a document."""
    excerpt = _middle(text, EXCERPT_BYTES)
    excerpt = _middle(excerpt, EXCERPT_BYTES * len(excerpt) // len(excerpt.encode()))
    if sum(map(str.isalpha, excerpt)) < FEWEST_LETTERS:
        return UNKNOWN
    language, probability = _identifier().classify(excerpt)
    return str(language) if probability >= SURE else UNKNOWN


def _middle(text: str, length: int) -> str:
    start = max(0, (len(text) - length) // 2)
    return text[start : start + length]


def known_languages() -> frozenset[str]:
    """Give all codes that `language_of` can return."""
    return frozenset({*_identifier().labels, UNKNOWN})


@cache
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
