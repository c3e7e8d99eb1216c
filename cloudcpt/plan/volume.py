"""How much a dataset is in tokens and rows: counted with the model's tokenizer, estimated from characters, or assumed.

Counting reads and tokenises everything, so it is done up to 128 MiB in all; beyond that, or without the tokenizer,
the plan says that it estimates, and how well (`token_rate`). Packing an estimate packs a sample of documents with the
lengths of the histogram.
Of data that was not read there is only what the user says.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from cloudcpt.dataset.check import DatasetReport
from cloudcpt.dataset.places import DataPlace
from cloudcpt.plan.geometry import Packing
from cloudcpt.plan.row_count import RowCounter
from cloudcpt.plan.token_rate import TokenRate, rate_of

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer

EXACT_LIMIT_BYTES = 128 * 2**20
"""Of all datasets together; tokenising more takes too long for a plan. One core takes 10 to 20 seconds for as much, by
`bench/tokenise.py`."""

_SAMPLE_DOCUMENTS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """One dataset in the units of training.

    Args:
        tokens: Boundary tokens included.
        rows: Packed rows.
        error: How far `tokens` may be off, either way, as a share of it; 0 when they were counted.
        cut_documents: Documents that packing spreads over more than one row.
        cut_tokens: Tokens of these documents.
    """

    tokens: int
    rows: int
    error: float
    cut_documents: int
    cut_tokens: int

    @property
    def exact(self) -> bool:
        """Whether it was counted, not estimated."""
        return self.error == 0


def measure(
    reports: Mapping[str, DatasetReport],
    *,
    seq_len: int,
    packing: Packing,
    tokenizer: "DocumentTokenizer | None",
    place: DataPlace,
) -> dict[str, Volume]:
    """Count or estimate every dataset of a recipe, all of them the same way.

    Args:
        reports: By channel.
        seq_len: Tokens in a row.
        packing: How rows are filled.
        tokenizer: The base model's; None when it is not here.
        place: Where the data is.
    """
    if tokenizer is None or sum(report.size_bytes for report in reports.values()) > EXACT_LIMIT_BYTES:
        return {
            name: estimate(report, rate_of(report, tokenizer), seq_len=seq_len, packing=packing)
            for name, report in reports.items()
        }
    return {name: _count(report, seq_len, packing, tokenizer, place) for name, report in reports.items()}


def _count(
    report: DatasetReport, seq_len: int, packing: Packing, tokenizer: "DocumentTokenizer", place: DataPlace
) -> Volume:
    from cloudcpt.dataset.tokenising import tokenise

    blocks = tokenise(place, [file.as_input for file in report.files], tokenizer)
    return _volume(chain.from_iterable(block.lengths for block in blocks), seq_len, packing)


def _volume(lengths: Iterable[int], seq_len: int, packing: Packing) -> Volume:
    counter = RowCounter(seq_len)
    counter.add_all(lengths)
    count = counter.counted(packing)
    return Volume(
        tokens=counter.tokens,
        rows=count.rows,
        error=0.0,
        cut_documents=count.cut_documents,
        cut_tokens=count.cut_tokens,
    )


def estimate(report: DatasetReport, rate: TokenRate, *, seq_len: int, packing: Packing) -> Volume:
    """Estimate a dataset from its characters and the histogram of its documents' lengths.

    Args:
        report: Of the dataset.
        rate: How many tokens its characters make.
        seq_len: Tokens in a row.
        packing: How rows are filled.
    """
    tokens = round(report.characters * rate.tokens_per_character) + rate.per_document * report.documents
    lengths = [round(length * rate.tokens_per_character) + rate.per_document for length in _sample(report)]
    sample = _volume(lengths, seq_len, packing)
    rows = -(-tokens // seq_len) if packing == "concat" else round(sample.rows * tokens / max(1, sample.tokens))
    return Volume(
        tokens=tokens,
        rows=max(rows, -(-tokens // seq_len), 1),
        error=rate.error,
        cut_documents=round(report.documents * sample.cut_documents / max(1, len(lengths))),
        cut_tokens=round(tokens * sample.cut_tokens / max(1, sample.tokens)),
    )


def assume(rows: int, seq_len: int) -> Volume:
    """Take a dataset that nobody read to be so many full rows.

    Args:
        rows: What the user says.
        seq_len: Tokens in a row.
    """
    return Volume(tokens=rows * seq_len, rows=rows, error=1.0, cut_documents=0, cut_tokens=0)


def _sample(report: DatasetReport) -> list[int]:
    """Draw lengths in characters that have the histogram's shape, spread evenly over each octave."""
    shortest, longest = report.lengths.min, report.lengths.max
    lengths = []
    for octave, count in enumerate(report.lengths.histogram):
        drawn = -(-count * _SAMPLE_DOCUMENTS // max(report.documents, _SAMPLE_DOCUMENTS))
        spread = (int(2**octave * (1 + (index + 0.5) / drawn)) for index in range(drawn))
        lengths += [min(max(length, shortest), longest) for length in spread]
    return lengths
