"""What each source of a plan turned into: counted from the rows, told in the log and recorded for the report.

The plan's numbers may be estimates; these are the real ones. They come before the first step, except for sources whose
rows are prepared while training goes on (`cloudcpt.train.prepare`): theirs come after the last.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan, Source
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.mix import make_mix
from cloudcpt.train.rows import Origin, Rows, SourceRows
from cloudcpt.wire import Failure

_ORIGIN_IN_WORDS: Mapping[Origin, str] = {
    "tokenised": "",
    "reused": "; rows reused from an earlier job",
    "repaired": "; rows made again, because those of an earlier job were damaged",
    "received": "; rows made by other nodes",
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
        windows_read: Of its windows, those that the job reads and that the other numbers are about.
        windows: Into which it is cut; 1 for one that is not.
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
    windows_read: int
    windows: int

    @property
    def is_whole(self) -> bool:
        """Tell whether the numbers are about all of the source."""
        return self.windows_read == self.windows

    def in_words(self, source: Source) -> str:
        """Tell the counts in one line, beside what the plan estimated."""
        words = f"{self.channel}: {self.documents} documents, {self.tokens} tokens in {self.rows} rows"
        if not self.is_whole:
            words += f" of {self.windows_read} of its {self.windows} windows, which is what the job reads"
        if not source.exact:
            words += f", estimated as {source.tokens} in {source.rows}"
        if self.passes is not None:
            words += f", passed over {self.passes:.3g} times"
        waste = f"; {self.cut_tokens / self.tokens:.1%} of the tokens in {self.cut_documents} cut documents"
        return f"{words}{waste}, {self.padding_share:.1%} padding{_ORIGIN_IN_WORDS[self.origin]}"


def refuse_unread(plan: Plan, rows: Mapping[str, SourceRows]) -> None:
    """Check that every source that is mixed in is read, before the first step.

    A rehearsal takes a few steps of many, so it may well leave a source out.

    Raises:
        TrainingFailure: a source that the plan mixes in would not be read once in the whole job.
    """
    used = make_mix(plan, rows).rows_used(plan.geometry.train_rows)
    for source in plan.sources:
        if used.get(source.channel) == 0 and not plan.model.stand_in:
            raise _never_read(source, plan, rows[source.channel])


def count_sources(
    plan: Plan, rows: Mapping[str, SourceRows], sources: Iterable[Source]
) -> Iterator[tuple[Source, SourceCounts]]:
    """Count sources of a plan, as far as the job reads them.

    Args:
        plan: Weights, seed and number of steps.
        rows: By channel; windows that the job reads and that are not there yet are waited for.
        sources: Those to count.
    """
    mix = make_mix(plan, rows)
    used = mix.rows_used(plan.geometry.train_rows)
    mixed = {source.channel: source for source in mix.sources}
    for source in sources:
        uses = used.get(source.channel)
        read = 1 if uses is None else max(1, mixed[source.channel].windows_used(uses))
        yield source, _counted(source, rows[source.channel], read, uses)


def _counted(source: Source, rows: SourceRows, read: int, used: int | None) -> SourceCounts:
    windows = [rows.window(number) for number in range(read)]
    cuts = [window.count_cut() for window in windows]
    num_tokens, num_rows = sum(window.header.num_tokens for window in windows), sum(map(len, windows))
    # Windows are equal parts of a source, so those that were not made are taken to be like the others.
    in_all = num_rows * rows.num_windows / read
    return SourceCounts(
        channel=source.channel,
        documents=sum(len(window.documents) for window in windows),
        tokens=num_tokens,
        rows=num_rows,
        cut_documents=sum(documents for documents, _ in cuts),
        cut_tokens=sum(tokens for _, tokens in cuts),
        padding_share=1 - num_tokens / (num_rows * windows[0].header.seq_len_tokens),
        passes=None if used is None else used / in_all,
        origin=_origin(windows),
        windows_read=read,
        windows=rows.num_windows,
    )


def _origin(windows: Sequence[Rows]) -> Origin:
    """Tell where most of the windows come from."""
    return Counter(window.header.origin for window in windows).most_common(1)[0][0]


def _never_read(source: Source, plan: Plan, rows: SourceRows) -> TrainingFailure:
    more = " or more" if rows.num_windows > 1 else ""
    message = (
        f"source `{source.name}` has {source.weight:.2%} of the tokens, which is none of the job's "
        f"{plan.geometry.train_rows} rows; it has {len(rows.window(0))}{more} rows, the plan took it for {source.rows}"
    )
    hint = "raise its share in `data_mixing`, train for more steps, or leave it out"
    return TrainingFailure(Failure(code="CPT613", blame=Blame.USER, message=message, hint=hint))
