"""What a dataset holds, in a few lines: documents, sizes, lengths, duplicates."""

from typing import TYPE_CHECKING

from cloudcpt.cli.quantities import count, plural, size, sparkline

if TYPE_CHECKING:
    from cloudcpt.dataset.check import DatasetReport
    from cloudcpt.dataset.lengths import LengthStats

_BARS = 32
"""Documents have at most 2^32 characters, so every octave has a bar of its own."""


def dataset_line(report: "DatasetReport") -> str:
    """Say in one line how much there is."""
    files = plural(len(report.files), "file")
    return f"{report.name}: {plural(report.documents, 'document')} in {files}, {size(report.size_bytes)}"


def dataset_pairs(report: "DatasetReport") -> list[tuple[str, str]]:
    """Summarise the documents as names and values; nothing when there are none."""
    if not report.documents:
        return []
    return [*_length_pairs(report.lengths), ("  repeated", _repeated(report))]


def _length_pairs(lengths: "LengthStats") -> list[tuple[str, str]]:
    values = (
        f"{lengths.min:,} to {lengths.max:,}, median {lengths.median:,}, mean {lengths.mean:,.0f}, "
        f"95 % up to {lengths.p95:,}"
    )
    first = next(octave for octave, documents in enumerate(lengths.histogram) if documents)
    bars = sparkline(lengths.histogram[first:], _BARS)
    histogram = f"{count(2**first)} {bars} {count(2 ** len(lengths.histogram))}, doubling per bar"
    return [("  characters", values), ("  histogram", histogram)]


def _repeated(report: "DatasetReport") -> str:
    if not report.duplicate_documents:
        return "no document twice"
    share = report.duplicate_documents / report.documents
    return f"{plural(report.duplicate_documents, 'document')} ({share:.1%}) of which an equal one came before"
