"""What the trainer says of each source: real counts, what packing costs, and that nothing is left out in silence."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.plan.geometry import pack
from cloudcpt.plan.plan import read_plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.rows import Rows, RowsHeader
from cloudcpt.train.source_counts import count_sources, refuse_unread

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))
T = PLAN.geometry.seq_len_tokens


def rows_of(lengths: list[int], packing: str = "best_fit", origin: str = "tokenised") -> Rows:
    """Rows that hold no tokens but say where those of documents of these lengths would be."""
    packed = pack(lengths, T, packing)
    header = RowsHeader(
        seq_len_tokens=T,
        boundary_id=0,
        num_tokens=sum(lengths),
        text_bytes=0,
        files=("a.jsonl",),
        origin=origin,  # type: ignore[arg-type]
    )
    return Rows(
        header=header,
        tokens=np.zeros((len(packed), T), dtype=np.uint32),
        pieces=np.array([piece for row in packed for piece in row], dtype=np.int64),
        row_starts=np.cumsum([0, *map(len, packed)]),
        documents=np.zeros((len(lengths), 2), dtype=np.int64),
    )


@given(
    lengths=st.lists(st.integers(1, 5 * T), min_size=1, max_size=40), packing=st.sampled_from(["best_fit", "concat"])
)
def test_cut_documents_and_padding_equal_a_slow_count(packing: str, lengths: list[int]) -> None:
    rows = rows_of(lengths, packing)
    pieces = Counter(document for document, _, _ in rows.pieces.tolist())
    cut = [document for document, count in pieces.items() if count > 1]
    assert rows.count_cut() == (len(cut), sum(lengths[document] for document in cut))
    assert rows.padding_share == pytest.approx(1 - sum(lengths) / (len(rows) * T))
    if packing == "best_fit":
        assert set(cut) == {document for document, length in enumerate(lengths) if length > T}


SOURCES = {"train": rows_of([9, 16, 30, 4, 7] * 4), "replay-books": rows_of([12, 50, 3]), "validation": rows_of([5])}


def test_every_source_of_the_plan_is_counted() -> None:
    """20 rows of training data and 5 of books, a quarter of the tokens; the job has 48 rows."""
    found = {counts.channel: counts for _, counts in count_sources(PLAN, SOURCES, PLAN.sources)}
    assert list(found) == [source.channel for source in PLAN.sources]
    train, books, held_out = found.values()
    assert (train.documents, train.tokens, train.rows) == (20, 264, len(SOURCES["train"]))
    assert (train.cut_documents, train.cut_tokens, books.cut_documents, books.cut_tokens) == (4, 120, 1, 50)
    assert (held_out.passes, held_out.padding_share) == (None, 1 - 5 / 16)
    assert train.passes is not None
    assert books.passes is not None
    assert train.passes * train.rows + books.passes * books.rows == pytest.approx(PLAN.geometry.train_rows)


def test_the_log_tells_counts_passes_and_waste() -> None:
    source, counts = next(count_sources(PLAN, SOURCES, PLAN.sources))
    words = counts.in_words(source)
    assert words.startswith(f"train: 20 documents, 264 tokens in {counts.rows} rows, estimated as 1 in 1, passed over ")
    assert words.endswith(f" times; 45.5% of the tokens in 4 cut documents, {counts.padding_share:.1%} padding")


def test_a_source_of_the_mix_that_would_never_be_read_ends_the_job() -> None:
    train, books, held_out = PLAN.sources
    sources = (replace(train, weight=0.999), replace(books, weight=0.001), held_out)
    plan = replace(PLAN, sources=sources, model=replace(PLAN.model, stand_in=False))
    message = r"CPT613: source `books` has 0.10% of the tokens, which is none of the job's \d+ rows; it has 5 rows"
    with pytest.raises(TrainingFailure, match=message):
        refuse_unread(plan, SOURCES)


def test_a_rehearsal_may_leave_a_source_out() -> None:
    train, books, held_out = PLAN.sources
    sources = (replace(train, weight=0.999), replace(books, weight=0.001), held_out)
    rehearsal = replace(PLAN, sources=sources, model=replace(PLAN.model, stand_in=True))
    assert [counts.passes for _, counts in count_sources(rehearsal, SOURCES, rehearsal.sources)][1:] == [0.0, None]


def test_a_source_that_the_recipe_gives_no_share_is_no_part_of_the_mix() -> None:
    train, books, held_out = PLAN.sources
    plan = replace(PLAN, sources=(replace(train, weight=1.0), replace(books, weight=0.0), held_out))
    assert [counts.passes for _, counts in count_sources(plan, SOURCES, plan.sources)][1:] == [None, None]
