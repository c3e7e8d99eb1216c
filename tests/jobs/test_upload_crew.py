"""The threads that send: who calls off what they were given knows afterwards that nothing is under way."""

import threading

import pytest

from cloudcpt.jobs.crew import Crew


def test_what_was_called_off_is_not_begun_and_what_was_begun_is_waited_for():
    begun, may_end, done = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        may_end.wait(10)
        done.append("slow")

    with Crew(1) as crew:
        futures = [crew.give(slow), crew.give(lambda: done.append("never"))]
        begun.wait(10)
        calling = threading.Thread(target=crew.call_off, args=(futures,))
        calling.start()
        calling.join(0.05)
        assert calling.is_alive()
        may_end.set()
        calling.join(10)
        assert done == ["slow"]
        assert crew.give(lambda: "still here").result(10) == "still here"


def test_whoever_asks_for_a_result_gets_what_went_wrong_and_the_crew_goes_on():
    def fail() -> None:
        raise KeyError("x")

    with Crew(1) as crew:
        with pytest.raises(KeyError):
            crew.give(fail).result(10)
        assert crew.give(lambda: 7).result(10) == 7


def test_nobody_waits_for_a_request_that_hangs_when_the_program_ends():
    hangs, names = threading.Event(), []
    try:
        with Crew(2) as crew:
            names = [thread for thread in threading.enumerate() if thread.name.startswith("send-")]
            crew.give(hangs.wait)
    finally:
        assert [thread.daemon for thread in names] == [True, True]
        hangs.set()
