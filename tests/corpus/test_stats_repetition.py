"""What is repeated within a text, against a dictionary of all its substrings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.corpus.stats.repetition import MOST_CHARACTERS, WINDOW, repeated_characters

np = pytest.importorskip("numpy", reason="needs the [data] extra")


def measured(text: str) -> int:
    return repeated_characters(np.array([ord(sign) for sign in text], np.uint32))


def counted(text: str) -> int:
    seen: set[str] = set()
    covered: set[int] = set()
    for start in range(len(text) - WINDOW + 1):
        window = text[start : start + WINDOW]
        if window in seen:
            covered.update(range(start, start + WINDOW))
        seen.add(window)
    return len(covered)


@given(
    st.lists(st.text("ab", min_size=20, max_size=70), min_size=1, max_size=3), st.lists(st.integers(0, 2), max_size=9)
)
def test_the_count_is_that_of_all_substrings(parts: list[str], order: list[int]) -> None:
    text = "".join(parts[at % len(parts)] for at in order)
    assert measured(text) == counted(text)


def test_what_comes_again_counts_and_its_first_time_does_not() -> None:
    sentence = "A sentence that is long enough to be told from others. "
    assert measured(sentence) == 0
    assert measured(sentence + "Something else. " + sentence) == len(sentence)
    assert measured(sentence * 3) == 2 * len(sentence)


def test_what_is_shorter_than_the_window_is_no_repetition() -> None:
    assert measured("ab" * 20) == 0
    assert measured("spam " * 12) == counted("spam " * 12) > 0


def test_of_a_very_long_text_the_beginning_counts() -> None:
    codes = np.arange(MOST_CHARACTERS, dtype=np.uint32)
    assert repeated_characters(np.concatenate([codes, codes])) == 0
    assert repeated_characters(np.concatenate([codes[:100], codes[:100], codes])) == 100 + 100
