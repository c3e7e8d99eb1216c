"""One document: everything that is measured of it, and which rules for good text it breaks."""

from dataclasses import dataclass
from typing import Final

from cloudcpt.corpus.stats.characters import Characters, characters_of
from cloudcpt.corpus.stats.language import language_of
from cloudcpt.corpus.stats.lines import FEWEST_LINES, Lines, lines_of
from cloudcpt.corpus.stats.personal import Span, find_personal
from cloudcpt.corpus.stats.phrases import phrase_lines
from cloudcpt.corpus.stats.remains import html, is_normal, links, mojibake, unseen
from cloudcpt.corpus.stats.repetition import MOST_CHARACTERS, repeated_characters

FEWEST_WORDS: Final = 50
"""A shorter document is a caption, a button or a title. Source: Rae et al. 2021 (Gopher), A.1.1."""

FEWEST_CHARACTERS: Final = 100
"""The same where words stand without spaces: 50 English words are 100 characters of Chinese."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What was measured.

    Args:
        language: ISO 639, or `und`.
        script: Of most characters; empty when it has none.
        scripts: Characters by script.
        words: Between blanks; 0 where words stand without spaces.
        bytes: In UTF-8.
        sizes: By name of a measure, what was found: characters, or pieces. Only what is there.
        broken: Names of the rules that the document breaks.
        personal: What looks personal or secret.
    """

    language: str
    script: str
    scripts: dict[str, int]
    words: int
    bytes: int
    sizes: dict[str, int]
    broken: tuple[str, ...]
    personal: tuple[Span, ...]


def look_at(text: str) -> Document:
    """Measure one document, which is not blank."""
    seen = characters_of(text)
    lines = lines_of(text)
    repeated = repeated_characters(seen.codes)
    link_count, link_characters = links(text)
    phrases = phrase_lines(text)
    sizes = {
        "links": link_characters,
        "repeated_characters": repeated,
        "html": html(text),
        "mojibake": mojibake(text),
        "unseen": unseen(text),
        "not_normal": not is_normal(text),
        **phrases,
    }
    broken = [
        *(name for name, is_broken in _line_rules(lines).items() if is_broken),
        *(name for name, is_broken in _text_rules(text, seen).items() if is_broken),
        *(["mostly_links"] if link_characters > 0.1 * len(text) and link_count > 1 else []),
        *(["repetitive"] if repeated > 0.1 * min(len(text), MOST_CHARACTERS) else []),
    ]
    return Document(
        language=language_of(text),
        script=seen.script,
        scripts=seen.scripts,
        words=seen.words if seen.has_words else 0,
        bytes=len(text.encode()),
        sizes={name: size for name, size in sizes.items() if size},
        broken=tuple(broken),
        personal=find_personal(text),
    )


def _line_rules(lines: Lines) -> dict[str, bool]:
    if lines.count < FEWEST_LINES:
        return {}
    return {
        "bullets": lines.bullets > 0.9,
        "ellipses": lines.ellipses > 0.3,
        "unfinished_lines": lines.finished <= 0.12,
        "short_lines": lines.short >= 0.67,
        "repeated_lines": lines.repeated >= 0.1,
    }


def _text_rules(text: str, seen: Characters) -> dict[str, bool]:
    if not seen.has_words:
        return {"short": len(text) < FEWEST_CHARACTERS, "few_letters": sum(seen.scripts.values()) < 0.5 * len(text)}
    symbols = text.count("#") + text.count("…") + text.count("...")
    return {
        "short": seen.words < FEWEST_WORDS,
        "few_letters": seen.words_with_letter < 0.8 * seen.words,
        "word_length": not 3 <= (len(text) - seen.blank) / seen.words <= 10,
        "symbols": symbols > 0.1 * seen.words,
    }
