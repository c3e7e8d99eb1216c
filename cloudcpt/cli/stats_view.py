"""What a corpus is like, on one screen: five sections, `!` in front of what one should act on, and how, below.

Nothing that looks personal is ever written here: kinds, counts and places are.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.quantities import count, plural, size
from cloudcpt.corpus.stats.fertility import Fertility, fertility_of
from cloudcpt.corpus.stats.measures import LITTLE_CHARACTERS, SECTIONS, Measure, measures_of

if TYPE_CHECKING:
    from cloudcpt.corpus.stats.measure import CorpusStats
    from cloudcpt.corpus.stats.tally import Hits, Volume
    from cloudcpt.dataset.lengths import LengthStats

QUESTIONS = {
    "large": "Large: is there enough?",
    "diverse": "Diverse: does it say many things?",
    "representative": "Representative: is it what the model is to read and write?",
    "clean": "Clean: is it only text?",
    "natural": "Natural: is it fluent?",
}

PERSONAL_ACT = (
    "see whether these may be trained on, for a model can repeat what it has read once; "
    "`cloudcpt data filter --drop email` leaves out documents with such a kind, `--drop secrets` those with keys"
)

_MOST_SHOWN = 6
"""Languages, scripts and files on one line."""

_LINES_SHOWN = 3

Row = tuple[str, str, bool]
"""Name, what was measured, and whether one should act on it."""


def stats_lines(stats: "CorpusStats", width: int) -> Iterator[tuple[str, str]]:
    """Lay a report out: each line with its role (`cloudcpt.cli.render`).

    Args:
        stats: What was measured.
        width: Cells to use.
    """
    whole = stats.tally.volume
    names = ", ".join(stats.names)
    files = plural(stats.files, "file")
    yield f"{names}: {plural(whole.documents, 'document')} in {files}, {size(stats.size_bytes)}", ""
    sections = stats_rows(stats)
    column = max(len(name) for rows in sections.values() for name, _, _ in rows)
    for section, rows in sections.items():
        yield "", ""
        yield QUESTIONS[section], "title"
        for name, words, is_notable in rows:
            mark, style = ("!", "warning") if is_notable else (" ", "")
            yield from ((line, style) for line in _hanging(f"{mark} {name:<{column}}  ", words, width))
    yield from _frequent_line_lines(stats)
    yield from _advice_lines(stats, width)


def _frequent_line_lines(stats: "CorpusStats") -> Iterator[tuple[str, str]]:
    lines = stats.frequent_lines
    if lines.top:
        yield "", ""
        yield f"Lines in most documents, of {count(lines.drawn_documents)} compared", "title"
        for line in lines.top[:_LINES_SHOWN]:
            yield f"  {line.documents:>7,}  {line.excerpt}", ""


def _advice_lines(stats: "CorpusStats", width: int) -> Iterator[tuple[str, str]]:
    found = list(advice(stats))
    yield "", ""
    if not found:
        yield "Nothing here asks for action", "good"
        return
    yield "What to do", "title"
    for title, meaning, act in found:
        yield from ((line, "") for line in _hanging("! ", f"{title}: {meaning}. {act[0].upper()}{act[1:]}", width))


def _hanging(head: str, words: str, width: int) -> list[str]:
    """Write a name and what follows it, further lines below what follows."""
    blank = " " * len(head)
    wrapped = textwrap.wrap(words, max(20, width - len(head)), break_long_words=False, break_on_hyphens=False)
    return [(head if number == 0 else blank) + line for number, line in enumerate(wrapped)]


def stats_rows(stats: "CorpusStats") -> dict[str, list[Row]]:
    """Lay out what was measured, by section; what was looked for and is nowhere stands together at the end of one."""
    rows: dict[str, list[Row]] = {
        "large": [_lengths(stats.lengths, stats.tally.volume.characters, "characters"), _tokens(stats)],
        "diverse": list(_mixture(stats)),
        "representative": list(_representative(stats)),
        "clean": [],
        "natural": [],
    }
    measures = measures_of(stats)
    for section in SECTIONS:
        here = [one for one in measures if one.section == section]
        rows[section] += [(one.title, _measured(one), one.is_notable) for one in here if one.amount]
        if section == "clean":
            rows[section].append(_personal(stats.tally.personal))
        absent = ", ".join(one.title for one in here if not one.amount and one.per != "corpus")
        rows[section] += [("not found", absent, False)] if absent else []
    return rows


def advice(stats: "CorpusStats") -> Iterator[tuple[str, str, str]]:
    """Say what to do about what is notable: what it is, what it means, what to do."""
    for one in measures_of(stats):
        if one.is_notable:
            places = ", ".join(printable(str(place)) for place in one.first)
            yield one.title, one.meaning, one.act + (f"; first: {places}" if places else "")
    notable = [one for one in fertility_of(stats.tally) if one.is_notable]
    if notable:
        names = ", ".join(f"{one.language} {one.tokens_per_character:.2f}" for one in notable)
        act = "take a base model whose tokenizer knows the language; compare with `--tokenizer OTHER`"
        yield "tokens per character", f"{names}: the tokenizer spells these languages out, several tokens a word", act
    if stats.tally.personal:
        hits = [(kind, hits.first[0]) for kind, hits in stats.tally.personal.items()]
        places = ", ".join(f"{kind_words(kind)} {printable(str(place))}" for kind, place in hits)
        yield (
            "personal data",
            "has the form of it, with the right check digit where there is one",
            f"{PERSONAL_ACT}; first: {places}",
        )


def kind_words(kind: str) -> str:
    """Write the name of a kind as words."""
    return kind.replace("_", " ")


def stats_as_json(stats: "CorpusStats") -> dict[str, Any]:
    """Give everything that was measured, with the words."""
    tally = stats.tally
    return {
        "paths": stats.names,
        "files": stats.files,
        "size_bytes": stats.size_bytes,
        "documents": tally.volume.documents,
        "characters": tally.volume.characters,
        "lengths": stats.lengths,
        "tokenizer": stats.tokenizer or None,
        "tokens": stats.token_count if stats.tokens else None,
        "token_lengths": stats.tokens,
        "unreadable_lines": tally.unreadable,
        "languages": tally.languages,
        "scripts": tally.scripts,
        "documents_by_script": tally.writing,
        "sources": tally.files,
        "repeated_is_lower_bound": not stats.knows_all_repeated,
        "frequent_lines": stats.frequent_lines,
        "fertility": [{**asdict(one), "is_notable": one.is_notable} for one in fertility_of(tally)],
        "personal": tally.personal,
        "measures": [{**asdict(one), "is_notable": one.is_notable} for one in measures_of(stats)],
    }


def _lengths(lengths: "LengthStats", total: int, unit: str) -> Row:
    words = f"{count(total)}; {lengths.min:,} to {lengths.max:,} a document, median {lengths.median:,}"
    return unit, f"{words}, 95 % up to {lengths.p95:,}", False


def _tokens(stats: "CorpusStats") -> Row:
    if stats.tokens is None:
        return "tokens", "not counted; name the folder of a tokenizer with `--tokenizer`", False
    return _lengths(stats.tokens, stats.token_count, "tokens")


def _mixture(stats: "CorpusStats") -> Iterator[Row]:
    characters = {name: part.characters for name, part in stats.tally.languages.items()}
    yield "languages", _shares(characters), False
    if stats.tally.scripts:
        yield "scripts", _shares(stats.tally.scripts), False


def _representative(stats: "CorpusStats") -> Iterator[Row]:
    yield "sources", _shares(_characters_of(stats.tally.files)), False
    costs = fertility_of(stats.tally)
    if costs:
        shown = ", ".join(f"{one.language} {_cost(one)}" for one in costs[:_MOST_SHOWN])
        yield "tokens per character", shown, any(one.is_notable for one in costs)


def _cost(one: Fertility) -> str:
    words = f" ({one.tokens_per_word:.1f} a word)" if one.tokens_per_word is not None else ""
    return f"{one.tokens_per_character:.2f}{words}"


def _characters_of(parts: "Mapping[str, Volume]") -> dict[str, int]:
    return {name: part.characters for name, part in parts.items()}


def _measured(one: Measure) -> str:
    if one.per == "corpus":
        return f"fewer than {count(LITTLE_CHARACTERS)} characters"
    limit = f" (limit {share_words(one.limit)})" if one.is_notable and one.limit else ""
    return f"{share_words(one.share)} of the {one.per}{limit}"


def _personal(found: "Mapping[str, Hits]") -> Row:
    if not found:
        return "personal data", "nothing that has the form of it", False
    ordered = sorted(found.items(), key=lambda item: (-item[1].amount, item[0]))
    return "personal data", ", ".join(f"{kind_words(kind)} {hits.amount:,}" for kind, hits in ordered), True


def _shares(amounts: Mapping[str, int]) -> str:
    """Write the largest parts of something with their shares, and how many others there are."""
    total = sum(amounts.values())
    ordered: Sequence[tuple[str, int]] = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {share_words(amount / total)}" for name, amount in islice(ordered, _MOST_SHOWN))
    others = f", and {len(ordered) - _MOST_SHOWN:,} others" if len(ordered) > _MOST_SHOWN else ""
    return f"{shown} of the characters{others}"


def share_words(share: float) -> str:
    """Write a share so that little is not nothing: `12.3 %`, `0.04 %`, `under 0.01 %`."""
    percent = 100 * share
    if 0 < percent < 0.01:
        return "under 0.01 %"
    return f"{percent:.1f} %" if percent >= 1 or not percent else f"{percent:.2f} %"
