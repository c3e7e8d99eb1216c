"""Batches come ahead of their step, in order, and with what went wrong in making them."""

import threading

import pytest
import torch

from cloudcpt.train.prefetch import Prefetched

pytestmark = pytest.mark.train

CPU = torch.device("cpu")
PATIENCE_S = 30


def test_every_step_comes_once_and_in_order():
    assert list(Prefetched(iter([["a"], ["b"], ["c"]]), CPU)) == [["a"], ["b"], ["c"]]
    assert list(Prefetched(iter([]), CPU)) == []


def test_the_next_step_is_made_while_this_one_is_in_use():
    second_is_made = threading.Event()

    def steps():
        yield ["first"]
        second_is_made.set()
        yield ["second"]

    ahead = Prefetched(steps(), CPU)
    assert next(ahead) == ["first"]
    assert second_is_made.wait(PATIENCE_S), "nobody asked for the second step, and nobody made it"
    assert next(ahead) == ["second"]
    ahead.close()


def test_no_more_than_one_step_is_made_ahead():
    made = []

    def steps():
        for number in range(9):
            made.append(number)
            yield [number]

    ahead = Prefetched(steps(), CPU)
    next(ahead)
    next(ahead)
    ahead.close()  # waits for the step that is being made
    assert made == [0, 1, 2]


def test_what_goes_wrong_is_raised_where_its_step_would_have_come():
    def steps():
        yield ["first"]
        raise OSError("the disk is gone")

    ahead = Prefetched(steps(), CPU)
    assert next(ahead) == ["first"]
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)
    ahead.close()


def test_whether_a_step_is_ready_is_told_without_waiting_for_it():
    may_come = threading.Event()

    def steps():
        may_come.wait(PATIENCE_S)
        yield ["first"]

    ahead = Prefetched(steps(), CPU)
    assert not ahead.is_ready(0)
    may_come.set()
    assert ahead.is_ready(PATIENCE_S)
    assert next(ahead) == ["first"]
    ahead.close()


def test_the_thread_ends_with_whoever_asked_for_it():
    ahead = Prefetched(iter([["a"], ["b"], ["c"]]), CPU)
    next(ahead)
    assert any(thread.name.startswith("next-batches") for thread in threading.enumerate())
    ahead.close()
    assert not any(thread.name.startswith("next-batches") for thread in threading.enumerate())
