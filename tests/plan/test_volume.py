"""Tokens and rows of a dataset: counted exactly, or estimated from characters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.dataset.files import HERE
from cloudcpt.plan.geometry import pack
from cloudcpt.plan.token_rate import characters_per_token, rate_of
from cloudcpt.plan.volume import EXACT_LIMIT_BYTES, Volume, assume, measure
from cloudcpt.plan.volume import estimate as estimate_at


def estimate(report, **options) -> Volume:
    """Estimate without a tokenizer."""
    return estimate_at(report, rate_of(report, None), **options)


@pytest.mark.train
def test_a_small_dataset_is_counted_with_the_models_tokenizer(desk):
    """Words and one boundary per document: 2 + 4 tokens, and rows of 4."""
    from cloudcpt.dataset.tokens import load_tokenizer

    desk.write_data("train.jsonl", ["a", "b c d"])
    reports = desk.reports(desk.recipe())
    tokenizer = load_tokenizer(desk.folder / "base")
    found = measure(reports, seq_len=4, packing="best_fit", tokenizer=tokenizer, place=HERE)["train"]
    assert (found.tokens, found.rows, found.exact, found.cut_documents, found.cut_tokens) == (6, 2, True, 0, 0)


@pytest.mark.train
@pytest.mark.parametrize(("packing", "cut"), [("best_fit", (1, 6)), ("concat", (2, 8))])
def test_documents_in_several_rows_are_counted_with_all_their_tokens(desk, packing, cut):
    """Of 3, 2, 3 and 6 tokens, in rows of 4: `concat` also cuts the second, which crosses the end of the first row."""
    from cloudcpt.dataset.tokens import load_tokenizer

    desk.write_data("train.jsonl", ["a b", "c", "d e", "a b c d e"])
    reports = desk.reports(desk.recipe())
    tokenizer = load_tokenizer(desk.folder / "base")
    found = measure(reports, seq_len=4, packing=packing, tokenizer=tokenizer, place=HERE)["train"]
    assert (found.cut_documents, found.cut_tokens) == cut


@pytest.mark.train
def test_all_datasets_together_decide_whether_they_are_counted(desk, reported):
    from cloudcpt.dataset.tokens import load_tokenizer

    tokenizer = load_tokenizer(desk.folder / "base")
    large = reported([1000], bytes_per_character=EXACT_LIMIT_BYTES / 1000)
    reports = desk.reports(desk.recipe()) | {"validation": large}
    volumes = measure(reports, seq_len=4, packing="best_fit", tokenizer=tokenizer, place=HERE)
    assert not volumes["train"].exact
    assert not volumes["validation"].exact


def test_without_a_tokenizer_tokens_are_a_quarter_of_the_characters(reported):
    found = estimate(reported([400] * 10), seq_len=64, packing="concat")
    assert (found.tokens, found.rows, found.exact) == (10 * 101, 16, False)


def test_characters_of_several_bytes_are_dense(reported):
    assert characters_per_token(reported([4000], bytes_per_character=3.01)) == pytest.approx(1.6)
    assert characters_per_token(reported([4000], bytes_per_character=6)) == pytest.approx(1.6)
    assert characters_per_token(reported([4000], bytes_per_character=1)) == 4.0
    assert characters_per_token(reported([4000] * 9, bytes_per_character=2 + 13 / 4000)) == pytest.approx(2.2857, 1e-4)


def test_what_a_line_has_around_its_text_is_no_text(reported):
    assert characters_per_token(reported([10] * 50, bytes_per_character=2.3)) == 4.0


@given(length=st.integers(1, 40_000), documents=st.integers(1, 300), packing=st.sampled_from(["best_fit", "concat"]))
def test_documents_of_one_length_are_estimated_as_they_would_pack(reported, length, documents, packing):
    report = reported([length] * documents)
    found = estimate(report, seq_len=512, packing=packing)
    tokens = round(length / 4) + 1
    assert found.tokens == pytest.approx(documents * tokens, abs=documents)
    assert found.rows == pytest.approx(len(pack([tokens] * documents, 512, packing)), rel=0.03, abs=2)


def test_many_documents_are_estimated_from_a_sample(reported):
    lengths = [100, 1000, 10_000, 100_000] * 10_000
    found = estimate(reported(lengths), seq_len=8192, packing="best_fit")
    exact = len(pack([round(length / 4) + 1 for length in lengths], 8192, "best_fit"))
    assert found.rows == pytest.approx(exact, rel=0.1)


def test_the_share_of_documents_that_are_cut_is_seen(reported):
    """Ten of a hundred documents hold 25,010 of 27,350 tokens."""
    found = estimate(reported([100] * 90 + [10_000] * 10), seq_len=512, packing="best_fit")
    assert found.cut_documents == pytest.approx(10, abs=1)
    assert found.cut_tokens / found.tokens == pytest.approx(25_010 / 27_350, abs=0.04)


def test_an_assumed_amount_has_no_padding_and_is_not_exact():
    found = assume(7, 512)
    assert (found.rows, found.tokens, found.exact, found.cut_documents, found.cut_tokens) == (7, 3584, False, 0, 0)
