"""What the log and the record are told of the sources: at the start, and at the end of those that come in windows."""

from collections.abc import Mapping, Sequence

from cloudcpt.plan.plan import Plan, Source
from cloudcpt.train.progress import MetricsLog
from cloudcpt.train.rows import SourceRows
from cloudcpt.train.source_counts import count_sources


def tell_sources(plan: Plan, rows: Mapping[str, SourceRows], log: MetricsLog) -> None:
    """Say before the first step what every source turned into, or that its rows are still in the making."""
    late = _late(plan, rows)
    _tell(plan, rows, [source for source in plan.sources if source not in late], log, 0)
    for source in late:
        windows = f"{source.channel}: {rows[source.channel].num_windows} windows"
        log.event(0, "data", f"{windows}; training starts on the first, the others are prepared meanwhile")


def tell_late_sources(plan: Plan, rows: Mapping[str, SourceRows], log: MetricsLog, step: int) -> None:
    """Say after the last step, whose number is given, what the sources that were still in the making turned into."""
    _tell(plan, rows, _late(plan, rows), log, step)


def _late(plan: Plan, rows: Mapping[str, SourceRows]) -> list[Source]:
    return [source for source in plan.sources if rows[source.channel].num_windows > 1]


def _tell(plan: Plan, rows: Mapping[str, SourceRows], sources: Sequence[Source], log: MetricsLog, step: int) -> None:
    for source, counts in count_sources(plan, rows, sources):
        log.event(step, "data", counts.in_words(source))
        if counts.is_whole:  # of one that is read in part, the report keeps what the plan took it for
            log.source(counts)
