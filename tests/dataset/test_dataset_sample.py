"""Which documents stand for a dataset: a fair draw, the same in any order, in bounded memory."""

import random
from hashlib import blake2b

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.dataset.sample import Sample


def drawn(texts, **sizes):
    sample = Sample(**sizes)
    for text in texts:
        sample.offer(blake2b(text.encode(), digest_size=16).digest(), text)
    return sample.excerpts()


@settings(max_examples=50, deadline=None)
@given(texts=st.sets(st.text(min_size=1, max_size=8), max_size=40), seed=st.integers(0, 99), most=st.integers(1, 50))
def test_the_order_of_the_documents_does_not_matter(texts, seed, most):
    shuffled = sorted(texts)
    random.Random(seed).shuffle(shuffled)
    found = drawn(sorted(texts), most_documents=most)
    assert drawn(shuffled, most_documents=most) == found
    assert len(found) == min(most, len(texts))
    assert set(found) <= texts


def test_every_document_is_as_likely_as_another():
    """Of 20,000 documents, one in ten; each tenth of the data gives 200, give or take 6 standard deviations."""
    found = {int(text) for text in drawn(map(str, range(20_000)), most_documents=2000)}
    counts = [sum(number // 2000 == tenth for number in found) for tenth in range(10)]
    assert all(abs(count - 200) < 6 * 13.5 for count in counts)


def test_a_long_document_gives_a_piece_from_anywhere_in_it():
    texts = [f"{number:04}" + "".join(chr(0x4E00 + place) for place in range(1000)) for number in range(300)]
    found = drawn(texts, most_documents=300, characters=100)
    assert all(len(piece) == 100 and any(piece in text for text in texts) for piece in found)
    starts = [ord(piece[50]) - 0x4E00 for piece in found]
    assert min(starts) < 100
    assert max(starts) > 850


def test_a_short_document_is_kept_whole():
    assert drawn(["short"], characters=100) == ("short",)


def test_the_length_of_each_document_is_known_whatever_its_excerpt():
    sample = Sample(characters=100)
    for text in ("short", "long " * 1000):
        sample.offer(blake2b(text.encode(), digest_size=16).digest(), text)
    known = dict(zip(sample.excerpts(), sample.lengths(), strict=True))
    assert known.pop("short") == 5
    assert list(known.values()) == [5000]
