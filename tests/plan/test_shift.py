"""How far the domain is from general text, against texts whose word frequencies are known."""

import random
from fractions import Fraction
from itertools import accumulate
from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.plan.shift import measure_shift

A, B = "abcdefghij", "klmnopqrst"


def word(number, letters):
    return "".join(letters[int(digit)] for digit in str(number))


def text(seed, documents, *, letters=A, other=None, share=0.0, words=200, vocabulary=3000):
    """Documents of words as rare as in a language (Zipf); a share of them from another vocabulary."""
    chance = random.Random(seed)
    ranks = range(vocabulary)
    weights = list(accumulate(1 / (rank + 2) for rank in ranks))
    return [
        " ".join(
            word(rank, other if other and chance.random() < share else letters)
            for rank in chance.choices(ranks, cum_weights=weights, k=words)
        )
        for _ in range(documents)
    ]


def shift(domain, *general):
    return measure_shift(domain, [(Fraction(1), one) for one in general])


@pytest.mark.parametrize(("documents", "others"), [(40, 40), (40, 300), (300, 40), (300, 300)])
def test_texts_of_one_kind_are_not_far_apart_however_much_there_is_of_each(documents, others):
    """With 40 documents, the plain divergence of such texts is above 0.1: that is the bias which is taken away."""
    assert shift(text(1, documents), text(2, others)) == pytest.approx(0, abs=0.015)


@pytest.mark.parametrize("documents", [20, 100])
def test_texts_without_a_common_word_are_at_one(documents):
    assert shift(text(1, documents), text(2, documents, letters=B)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("documents", [40, 300])
def test_a_text_that_is_partly_in_another_language_is_as_far_as_theory_has_it(share, documents):
    """Of P against (1 - s) P + s Q, where P and Q share no word, the divergence depends on s alone."""
    found = shift(text(1, documents, other=B, share=share), text(2, documents))
    own, mean = 1 - share, 1 - share / 2
    expected = (log2(1 / mean) + own * log2(own / mean) + share * 1) / 2
    assert found == pytest.approx(expected, abs=0.04)


def test_the_share_of_a_general_source_counts_and_not_its_size():
    domain = text(1, 100)
    near, far = text(2, 100), text(3, 300, letters=B)
    mostly_near = measure_shift(domain, [(Fraction(9, 10), near), (Fraction(1, 10), far)])
    mostly_far = measure_shift(domain, [(Fraction(1, 10), near), (Fraction(9, 10), far)])
    assert 0 < mostly_near < 0.1
    assert mostly_far > 0.6
    # What counts is how the shares compare, not what they add up to.
    assert measure_shift(domain, [(Fraction(90), near), (Fraction(10), far)]) == pytest.approx(mostly_near, abs=1e-12)


def test_case_digits_and_punctuation_say_nothing():
    plain = text(1, 60)
    dressed = [f"12. {one.upper()}! (34)" for one in plain]
    assert shift(dressed, text(2, 60)) == pytest.approx(shift(plain, text(2, 60)), abs=1e-12)


def test_chinese_and_japanese_are_compared_by_characters():
    """As runs of letters, no two sentences without spaces would share a word, and nothing could be told."""
    chance = random.Random(1)
    sentences = ["".join(chance.choices("数据模型训练语言学习知识的一是在不了有和人这", k=200)) for _ in range(60)]
    assert shift(sentences[:30], sentences[30:]) == pytest.approx(0, abs=0.01)
    assert shift(sentences, text(2, 60)) == pytest.approx(1)
    english = [one.replace(" ", "数") for one in text(1, 60)]  # between them, words are words and 数 is one of its own
    assert shift(english, [one.replace(" ", " 数 ") for one in text(2, 60)]) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("domain", [[], ["few words"], ["one document " * 5000], ["0 1 2 3 4"] * 500])
def test_too_little_text_is_not_measured(domain):
    assert shift(domain, text(2, 100)) is None
    assert shift(text(2, 100), domain) is None


def test_a_general_source_with_too_little_text_is_left_out():
    domain, near = text(1, 60), text(2, 60)
    assert shift(domain, near, ["few words"]) == shift(domain, near)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), documents=st.integers(30, 60), share=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_measure_is_the_same_from_both_sides_and_never_above_one(seed, documents, share):
    one = text(seed, documents, words=60, vocabulary=200)
    two = text(seed + 1, documents, words=60, vocabulary=200, other=B, share=share)
    assert shift(one, two) == pytest.approx(shift(two, one), abs=1e-9)
    assert shift(one, two) <= 1 + 1e-9
