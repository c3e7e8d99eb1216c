"""What each source of a run turned into, as its trainer counted it; before it has, what the plan took it for."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cloudcpt.plan.plan import Plan, Source
from cloudcpt.report.records import number


@dataclass(frozen=True, kw_only=True, slots=True)
class CountedSource:
    """One source in numbers; NaN where a record lacks one.

    Args:
        exact: Counted, not estimated.
        documents: Lines over all files.
        tokens: Boundary tokens included.
        rows: Packed rows.
        cut_documents: Documents in more than one row.
        cut_tokens: Tokens of these documents.
        padding_share: Of the rows' positions, 0 to 1.
    """

    exact: bool
    documents: float
    tokens: float
    rows: float
    cut_documents: float
    cut_tokens: float
    padding_share: float


_NUMBERS = ("documents", "tokens", "rows", "cut_documents", "cut_tokens", "padding_share")


def counted_sources(plan: Plan, records: Iterable[Mapping[str, Any]]) -> dict[str, CountedSource]:
    """Read the `source` records of a run over the numbers of its plan.

    Args:
        plan: What the run executes.
        records: Of the run, any kinds.

    Returns:
        Every source of the plan, by channel.
    """
    told = {str(row["channel"]): row for row in records if row["kind"] == "source"}
    return {
        source.channel: _counted(told[source.channel]) if source.channel in told else _planned(source, plan)
        for source in plan.sources
    }


def _counted(row: Mapping[str, Any]) -> CountedSource:
    return CountedSource(exact=True, **{name: number(row.get(name)) for name in _NUMBERS})


def _planned(source: Source, plan: Plan) -> CountedSource:
    positions = source.rows * plan.geometry.seq_len_tokens
    return CountedSource(
        exact=source.exact,
        documents=source.documents,
        tokens=source.tokens,
        rows=source.rows,
        cut_documents=source.cut_documents,
        cut_tokens=source.cut_tokens,
        padding_share=max(0.0, 1 - source.tokens / positions) if positions else math.nan,
    )
