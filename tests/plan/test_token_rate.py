"""Tokens per character: measured on excerpts with an error that holds, or guessed."""

import random
from dataclasses import replace

import pytest

from cloudcpt.plan.token_rate import GUESS_ERROR, rate_of
from cloudcpt.plan.volume import estimate


class ByteTokenizer:
    """One token per byte, and three around each document."""

    extra_tokens = 3

    def encode(self, texts):
        return [[0] * (len(text.encode()) + 3) for text in texts]


def with_sample(reported, texts, lengths=None):
    report = reported(lengths or [len(text) for text in texts])
    return replace(report, sample=tuple(texts), sample_lengths=tuple(map(len, texts)))


def test_without_a_tokenizer_or_without_excerpts_it_is_a_guess(reported) -> None:
    texts = ["abcd"] * 40
    assert rate_of(with_sample(reported, texts), None).sampled == 0
    found = rate_of(with_sample(reported, [], [4] * 40), ByteTokenizer())
    assert (found.tokens_per_character, found.per_document, found.error) == (0.25, 1, GUESS_ERROR)


def test_text_that_is_all_alike_is_known_to_half_a_percent(reported) -> None:
    found = rate_of(with_sample(reported, ["aé"] * 40), ByteTokenizer())
    assert (found.tokens_per_character, found.per_document, found.error, found.sampled) == (1.5, 3, 0.005, 40)


def test_a_few_excerpts_say_the_rate_and_nothing_about_its_error(reported) -> None:
    found = rate_of(with_sample(reported, ["aé"] * 29), ByteTokenizer())
    assert (found.tokens_per_character, found.error) == (1.5, GUESS_ERROR)


def test_the_error_is_that_of_a_ratio_worked_out_by_hand(reported) -> None:
    """25 texts of 10 characters with 10 tokens, and 25 with 20: mean 15, variance 25 * 50 / 49, 1.96 errors of it."""
    found = rate_of(with_sample(reported, ["a" * 10] * 25 + ["é" * 10] * 25), ByteTokenizer())
    assert found.tokens_per_character == pytest.approx(1.5)
    assert found.error == pytest.approx(1.96 * (25 * 50 / 49 / 50) ** 0.5 / 15)


def test_the_truth_is_within_the_error_nineteen_times_of_twenty(reported) -> None:
    rng = random.Random(7)
    texts = [
        "".join(rng.choices("aé漢", (rng.random(), rng.random(), 0.2), k=rng.randint(50, 500))) for _ in range(3000)
    ]
    truth = sum(len(text.encode()) for text in texts) / sum(map(len, texts))
    hits = 0
    for _ in range(400):
        found = rate_of(with_sample(reported, rng.sample(texts, 60)), ByteTokenizer())
        hits += abs(truth / found.tokens_per_character - 1) <= found.error
    assert 0.91 <= hits / 400 <= 0.98


def test_an_estimate_counts_what_stands_around_each_document(reported) -> None:
    report = with_sample(reported, ["a" * 100] * 40, [100] * 1000)
    found = estimate(report, rate_of(report, ByteTokenizer()), seq_len=103, packing="best_fit")
    assert (found.tokens, found.rows, found.exact, found.error) == (103_000, 1000, False, 0.005)


def test_an_excerpt_counts_as_much_as_its_document_is_long(reported) -> None:
    """30 documents of 10 characters at one token each, and 30 of 90 at two, of which 10 characters were kept."""
    report = with_sample(reported, ["a" * 10] * 30 + ["é" * 10] * 30, [10] * 30 + [90] * 30)
    found = rate_of(replace(report, sample_lengths=(10,) * 30 + (90,) * 30), ByteTokenizer())
    assert found.tokens_per_character == pytest.approx(1.9)
