"""How much a dataset is in tokens and rows: counted with the model's tokenizer, estimated from characters, or assumed.

Counting reads and tokenises everything, so it is done up to 64 MiB in all; beyond that, or without the tokenizer,
the plan says that it estimates. Packing an estimate packs a sample of documents with the lengths of the histogram.
Of data that was not read there is only what the user says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloudcpt.dataset.check import DatasetReport
from cloudcpt.dataset.places import DataPlace
from cloudcpt.dataset.records import read_records_in
from cloudcpt.plan.geometry import Packing, cut_documents, pack

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer

EXACT_LIMIT_BYTES = 64 * 2**20
"""Of all datasets together; tokenising more takes too long for a plan."""

ESTIMATE_ERROR = 0.3
"""How far an estimate may be off, either way. Assumed; it depends on tokenizer and language."""

_CHARACTERS_PER_TOKEN = 4.0
"""Of text in Latin script, with vocabularies of 50,000 to 150,000 tokens. Rule of thumb."""

_DENSE_CHARACTERS_PER_TOKEN = 1.6
"""Of Chinese, Japanese or Korean. Rule of thumb."""

_DENSE_BYTES_PER_CHARACTER = 2.0
"""A file with more UTF-8 bytes, or JSON escapes, per character is taken to be in a dense script."""

_SAMPLE_DOCUMENTS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """One dataset in the units of training.

    Args:
        tokens: Boundary tokens included.
        rows: Packed rows.
        exact: Counted, not estimated.
        cut_documents: Documents that packing spreads over more than one row.
        cut_tokens: Tokens of these documents.
    """

    tokens: int
    rows: int
    exact: bool
    cut_documents: int
    cut_tokens: int


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
        return {name: estimate(report, seq_len=seq_len, packing=packing) for name, report in reports.items()}
    return {name: _count(report, seq_len, packing, tokenizer, place) for name, report in reports.items()}


def _count(
    report: DatasetReport, seq_len: int, packing: Packing, tokenizer: "DocumentTokenizer", place: DataPlace
) -> Volume:
    from cloudcpt.dataset.tokens import document_lengths

    records = (record for file in report.files for record in read_records_in(place, file.as_input))
    return _volume(document_lengths(records, tokenizer), seq_len, packing)


def _volume(lengths: Sequence[int], seq_len: int, packing: Packing) -> Volume:
    rows = pack(lengths, seq_len, packing)
    cut = cut_documents(rows)
    return Volume(
        tokens=sum(lengths),
        rows=len(rows),
        exact=True,
        cut_documents=len(cut),
        cut_tokens=sum(lengths[document] for document in cut),
    )


def estimate(report: DatasetReport, *, seq_len: int, packing: Packing) -> Volume:
    """Estimate a dataset from its characters and the histogram of its documents' lengths."""
    per_token = characters_per_token(report)
    tokens = round(report.characters / per_token) + report.documents
    lengths = [round(length / per_token) + 1 for length in _sample(report)]
    sample = _volume(lengths, seq_len, packing)
    rows = -(-tokens // seq_len) if packing == "concat" else round(sample.rows * tokens / max(1, sample.tokens))
    return Volume(
        tokens=tokens,
        rows=max(rows, -(-tokens // seq_len), 1),
        exact=False,
        cut_documents=round(report.documents * sample.cut_documents / max(1, len(lengths))),
        cut_tokens=round(tokens * sample.cut_tokens / max(1, sample.tokens)),
    )


def assume(rows: int, seq_len: int) -> Volume:
    """Take a dataset that nobody read to be so many full rows.

    Args:
        rows: What the user says.
        seq_len: Tokens in a row.
    """
    return Volume(tokens=rows * seq_len, rows=rows, exact=False, cut_documents=0, cut_tokens=0)


def characters_per_token(report: DatasetReport) -> float:
    """Guess how many characters of a dataset make a token, from how many bytes make a character."""
    bytes_per_character = report.size_bytes / max(1, report.characters)
    return _DENSE_CHARACTERS_PER_TOKEN if bytes_per_character > _DENSE_BYTES_PER_CHARACTER else _CHARACTERS_PER_TOKEN


def _sample(report: DatasetReport) -> list[int]:
    """Draw lengths in characters that have the histogram's shape, spread evenly over each octave."""
    shortest, longest = report.lengths.min, report.lengths.max
    lengths = []
    for octave, count in enumerate(report.lengths.histogram):
        drawn = -(-count * _SAMPLE_DOCUMENTS // max(report.documents, _SAMPLE_DOCUMENTS))
        spread = (int(2**octave * (1 + (index + 0.5) / drawn)) for index in range(drawn))
        lengths += [min(max(length, shortest), longest) for length in spread]
    return lengths
