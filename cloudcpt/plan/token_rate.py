"""How many tokens a character of a dataset makes: measured on the excerpts of its documents, or a rule of thumb.

A dataset's report holds excerpts of 500 documents, drawn fairly. Encoding them takes a fraction of a second and says
how many tokens their characters make. Each excerpt stands for its whole document, so it counts as much as that is long:
long documents are often of another kind than short ones. How much that differs from one to the next says how far off
the sum may be.

Source: ratio estimate and its standard error, Cochran, "Sampling Techniques", 3rd edition, section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from cloudcpt.dataset.check import DatasetReport

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer

GUESS_ERROR: Final = 0.3
"""How far a guess without a tokenizer may be off, either way. Assumed; it depends on tokenizer and language."""

_CHARACTERS_PER_TOKEN: Final = 4.0
"""Of text in Latin script, with vocabularies of 50,000 to 150,000 tokens. Rule of thumb."""

_DENSE_CHARACTERS_PER_TOKEN: Final = 1.6
"""Of Chinese, Japanese or Korean. Rule of thumb."""

_DENSE_BYTES_PER_CHARACTER: Final = 3.0
"""A text with as many UTF-8 bytes per character, or more, as JSON escapes are, is all in a dense script; of one with
fewer, a part is. Cyrillic and Greek, with 2, come out between, as they should."""

_LINE_BYTES: Final = len('{"text": ""}\n')
"""Of a line, around the text."""

_FEWEST_EXCERPTS: Final = 30
"""With fewer, nothing can be said about the error of what they say."""

_WITHIN: Final = 1.96
"""Standard errors to either side that hold 95 of 100 truths."""

_LEAST_ERROR: Final = 0.005
"""Excerpts are cut out of documents, which costs up to two tokens each, of 500."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenRate:
    """Tokens of text.

    Args:
        tokens_per_character: What stands before and after each document not counted.
        per_document: What does: the boundary, and what the tokenizer writes in front.
        error: How far that may be off, either way, as a share of it: half the 95 % interval, or a guess.
        sampled: Excerpts that were encoded; 0 for a rule of thumb.
    """

    tokens_per_character: float
    per_document: int
    error: float
    sampled: int


def rate_of(report: DatasetReport, tokenizer: "DocumentTokenizer | None") -> TokenRate:
    """Find how many tokens a character of a dataset makes.

    Args:
        report: Of the dataset.
        tokenizer: The base model's; None when it is not here.
    """
    if tokenizer is None or len(report.sample) < min(report.documents, _FEWEST_EXCERPTS):
        guessed = 1 / characters_per_token(report)
        return TokenRate(tokens_per_character=guessed, per_document=1, error=GUESS_ERROR, sampled=0)
    around = tokenizer.extra_tokens
    encoded = zip(tokenizer.encode(report.sample), report.sample, report.sample_lengths, strict=True)
    tokens = [(len(ids) - around) / len(text) * whole for ids, text, whole in encoded]
    rate, error = _ratio(tokens, report.sample_lengths)
    return TokenRate(tokens_per_character=rate, per_document=around, error=error, sampled=len(tokens))


def characters_per_token(report: DatasetReport) -> float:
    """Guess how many characters of a dataset make a token, from how many bytes make a character."""
    text_bytes = report.size_bytes - _LINE_BYTES * report.documents
    beyond_one = text_bytes / max(1, report.characters) - 1
    dense = min(max(beyond_one / (_DENSE_BYTES_PER_CHARACTER - 1), 0.0), 1.0)
    return 1 / ((1 - dense) / _CHARACTERS_PER_TOKEN + dense / _DENSE_CHARACTERS_PER_TOKEN)


def _ratio(tokens: Sequence[float], characters: Sequence[int]) -> tuple[float, float]:
    """Divide tokens by characters; tell the error too, as a share."""
    count, rate = len(tokens), sum(tokens) / sum(characters)
    if count < _FEWEST_EXCERPTS:
        return rate, GUESS_ERROR
    squares = sum((found - rate * length) ** 2 for found, length in zip(tokens, characters, strict=True))
    standard_error = sqrt(squares * count / (count - 1)) / sum(tokens)
    return rate, min(max(_WITHIN * standard_error, _LEAST_ERROR), GUESS_ERROR)
