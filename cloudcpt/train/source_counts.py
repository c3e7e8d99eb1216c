"""What each source of a plan turned into: counted from the rows, told in the log and recorded for the report.

The plan's numbers may be estimates; these are the real ones, and they come before the first step.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan, Source
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.mix import make_mix
from cloudcpt.train.rows import Origin, Rows
from cloudcpt.wire import Failure

_ORIGIN_IN_WORDS: Mapping[Origin, str] = {
    "tokenised": "",
    "reused": "; rows reused from an earlier job",
    "repaired": "; rows made again, because those of an earlier job were damaged",
}


@dataclass(frozen=True, kw_only=True)
class SourceCounts:
    """One source, counted.

    Args:
        channel: Of the source.
        documents: Lines over all files.
        tokens: Boundary tokens included.
        rows: Packed rows.
        cut_documents: Documents in more than one row.
        cut_tokens: Tokens of these documents.
        padding_share: Of the rows' positions, 0 to 1.
        passes: How often the whole job goes over the source; None for held-out text.
        origin: Where the rows come from.
    """

    channel: str
    documents: int
    tokens: int
    rows: int
    cut_documents: int
    cut_tokens: int
    padding_share: float
    passes: float | None
    origin: Origin

    def in_words(self, source: Source) -> str:
        """Tell the counts in one line, beside what the plan estimated."""
        words = f"{self.channel}: {self.documents} documents, {self.tokens} tokens in {self.rows} rows"
        if not source.exact:
            words += f", estimated as {source.tokens} in {source.rows}"
        if self.passes is not None:
            words += f", passed over {self.passes:.3g} times"
        waste = f"; {self.cut_tokens / self.tokens:.1%} of the tokens in {self.cut_documents} cut documents"
        return f"{words}{waste}, {self.padding_share:.1%} padding{_ORIGIN_IN_WORDS[self.origin]}"


def count_sources(plan: Plan, rows: Mapping[str, Rows]) -> Iterator[tuple[Source, SourceCounts]]:
    """Count every source of a plan.

    Args:
        plan: Weights, seed and number of steps.
        rows: By channel.

    Raises:
        TrainingFailure: a source that the plan mixes in would not be read once in the whole job.
    """
    used = make_mix(plan, rows).rows_used(plan.geometry.train_rows)
    for source in plan.sources:
        found = rows[source.channel]
        # A rehearsal takes a few steps of many, so it may well leave a source out.
        if used.get(source.channel) == 0 and not plan.model.stand_in:
            raise _never_read(source, plan, found)
        cut_documents, cut_tokens = found.count_cut()
        yield (
            source,
            SourceCounts(
                channel=source.channel,
                documents=len(found.documents),
                tokens=found.header.num_tokens,
                rows=len(found),
                cut_documents=cut_documents,
                cut_tokens=cut_tokens,
                padding_share=found.padding_share,
                passes=used[source.channel] / len(found) if source.channel in used else None,
                origin=found.header.origin,
            ),
        )


def _never_read(source: Source, plan: Plan, rows: Rows) -> TrainingFailure:
    message = (
        f"source `{source.name}` has {source.weight:.2%} of the tokens, which is none of the job's "
        f"{plan.geometry.train_rows} rows; it has {len(rows)} rows, the plan took it for {source.rows}"
    )
    hint = "raise its share in `data_mixing`, train for more steps, or leave it out"
    return TrainingFailure(Failure(code="CPT613", blame=Blame.USER, message=message, hint=hint))
