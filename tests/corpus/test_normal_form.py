"""Words are what a person reads: whatever the way of encoding, case, punctuation and space between them."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.corpus.normal_form import LONGEST_WORD, word_hashes, words_of

pytest.importorskip("numpy")
REPEATABLE = settings(derandomize=True, deadline=None, max_examples=300)

AWKWARD = "aA ßﬁ½İ\u0307é\u0301Ａ　ｶﾞ가ᄀ\u1161\u11a8😀𝐀你好，กำĐ\n\u0345ΣςΌ\U000110b9\U000110ba\U0001d15e…™_-'9"
texts = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from(AWKWARD)), max_size=40)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("don't stop—now", ["don", "t", "stop", "now"]),
        ("Ｈｅｌｌｏ", ["hello"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("ﬁne ½", ["fine", "1", "2"]),
        ("你好，世界", ["你", "好", "世", "界"]),
        ("ทดสอบ", ["ท", "ด", "ส", "อ", "บ"]),
        ("GPT-4你好v2", ["gpt", "4", "你", "好", "v2"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("한국어 좋다", ["한국어", "좋다"]),
        ("snake_case(x)", ["snake", "case", "x"]),
        ("!?… 😀", []),
        ("", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_or_single_characters(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(text=texts)
@REPEATABLE
def test_every_word_has_one_hash_wherever_it_stands(text: str) -> None:
    alone = [word_hashes(word).tolist() for word in words_of(text)]
    assert all(len(hashes) == 1 for hashes in alone)
    assert word_hashes(text).tolist() == [hashes[0] for hashes in alone]


@given(text=texts)
@REPEATABLE
def test_ways_of_encoding_case_and_space_make_no_difference(text: str) -> None:
    whole = words_of(text)
    for other in (unicodedata.normalize("NFKD", text), unicodedata.normalize("NFC", text), f"  {text}!\n"):
        assert words_of(other) == whole
        assert word_hashes(other).tolist() == word_hashes(text).tolist()


@given(words=st.sets(st.text(st.characters(categories=("Ll", "N")), min_size=1, max_size=3), max_size=200))
@REPEATABLE
def test_different_words_have_different_hashes(words: set[str]) -> None:
    folded = {part for word in words for part in words_of(word)}
    assert len(set(word_hashes(" ".join(sorted(folded))).tolist())) == len(folded)


def test_ascii_and_other_texts_agree_on_what_they_share() -> None:
    plain, mixed = "one two three " * 5000, "one two three " * 5000 + "é"
    assert word_hashes(mixed)[:-1].tolist() == word_hashes(plain).tolist()


@pytest.mark.parametrize("length", [LONGEST_WORD - 1, LONGEST_WORD, LONGEST_WORD + 1, 3 * LONGEST_WORD + 7, 200_000])
def test_a_run_without_end_is_cut_from_its_beginning(length: int) -> None:
    blob = "".join(chr(ord("a") + (number * number) % 26) for number in range(length))
    text = f"before {blob}  {blob} after"
    words = words_of(text)
    assert max(map(len, words)) <= LONGEST_WORD
    hashes = word_hashes(text).tolist()
    assert hashes == [int(word_hashes(word)[0]) for word in words]
    assert hashes[1 : len(words) // 2] == hashes[len(words) // 2 : -1]


def test_space_as_long_as_a_book_is_nothing() -> None:
    assert word_hashes("a" + " " * 300_000 + "b").tolist() == word_hashes("a b").tolist()
