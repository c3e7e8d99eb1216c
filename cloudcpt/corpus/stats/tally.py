"""Counts that can be taken over any part of a corpus and put together: a block, a file, all of it.

Everything is a sum, or the first few places in the order of the corpus; so it does not matter where blocks are cut, as
long as parts are put together in their order.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cloudcpt.corpus.stats.document import Document
from cloudcpt.errors import Place

FIRST: Final = 3
"""Places kept of each thing that is found."""


@dataclass(slots=True)
class Hits:
    """Something that is found in documents.

    Args:
        documents: In which it is.
        amount: Pieces or characters, whichever the measure counts.
        first: The first places.
    """

    documents: int = 0
    amount: int = 0
    first: list[Place] = field(default_factory=list)

    def add(self, amount: int, place: Place) -> None:
        """Count one document."""
        self.merge(Hits(1, amount, [place]))

    def merge(self, later: "Hits") -> None:
        """Add what was found after this."""
        self.documents += later.documents
        self.amount += later.amount
        self.first = [*self.first, *later.first][:FIRST]


@dataclass(slots=True)
class Volume:
    """How much text there is; `words` counts only documents with spaces between words, `tokens` only with a tokenizer.

    Tokens are those of the text, without what begins and ends a document.
    """

    documents: int = 0
    characters: int = 0
    bytes: int = 0
    words: int = 0
    tokens: int = 0

    def merge(self, other: "Volume") -> None:
        """Add another."""
        self.documents += other.documents
        self.characters += other.characters
        self.bytes += other.bytes
        self.words += other.words
        self.tokens += other.tokens


@dataclass(slots=True)
class Tally:
    """Everything that is counted over some documents.

    Args:
        lengths: Characters of each document, in order; emptied by whoever sums them up.
        tokens: Tokens of each document with what begins and ends it; empty without a tokenizer.
        scripts: Characters by script.
        languages: Documents by language.
        writing: Documents by the script of most of their characters; empty for none.
        files: Documents by the name of the file.
        sizes: By measure.
        rules: Documents that break a rule, by rule.
        personal: What looks personal or secret, by kind.
        unreadable: Lines that are no document.
    """

    lengths: "array[int]" = field(default_factory=lambda: array("Q"))
    tokens: "array[int]" = field(default_factory=lambda: array("Q"))
    scripts: Counter[str] = field(default_factory=Counter)
    languages: dict[str, Volume] = field(default_factory=dict)
    writing: dict[str, Volume] = field(default_factory=dict)
    files: dict[str, Volume] = field(default_factory=dict)
    sizes: dict[str, Hits] = field(default_factory=dict)
    rules: dict[str, Hits] = field(default_factory=dict)
    personal: dict[str, Hits] = field(default_factory=dict)
    unreadable: int = 0

    @property
    def volume(self) -> Volume:
        """Sum up all documents."""
        whole = Volume()
        for part in self.files.values():
            whole.merge(part)
        return whole

    def add(self, seen: Document, *, text: str, tokens: int, place: Place) -> None:
        """Count one document.

        Args:
            seen: What it is like.
            text: The document.
            tokens: Of the text alone.
            place: Where it is.
        """
        self.lengths.append(len(text))
        self.scripts.update(seen.scripts)
        volume = Volume(1, len(text), seen.bytes, seen.words, tokens)
        for parts, name in ((self.languages, seen.language), (self.writing, seen.script), (self.files, place.path)):
            parts.setdefault(name, Volume()).merge(volume)
        kinds = Counter(span.kind for span in seen.personal)
        broken = dict.fromkeys(seen.broken, len(text))
        for hits, found in ((self.sizes, seen.sizes), (self.rules, broken), (self.personal, kinds)):
            for name, amount in found.items():
                hits.setdefault(name, Hits()).add(amount, place)

    def merge(self, later: "Tally") -> None:
        """Add what was counted over the documents after these; lengths and tokens are for the caller to sum up."""
        self.scripts.update(later.scripts)
        for name in ("languages", "writing", "files", "sizes", "rules", "personal"):
            _merge_parts(getattr(self, name), getattr(later, name))
        self.unreadable += later.unreadable


def _merge_parts(whole: dict[str, Hits] | dict[str, Volume], later: Mapping[str, Hits] | Mapping[str, Volume]) -> None:
    parts: dict[str, Hits | Volume] = whole  # type: ignore[assignment]  # one kind in each of the six
    for name, part in later.items():
        if name in parts:
            parts[name].merge(part)  # type: ignore[arg-type]
        else:
            parts[name] = part
