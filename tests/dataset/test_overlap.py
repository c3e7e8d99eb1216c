"""Documents that are held out and trained on: found whatever the order, counted once each, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.dataset.overlap import HeldOut, meeting

DIGESTS = st.lists(st.integers(0, 20).map(lambda number: number.to_bytes(16, "big")), max_size=40)


@given(held_out=DIGESTS, trained=DIGESTS)
def test_it_is_what_both_sets_have(held_out: list[bytes], trained: list[bytes]) -> None:
    watch = HeldOut()
    for line, digest in enumerate(held_out, start=1):
        watch.expect(digest, "held-out.jsonl", line, 10 * line)
    for line, digest in enumerate(trained, start=1):
        watch.meet(digest, "train.jsonl", line, 10 * line)
    found, both = watch.overlap(), set(held_out) & set(trained)
    assert (found.documents if found else 0) == len(both)
    if found:
        first = next(digest for digest in trained if digest in both)
        assert (found.trained_at.line, found.place.line) == (trained.index(first) + 1, held_out.index(first) + 1)
        assert (found.place.path, found.trained_at.path, found.is_complete) == ("held-out.jsonl", "train.jsonl", True)
    assert watch.overlap() is None, "it begins anew for other data"


def test_of_too_large_a_set_the_beginning_is_looked_for() -> None:
    watch = HeldOut(most_documents=2)
    for number in (1, 2, 2, 1, 3):
        watch.expect(bytes([number]), "h", number, 0)
    for number in (3, 2, 1):
        watch.meet(bytes([number]), "t", number, 0)
    found = watch.overlap()
    assert found is not None
    assert (found.documents, found.is_complete) == (2, False)


def test_several_sets_are_watched_at_once() -> None:
    watches = [HeldOut(), HeldOut()]
    for number, watch in enumerate(watches):
        watch.expect(bytes([number]), "h", 1, 0)
    see = meeting(watches)
    assert see is not None
    see(b"\1", "t", 7, 70)
    assert [found and found.trained_at.line for found in map(HeldOut.overlap, watches)] == [None, 7]
    assert meeting([]) is None
