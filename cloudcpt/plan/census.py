"""What datasets are in tokens, for somebody who asks: how many, how long the documents, how many rows they fill.

Counted with a tokenizer, or estimated from a report; all of it in constant memory.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from cloudcpt.dataset.check import DatasetReport
from cloudcpt.dataset.lengths import Lengths, LengthStats
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.plan.geometry import Packing
from cloudcpt.plan.row_count import RowCount, RowCounter
from cloudcpt.plan.token_rate import TokenRate
from cloudcpt.plan.volume import estimate

if TYPE_CHECKING:
    from cloudcpt.dataset.tokenising import TokenisedBlock
    from cloudcpt.dataset.tokens import DocumentTokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Census:
    """A dataset in tokens.

    Args:
        documents: How many.
        characters: Of their text.
        tokens: Boundary tokens included.
        error: How far `tokens`, and all that follows from it, may be off, either way, as a share; 0 when counted.
        sampled: Excerpts from which it was estimated; 0 when it was counted, or is a rule of thumb.
        lengths: Of the documents in tokens; of an estimate the histogram is empty.
        rows: What either packing makes of them.
        seq_len: Tokens in a row.
    """

    documents: int
    characters: int
    tokens: int
    error: float
    sampled: int
    lengths: LengthStats
    rows: Mapping[Packing, RowCount]
    seq_len: int

    @property
    def exact(self) -> bool:
        """Whether it was counted, not estimated."""
        return self.error == 0

    def padding_share(self, packing: Packing) -> float:
        """Tell which share of all positions of the rows holds no token."""
        positions = self.rows[packing].rows * self.seq_len
        return max(0.0, 1 - self.tokens / positions) if positions else 0.0


def count(
    place: DataPlace,
    files: Sequence[InputFile],
    tokenizer: "DocumentTokenizer",
    *,
    seq_len: int,
    workers: int = 0,
    progress: ShowProgress | None = None,
    blocks: "Iterable[TokenisedBlock] | None" = None,
) -> Census:
    """Count the tokens of some files.

    Args:
        place: Where they are.
        files: In order.
        tokenizer: Of the base model.
        seq_len: Tokens in a row.
        workers: As in `tokenise`.
        progress: Called after each block.
        blocks: Of these files, encoded somewhere else, such as on many machines; they need no ids.

    Raises:
        DatasetError: at the first line, or whole file, that validation calls an error.
    """
    from cloudcpt.dataset.tokenising import tokenise

    lengths, counter, characters = Lengths(), RowCounter(seq_len), 0
    seen = DataProgress(bytes_done=0, bytes_total=sum(file.size_bytes for file in files), documents=0)
    for block in blocks or tokenise(place, files, tokenizer, workers=workers):
        lengths.add_all(block.lengths)
        counter.add_all(block.lengths)
        characters += block.characters
        seen = DataProgress(
            bytes_done=seen.bytes_done + block.block_bytes, bytes_total=seen.bytes_total, documents=counter.documents
        )
        if progress:
            progress(seen)
    return Census(
        documents=counter.documents,
        characters=characters,
        tokens=counter.tokens,
        error=0.0,
        sampled=0,
        lengths=lengths.stats(),
        rows={packing: counter.counted(packing) for packing in get_args(Packing)},
        seq_len=seq_len,
    )


def guess(report: DatasetReport, rate: TokenRate, *, seq_len: int) -> Census:
    """Estimate the tokens of a dataset from its report.

    Args:
        report: Of the dataset.
        rate: How many tokens its characters make.
        seq_len: Tokens in a row.
    """
    volumes = {packing: estimate(report, rate, seq_len=seq_len, packing=packing) for packing in get_args(Packing)}
    tokens = volumes["concat"].tokens
    return Census(
        documents=report.documents,
        characters=report.characters,
        tokens=tokens,
        error=rate.error,
        sampled=rate.sampled,
        lengths=_in_tokens(report.lengths, rate, tokens / max(1, report.documents)),
        rows={
            packing: RowCount(rows=volume.rows, cut_documents=volume.cut_documents, cut_tokens=volume.cut_tokens)
            for packing, volume in volumes.items()
        },
        seq_len=seq_len,
    )


def _in_tokens(lengths: LengthStats, rate: TokenRate, mean: float) -> LengthStats:
    low, median, p95, high = (
        round(characters * rate.tokens_per_character) + rate.per_document if characters else 0
        for characters in (lengths.min, lengths.median, lengths.p95, lengths.max)
    )
    return LengthStats(min=low, mean=mean, median=median, p95=p95, max=high, histogram=())
