"""Reading many streams as one gives every event once, in order per stream, however late and in whatever pieces.

Against a CloudWatch of our own that is as awkward as the real one may be: streams that appear late, pages of any size,
empty pages, tokens that are forgotten.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.aws.log_streams import (
    LOG_GROUP,
    TOKEN_LIFE_S,
    LogStreams,
    host_of,
    newest_of_first_host,
    read_position,
    write_position,
)
from cloudcpt.jobs.ports import START

JOB = "demo-0123456789"
DAY_S = 24 * 3600.0


class InvalidParameterException(ClientError):
    """A token that the service does not know."""


class ResourceNotFoundException(ClientError):
    """There is no such group."""


class Exceptions:
    InvalidParameterException = InvalidParameterException
    ResourceNotFoundException = ResourceNotFoundException


@dataclass
class FakeLogs:
    """CloudWatch Logs in memory, behind the few calls that are made of it.

    Args:
        page_size: Most events of a page.
        empty_every: Every so many pages are empty although more is to come; 0 for none.
        forgets: Which tokens of an earlier read are not known any more, by number of their use from 1.
    """

    page_size: int = 10_000
    empty_every: int = 0
    forgets: frozenset[int] = frozenset()
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    exceptions: type = Exceptions
    has_group: bool = True
    calls: list[dict[str, Any]] = field(default_factory=list)
    fresh: set[str] = field(default_factory=set)
    old_tokens: int = 0
    pages: int = 0

    def age(self) -> None:
        """Let every token that was given so far be one of an earlier read."""
        self.fresh.clear()

    def write(self, stream: str, at: int, message: str) -> None:
        self.events.setdefault(f"{JOB}/{stream}", []).append({"timestamp": at, "message": message})

    def get_paginator(self, operation: str) -> "FakeLogs":
        assert operation == "describe_log_streams"
        return self

    def paginate(self, *, logGroupName: str, logStreamNamePrefix: str) -> list[dict[str, Any]]:  # noqa: N803 - AWS's
        if not self.has_group:
            raise ResourceNotFoundException({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeLogStreams")
        assert logGroupName == LOG_GROUP
        names = sorted(name for name in self.events if name.startswith(logStreamNamePrefix))
        return [{"logStreams": [{"logStreamName": name}]} for name in names] or [{"logStreams": []}]

    def get_log_events(self, **asked: Any) -> dict[str, Any]:
        """Page forward; a token is the index of the next event among those since `startTime`."""
        assert asked["startFromHead"] is True
        self.calls.append(asked)
        token = asked.get("nextToken")
        if token is not None and token not in self.fresh:
            self.old_tokens += 1
            if self.old_tokens in self.forgets:
                raise InvalidParameterException({"Error": {"Code": "InvalidParameterException"}}, "GetLogEvents")
        since = [event for event in self.events[asked["logStreamName"]] if event["timestamp"] >= asked["startTime"]]
        start = int(token.split("/")[1]) if token else 0
        self.pages += 1
        if self.empty_every and start < len(since) and self.pages % self.empty_every == 0:
            return self._page([], f"empty{self.pages}/{start}")
        page = since[start : start + self.page_size]
        if not page and token:
            return self._page([], token)
        return self._page(page, f"f{asked['startTime']}/{start + len(page)}")

    def _page(self, events: list[dict[str, Any]], token: str) -> dict[str, Any]:
        self.fresh.add(token)
        return {"events": events, "nextForwardToken": token}


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int, str]]:
    """Say in which order which machine writes what when: `(stream, milliseconds, text)`."""
    streams = draw(st.lists(st.sampled_from([f"algo-{n}-{1700 + n}" for n in (1, 2, 3, 10)]), min_size=1, unique=True))
    clocks = dict.fromkeys(streams, 1_700_000_000_000)
    story = []
    for number in range(draw(st.integers(0, 30))):
        stream = draw(st.sampled_from(streams))
        clocks[stream] += draw(st.sampled_from([0, 0, 1, 7, 1000]))  # many lines of one millisecond
        story.append((stream, clocks[stream], f"line {number}"))
    return story


@settings(max_examples=300, deadline=None)
@given(
    story=stories(),
    page_size=st.integers(1, 6),
    empty_every=st.sampled_from([0, 2, 3, 5]),
    forgets=st.frozensets(st.integers(1, 40), max_size=8),
    reads=st.lists(st.integers(0, 6), max_size=12),
    gaps=st.lists(st.sampled_from([0.0, 60.0, DAY_S, 3 * DAY_S]), min_size=1, max_size=5),
)
def test_every_event_is_given_once_and_in_order_whenever_we_look(story, page_size, empty_every, forgets, reads, gaps):
    logs = FakeLogs(page_size=page_size, empty_every=empty_every, forgets=forgets)
    position, given, now, rest = START, [], 0.0, list(story)
    steps = [*reads, len(story), 0, 0, 0]
    for number, written in enumerate(steps):
        for _ in range(min(written, len(rest))):
            logs.write(*rest.pop(0))
        now += gaps[number % len(gaps)]
        logs.age()
        # A new reader each time: nothing but the position, as text, is carried over.
        chunk = LogStreams(logs).read(JOB, json.loads(json.dumps(position)), now=now, with_hosts=True)
        given += chunk.lines
        position = chunk.position
    while not chunk.ended:
        chunk = LogStreams(logs).read(JOB, position, now=now, with_hosts=True)
        given += chunk.lines
        position = chunk.position
    assert sorted(given) == sorted(f"[{host_of(stream)}] {text}" for stream, _, text in story)
    for stream in {stream for stream, _, _ in story}:
        start = f"[{host_of(stream)}] "
        ours = [line for line in given if line.startswith(start)]
        assert ours == [start + text for name, _, text in story if name == stream]


@settings(max_examples=100, deadline=None)
@given(story=stories(), cut=st.integers(0, 30), page_size=st.integers(1, 5))
def test_going_on_from_any_position_gives_the_rest(story, cut, page_size):
    logs = FakeLogs(page_size=page_size)
    for row in story[:cut]:
        logs.write(*row)
    before = LogStreams(logs).read(JOB, START, now=0.0, with_hosts=False)
    for row in story[cut:]:
        logs.write(*row)
    for later_s in (1.0, 5 * DAY_S):
        lines, position, ended = list(before.lines), before.position, False
        while not ended:
            chunk = LogStreams(logs).read(JOB, position, now=later_s, with_hosts=False)
            lines += chunk.lines
            position, ended = chunk.position, chunk.ended
        assert sorted(lines) == sorted(text for _, _, text in story)


def test_lines_of_several_machines_are_merged_by_time():
    logs = FakeLogs()
    for stream, at in (("algo-1-1", 5), ("algo-1-1", 9), ("algo-2-1", 1), ("algo-2-1", 7), ("algo-10-1", 7)):
        logs.write(stream, at, str(at))
    chunk = LogStreams(logs).read(JOB, START, now=0.0, with_hosts=True)
    assert chunk.lines == ("[algo-2] 1", "[algo-1] 5", "[algo-2] 7", "[algo-10] 7", "[algo-1] 9")


def test_one_read_takes_so_much_and_no_more():
    logs = FakeLogs(page_size=1)
    for number in range(25):
        logs.write("algo-1-1", number, str(number))
    first = LogStreams(logs).read(JOB, START, now=0.0, with_hosts=False)
    assert (len(first.lines), first.ended) == (10, False)
    second = LogStreams(logs).read(JOB, first.position, now=0.0, with_hosts=False)
    third = LogStreams(logs).read(JOB, second.position, now=0.0, with_hosts=False)
    assert first.lines + second.lines + third.lines == tuple(str(number) for number in range(25))
    assert third.ended


def test_a_quiet_stream_costs_one_call():
    logs = FakeLogs()
    logs.write("algo-1-1", 5, "x")
    chunk = LogStreams(logs).read(JOB, START, now=0.0, with_hosts=False)
    logs.calls.clear()
    again = LogStreams(logs).read(JOB, chunk.position, now=1.0, with_hosts=False)
    assert (again.lines, again.ended, len(logs.calls)) == ((), True, 1)


def test_an_old_token_is_not_tried():
    logs = FakeLogs()
    logs.write("algo-1-1", 5, "x")
    chunk = LogStreams(logs).read(JOB, START, now=0.0, with_hosts=False)
    logs.calls.clear()
    LogStreams(logs).read(JOB, chunk.position, now=TOKEN_LIFE_S, with_hosts=False)
    assert "nextToken" not in logs.calls[0]
    assert logs.calls[0]["startTime"] == 5


def test_an_event_of_several_lines_is_several_lines():
    logs = FakeLogs()
    logs.write("algo-1-1", 5, "a\nb\n")
    assert LogStreams(logs).read(JOB, START, now=0.0, with_hosts=False).lines == ("a", "b")


def test_an_account_that_never_ran_a_job_has_no_log():
    assert LogStreams(FakeLogs(has_group=False)).read(JOB, START, now=0.0, with_hosts=False).ended


@pytest.mark.parametrize(
    ("streams", "newest"),
    [
        ((), None),
        (("j/algo-2-9",), None),
        (("j/algo-1-5", "j/algo-1-40", "j/algo-10-99"), "j/algo-1-40"),
    ],
)
def test_the_numbers_are_in_the_first_machines_last_attempt(streams, newest):
    assert newest_of_first_host(streams) == newest


def test_a_position_is_text_that_comes_back_as_it_was():
    cursors = read_position('{"algo-1-17":{"token":"f/1","asked_at":3.5,"since":2,"at":9,"count":2}}')
    assert read_position(write_position(cursors)) == cursors
    assert read_position(START) == {}
