"""What was measured, in words: the share of each thing, what it means, from where on one should act, and how.

The words and limits are in `measures.toml`, one entry per measure. Five sections: the four that a good corpus is judged
by, large, diverse, representative and clean, and whether its text is natural.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from cloudcpt.corpus.stats.measure import CorpusStats
from cloudcpt.corpus.stats.tally import Hits
from cloudcpt.errors import Place

SECTIONS: Final = ("large", "diverse", "representative", "clean", "natural")

LITTLE_CHARACTERS: Final = 40_000_000
"""Some 10 million tokens. Ours: below it even one GPU sees everything many times in an hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """Something that is measured as a share.

    Args:
        name: For programs.
        section: Of `SECTIONS`.
        title: For people.
        per: What the share is of: documents, characters, lines, or the corpus as a whole.
        share: 0 to 1.
        amount: Of which the share is made.
        documents: In which it is; 0 where that says nothing.
        limit: Above this share one should act.
        meaning: What is counted.
        act: What to do.
        source: Where rule or limit come from; empty when it is only us who say so.
        first: The first places, where there are places.
    """

    name: str
    section: str
    title: str
    per: str
    share: float
    amount: int
    documents: int
    limit: float
    meaning: str
    act: str
    source: str
    first: tuple[Place, ...] = ()

    @property
    def is_notable(self) -> bool:
        """Whether one should act."""
        return self.share > self.limit


def measures_of(stats: CorpusStats) -> tuple[Measure, ...]:
    """Put what was measured into words, in the order of the sections; every measure is there, found or not."""
    whole, tally = stats.tally.volume, stats.tally
    totals = {
        "documents": whole.documents,
        "characters": whole.characters,
        "lines": whole.documents + tally.unreadable,
        "corpus": 1,
    }
    found = {**tally.sizes, **tally.rules, **_of_the_whole(stats)}
    frequent = stats.frequent_lines
    shares = {"frequent_lines": frequent.characters / max(1, frequent.drawn_characters)}
    return tuple(
        _measure(name, row, found.get(name, Hits()), totals[row["per"]], shares.get(name))
        for name, row in sorted(_words().items(), key=lambda item: SECTIONS.index(item[1]["section"]))
    )


def _of_the_whole(stats: CorpusStats) -> dict[str, Hits]:
    """Give what is not counted document by document."""
    is_little = stats.tally.volume.characters < LITTLE_CHARACTERS
    return {
        "little": Hits(0, int(is_little)),
        "unreadable": Hits(0, stats.tally.unreadable),
        "repeated_documents": stats.repeated,
        "frequent_lines": Hits(0, stats.frequent_lines.characters),
    }


def _measure(name: str, row: Mapping[str, Any], hits: Hits, total: int, share: float | None) -> Measure:
    amount = hits.documents if row["per"] == "documents" else hits.amount
    return Measure(
        name=name, share=amount / total if share is None else share, amount=amount, documents=hits.documents,
        first=tuple(hits.first), **row,
    )  # fmt: skip


@cache
def _words() -> dict[str, dict[str, Any]]:  # Any: a table of TOML; the fields of `Measure` say what is in it
    return tomllib.loads(files("cloudcpt.corpus.stats").joinpath("measures.toml").read_text("utf-8"))
