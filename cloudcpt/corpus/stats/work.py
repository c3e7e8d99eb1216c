"""What a process does with a block of a corpus: look at every document, and count."""

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.stats.document import look_at
from cloudcpt.corpus.stats.drawn_lines import DrawnDocument, drawn_document, is_drawn
from cloudcpt.corpus.stats.tally import Tally
from cloudcpt.dataset.blocks import Block, records_of
from cloudcpt.dataset.records import Record
from cloudcpt.errors import Place, Severity

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer

_TOKEN_BYTES: Final = 4
"""Of one id, as `DocumentTokenizer.encode_flat` writes it."""


@dataclass(kw_only=True, slots=True)
class BlockStats:
    """What was found in a block.

    Args:
        tally: All counts.
        digests: Of the texts, 16 bytes each, in order: who has them all knows which are equal.
        lines: Of each document, from 1.
        offsets: Of each line in the file.
        drawn: The documents whose lines are compared.
    """

    tally: Tally = field(default_factory=Tally)
    digests: list[bytes] = field(default_factory=list)
    lines: "array[int]" = field(default_factory=lambda: array("Q"))
    offsets: "array[int]" = field(default_factory=lambda: array("Q"))
    drawn: list[DrawnDocument] = field(default_factory=list)


def make_work(tokenizer_folder: Path | None, share: float) -> Callable[[Block], BlockStats]:
    """Make what measures a block.

    Args:
        tokenizer_folder: Of the tokenizer to count tokens with, or None.
        share: Of the documents, whose lines are compared.

    Raises:
        DatasetError: the tokenizer is unusable.
        SetupError: the `tokenizers` library is not installed.
    """
    if tokenizer_folder is None:
        return partial(measure_block, None, share)
    from cloudcpt.dataset.tokens import load_tokenizer

    if parent_process() is not None:
        # There is a process per core already; the library would start as many threads in each.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return partial(measure_block, load_tokenizer(tokenizer_folder), share)


def measure_block(tokenizer: "DocumentTokenizer | None", share: float, block: Block) -> BlockStats:
    """Look at every document of a block; a line that is none is counted and passed over."""
    stats = BlockStats()
    records = []
    for item in records_of(block):
        if isinstance(item, Record):
            records.append(item)
        else:
            stats.tally.unreadable += item.severity is Severity.ERROR
    for record, tokens in zip(records, _tokens_of(tokenizer, records, stats.tally.tokens), strict=True):
        _add(stats, record, block.shown, tokens, share)
    return stats


def _tokens_of(tokenizer: "DocumentTokenizer | None", records: list[Record], lengths: "array[int]") -> list[int]:
    """Count the tokens of the texts, and put those of the documents into `lengths`."""
    if tokenizer is None:
        return [0] * len(records)
    around = len(tokenizer.encode([""])[0])
    lengths.extend(len(ids) // _TOKEN_BYTES for ids in tokenizer.encode_flat([record.text for record in records]))
    return [length - around for length in lengths]


def _add(stats: BlockStats, record: Record, shown: str, tokens: int, share: float) -> None:
    from xxhash import xxh3_128_digest

    text = record.text
    place = Place(path=shown, line=record.line, byte=record.byte)
    stats.tally.add(look_at(text), text=text, tokens=tokens, place=place)
    digest = xxh3_128_digest(text.encode())
    stats.digests.append(digest)
    stats.lines.append(record.line)
    stats.offsets.append(record.byte)
    if is_drawn(int.from_bytes(digest[:8], "big"), share):
        stats.drawn.append(drawn_document(text))
