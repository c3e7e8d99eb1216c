"""How many tokens a tokenizer makes of each language: what a text costs, and how much of it a model sees at once.

A tokenizer that hardly knows a language spells it out in bytes. Training and use then cost several times as much per
sentence, the window holds as much less, and the model has seen as little of the language as its tokenizer.

Sources: Rust et al. 2021 (ACL, "How Good is Your Tokenizer?"), who call tokens per word fertility; Petrov et al. 2023
(arXiv:2305.15425), up to 15 times as many tokens for the same text; Cui et al. 2023 (arXiv:2304.08177), 3 to 4 tokens
for a Chinese character with the tokenizer of LLaMA. The limits are ours: vocabularies that know a language stay below
them, English takes 0.25 tokens per character, Chinese about 0.7.
"""

from dataclasses import dataclass
from typing import Final

from cloudcpt.corpus.stats.tally import Tally, Volume

LIMIT: Final = 0.5
"""Tokens per character of a script with spaces between words: two characters a token."""

DENSE_LIMIT: Final = 1.2
"""Tokens per character where words stand without spaces, and a character is a syllable or a word."""

_LONGEST_WORD: Final = 30
"""Characters; a language with fewer words than that has documents without spaces, and a few that quote others."""

FEWEST_CHARACTERS: Final = 10_000
"""With less text the number is that of a few documents."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fertility:
    """Tokens of one language.

    Args:
        language: ISO 639, or `und`.
        documents: How many there are.
        characters: Of these documents.
        tokens: Of their text.
        tokens_per_character: What a character costs.
        tokens_per_word: What a word costs; None where words stand without spaces.
        limit: Tokens per character above which the tokenizer does not know the language.
    """

    language: str
    documents: int
    characters: int
    tokens: int
    tokens_per_character: float
    tokens_per_word: float | None
    limit: float

    @property
    def is_notable(self) -> bool:
        """Whether another tokenizer, and so another base model, would be better."""
        return self.tokens_per_character > self.limit and self.characters >= FEWEST_CHARACTERS


def fertility_of(tally: Tally) -> tuple[Fertility, ...]:
    """Compare the languages of a corpus, the one with most text first; nothing without a count of tokens."""
    ordered = sorted(tally.languages.items(), key=lambda item: (-item[1].characters, item[0]))
    return tuple(_fertility(language, volume) for language, volume in ordered if volume.tokens)


def _fertility(language: str, volume: Volume) -> Fertility:
    has_words = volume.words * _LONGEST_WORD > volume.characters
    return Fertility(
        language=language,
        documents=volume.documents,
        characters=volume.characters,
        tokens=volume.tokens,
        tokens_per_character=volume.tokens / volume.characters,
        tokens_per_word=volume.tokens / volume.words if has_words else None,
        limit=LIMIT if has_words else DENSE_LIMIT,
    )
