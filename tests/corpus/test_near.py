"""Near-duplicates: what MinHash estimates, what banding finds, and what a group is, against exact similarity."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.corpus import near
from cloudcpt.corpus.minhash import SLOTS, shingles_of, signatures_of
from cloudcpt.corpus.near import RECALL, groups_of, near_groups, rows_of_band, similarity

pytest.importorskip("rensa")
REPEATABLE = settings(derandomize=True, deadline=None, max_examples=40)


def exact(one: str, other: str) -> float:
    left, right = set(shingles_of(one).tolist()), set(shingles_of(other).tolist())
    return len(left & right) / len(left | right)


def prose(number: int, words: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(f"w{draw.randrange(5000)}" for _ in range(words)) for _ in range(number)]


def edited(text: str, rate: float, draw: random.Random) -> str:
    return " ".join(f"x{draw.randrange(10**9)}" if draw.random() < rate else word for word in text.split())


@pytest.fixture(scope="module")
def pairs() -> list[tuple[str, str, float]]:
    """Make pairs of all similarities between 0.4 and 1, with the exact one."""
    draw = random.Random(7)
    made = [
        (text, edited(text, rate, draw)) for text in prose(60, 300) for rate in (0.002, 0.01, 0.02, 0.03, 0.05, 0.1)
    ]
    return [(one, other, exact(one, other)) for one, other in made]


def test_the_estimate_is_without_bias_and_as_sharp_as_its_slots(pairs: list[tuple[str, str, float]]) -> None:
    estimate = similarity(signatures_of(one for one, _, _ in pairs), signatures_of(other for _, other, _ in pairs))
    truth = np.array([known for _, _, known in pairs])
    errors = estimate - truth
    expected = np.sqrt(truth * (1 - truth) / SLOTS)
    assert abs(errors.mean()) < 4 * expected.mean() / np.sqrt(len(pairs))
    assert errors.std() < 1.3 * np.sqrt((expected**2).mean())


def test_pairs_above_the_threshold_are_found_and_those_below_are_not(pairs: list[tuple[str, str, float]]) -> None:
    """Within three standard errors of the threshold either may happen; outside, chance has no say."""
    margin = 3 * np.sqrt(0.8 * 0.2 / SLOTS)
    above = [near_groups([one, other]).tolist() == [0, 0] for one, other, known in pairs if known > 0.8 + margin]
    below = [near_groups([one, other]).tolist() == [0, 0] for one, other, known in pairs if known < 0.8 - margin]
    assert min(len(above), len(below)) > 50
    assert np.mean(above) > 0.99
    assert not any(below)


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.99, 1.0])
def test_bands_are_as_long_as_recall_allows(threshold: float) -> None:
    def recall(rows: int) -> float:
        return 1 - (1 - threshold**rows) ** (SLOTS // rows)

    rows = rows_of_band(threshold)
    assert recall(rows) >= RECALL
    assert rows == SLOTS or recall(rows + 1) < RECALL


def brute_force(signatures: "np.ndarray", threshold: float) -> list[int]:
    """Group by comparing everything with everything."""
    first = list(range(len(signatures)))
    for left, right in itertools.combinations(range(len(signatures)), 2):
        if np.mean(signatures[left] == signatures[right]) >= threshold:
            low, high = sorted((first[left], first[right]))
            first = [low if group == high else group for group in first]
    return first


@given(
    plan=st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.06)), min_size=1, max_size=40), seed=st.integers(0, 100)
)
@REPEATABLE
def test_groups_are_those_of_comparing_all_with_all(plan: list[tuple[int, float]], seed: int) -> None:
    """At a threshold of 0.6, bands find even those pairs of which the test would allow one in a hundred to be lost."""
    draw = random.Random(seed)
    originals = prose(6, 120)
    texts = [edited(originals[which], rate, draw) for which, rate in plan]
    signatures = signatures_of(texts)
    assert groups_of(signatures, threshold=0.6).tolist() == brute_force(signatures, 0.6)


@given(rates=st.lists(st.floats(0, 0.05), min_size=2, max_size=20), data=st.data())
@REPEATABLE
def test_who_is_together_does_not_depend_on_the_order(rates: list[float], data: st.DataObject) -> None:
    """As long as no bucket is large: the first of a group may be another one, the group is not."""
    draw = random.Random(2)
    texts = [edited(original, rate, draw) for rate in rates for original in prose(2, 100)]
    order = data.draw(st.permutations(range(len(texts))))

    def together(texts: list[str]) -> set[frozenset[str]]:
        groups = near_groups(texts).tolist()
        return {
            frozenset(text for text, other in zip(texts, groups, strict=True) if other == first) for first in groups
        }

    assert together(texts) == together([texts[number] for number in order])


@pytest.mark.parametrize("strangers", [2, 2 * near.SMALL_BUCKET])
def test_strangers_in_a_bucket_do_not_hide_the_others(strangers: int) -> None:
    """Two documents share one band and most other slots; others around them share that band and nothing else."""
    draw = np.random.default_rng(1)
    rows = draw.integers(0, 1 << 16, (strangers + 2, SLOTS), dtype=np.uint16)
    rows[:, :8] = rows[0, :8]
    rows[-1] = rows[1]
    rows[-1, 8::8] ^= 1  # every band but the first
    assert similarity(rows[1:2], rows[-1])[0] > 0.85
    assert groups_of(rows, threshold=0.8).tolist() == [*range(strangers + 1), 1]


def test_signatures_do_not_depend_on_what_else_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", "…", "one", *prose(30, 50), "你好，世界" * 20]
    whole = signatures_of(texts)
    assert np.array_equal(whole, np.concatenate([signatures_of([text]) for text in texts]))
    monkeypatch.setattr("cloudcpt.corpus.minhash._MOST_SHINGLES", 100)
    assert np.array_equal(whole, signatures_of(texts))


def test_signatures_stay_what_they_are() -> None:
    """An output that is gone on with relies on the signatures of yesterday; another rensa may not change them."""
    known = signatures_of(["The quick brown fox jumps over the lazy dog", "你好，世界"])
    assert known[:, :6].tolist() == KNOWN


KNOWN = [[19826, 2836, 49640, 50423, 24671, 577], [48380, 35011, 26845, 56467, 35795, 49967]]


def test_texts_without_spaces_have_shingles_too() -> None:
    draw = random.Random(3)
    text = "".join(chr(0x4E00 + draw.randrange(3000)) for _ in range(400))
    other = text[:200] + "改" + text[201:]
    assert len(shingles_of(text)) == 396
    assert near_groups([text, other, text[::-1]]).tolist() == [0, 0, 2]


def test_texts_without_words_resemble_only_their_equals() -> None:
    assert near_groups(["…", "!!!", "…", "", "😀", ""]).tolist() == [0, 1, 0, 3, 4, 3]


def test_short_texts_are_one_run_of_all_their_words() -> None:
    assert near_groups(["a b c", "A, b: c!", "a b d", "a b"]).tolist() == [0, 0, 2, 3]


@pytest.mark.parametrize("texts", [[], ["a"]])
def test_nothing_or_one_document_is_no_case_of_its_own(texts: list[str]) -> None:
    assert near_groups(texts).tolist() == list(range(len(texts)))


def test_documents_are_connected_through_others() -> None:
    words = [f"w{number}" for number in range(200)]
    chain = [" ".join(words[step : step + 100]) for step in range(0, 60, 6)]
    assert exact(chain[0], chain[1]) > 0.85
    assert exact(chain[0], chain[-1]) < 0.4
    assert set(near_groups(chain).tolist()) == {0}


@pytest.fixture
def template() -> list[str]:
    """Make what a large bucket is made of: pages that share most, but not all, of their words."""
    draw = random.Random(5)
    common = prose(1, 200, seed=9)[0]
    return [edited(common, 0.015, draw) for _ in range(120)]


def test_large_buckets_keep_nothing_that_resembles_what_is_kept(
    template: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures = signatures_of(template)
    for bucket in (1, 32):
        monkeypatch.setattr(near, "SMALL_BUCKET", bucket)
        groups = groups_of(signatures, threshold=0.9)
        kept = sorted(set(groups.tolist()))
        assert 1 < len(kept) < 120
        again = groups_of(signatures[kept], threshold=0.9)
        assert again.tolist() == list(range(len(kept)))


def test_the_number_of_leaders_bounds_the_work_on_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "SMALL_BUCKET", 1)
    monkeypatch.setattr(near, "MOST_LEADERS", 2)
    text = prose(1, 100)[0]
    assert set(near_groups([text] * 50).tolist()) == {0}


def test_the_result_does_not_depend_on_how_much_is_done_at_once(
    template: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures = signatures_of([*template, *prose(50, 100)])
    whole = groups_of(signatures, threshold=0.85).tolist()
    monkeypatch.setattr(near, "_ROWS_AT_ONCE", 7)
    monkeypatch.setattr(near, "_KEYS_BYTES", 8)
    assert groups_of(signatures, threshold=0.85).tolist() == whole
