"""Rows that are only counted are as many as the rows that are made."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.plan.geometry import cut_documents, pack
from cloudcpt.plan.row_count import RowCount, RowCounter, count_rows

LENGTHS = st.lists(st.integers(0, 60) | st.integers(1, 6), max_size=150)


@settings(max_examples=600, derandomize=True)
@given(lengths=LENGTHS, seq_len=st.integers(1, 24), packing=st.sampled_from(["best_fit", "concat"]))
def test_counts_are_those_of_the_rows_that_packing_makes(lengths, seq_len, packing) -> None:
    rows = pack(lengths, seq_len, packing)
    cut = cut_documents(rows)
    expected = RowCount(rows=len(rows), cut_documents=len(cut), cut_tokens=sum(lengths[index] for index in cut))
    assert count_rows(lengths, seq_len, packing) == expected


@given(parts=st.lists(LENGTHS, max_size=4), seq_len=st.integers(1, 24))
def test_documents_may_come_in_any_portions(parts, seq_len) -> None:
    counter = RowCounter(seq_len)
    for part in parts:
        counter.add_all(part)
        counter.counted("best_fit")
    whole = [length for part in parts for length in part]
    assert (counter.documents, counter.tokens) == (len(whole), sum(whole))
    for packing in ("best_fit", "concat"):
        assert counter.counted(packing) == count_rows(whole, seq_len, packing)
