"""The log of a training job: one CloudWatch stream per machine and attempt, read as one, from a position that lasts.

    /aws/sagemaker/TrainingJobs
      <job>/algo-1-1763712000     appears with the first line of the machine, sooner or later than the others
      <job>/algo-2-1763712000

A position says for each stream where to go on, in two ways: by the service's token, which is exact and lives for 24
hours, and by the time of the last line given and how many lines of that millisecond were given, which lasts. A stream
that a position does not know has just appeared, and is read from its start.

Source: CloudWatch Logs API reference, GetLogEvents: a page may be empty before the end; the end is the token that was
passed in; `startTime` is inclusive.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from cloudcpt.aws.errors import translated
from cloudcpt.errors import UsageProblem, error
from cloudcpt.jobs.ports import START, LogChunk

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""Source: SageMaker developer guide, "Log groups and streams that SageMaker sends to CloudWatch Logs"."""

PAGES = 10
"""Pages of one stream that a read brings at most, each 1 MB or 10,000 lines: what a read takes of memory is bounded."""

TOKEN_LIFE_S = 23 * 3600.0
"""A token lives for 24 hours; whether an older one is an error or a silent mistake is not documented."""

_STREAM = re.compile(r"(?P<host>algo-(?P<number>\d+))-(?P<started>\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """Where to go on in one stream.

    Args:
        token: Of the service; empty before the first page.
        asked_at: When the token was given, in seconds since 1970.
        since: The `startTime` that the token was made with, in milliseconds since 1970.
        at: Time of the last line given, in milliseconds since 1970.
        count: How many lines of that very millisecond were given.
    """

    token: str = ""
    asked_at: float = 0.0
    since: int = 0
    at: int = 0
    count: int = 0

    def after(self, events: Sequence[Mapping[str, Any]]) -> "Cursor":
        """Move on by events that were given."""
        at, count = self.at, self.count
        for event in events:
            count = count + 1 if event["timestamp"] == at else 1
            at = event["timestamp"]
        return replace(self, at=at, count=count)


class LogStreams:
    """The logs of one region.

    Args:
        client: Of CloudWatch Logs.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def streams(self, job_name: str) -> tuple[str, ...]:
        """Name the streams that have appeared so far, by machine and then by time."""
        pages = self._client.get_paginator("describe_log_streams")
        asked = {"logGroupName": LOG_GROUP, "logStreamNamePrefix": f"{job_name}/algo-"}
        with translated(f"list the logs of job `{job_name}`"):
            try:
                found = [row["logStreamName"] for page in pages.paginate(**asked) for row in page["logStreams"]]
            except self._client.exceptions.ResourceNotFoundException:
                return ()  # the very first job of an account: not even the group is there
        return tuple(sorted((name for name in found if _STREAM.search(name)), key=_order))

    def read(self, job_name: str, position: str, *, now: float, with_hosts: bool) -> LogChunk:
        """Read on in every stream; what comes is ordered by time as far as it came together.

        All or nothing: when the service fails half-way nothing is given, and the old position still holds.

        Args:
            job_name: Whose log.
            position: As an earlier chunk gave it.
            now: Seconds since 1970.
            with_hosts: Begin each line with its machine: `[algo-2] `.

        Raises:
            UsageProblem: the position is not one of ours.
            CloudcptError: the service cannot be asked.
        """
        cursors, ended = read_position(position), True
        timed: list[tuple[int, str]] = []
        for stream in self.streams(job_name):
            short, host = stream.removeprefix(f"{job_name}/"), host_of(stream)
            events, cursors[short], is_end = self._read_on(stream, cursors.get(short, Cursor()), now)
            ended &= is_end
            start = f"[{host}] " if with_hosts else ""
            timed += [
                (event["timestamp"], start + text)
                for event in events
                for text in event["message"].removesuffix("\n").split("\n")
            ]
        timed.sort(key=_time)  # stable: lines of one stream keep their order
        return LogChunk(lines=tuple(text for _, text in timed), position=write_position(cursors), ended=ended)

    def ends(self, stream: str, *, lines: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Give about so many lines from the start of a stream and from its end; they may overlap.

        Raises:
            CloudcptError: the service cannot be asked.
        """
        with translated(f"read the log `{stream}`"):
            last = self._first_page(stream, limit=lines, startFromHead=False)
            first = self._first_page(stream, limit=lines, startFromHead=True) if len(last) >= lines else last
        return first, last

    def _first_page(self, stream: str, **options: Any) -> tuple[str, ...]:
        """Give the first page with anything on it."""
        token: dict[str, str] = {}
        towards = "nextForwardToken" if options["startFromHead"] else "nextBackwardToken"
        for _ in range(PAGES):
            answer = self._client.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, **options, **token)
            if answer["events"] or token.get("nextToken") == answer[towards]:
                break
            token = {"nextToken": answer[towards]}
        return tuple(event["message"] for event in answer["events"])

    def _read_on(self, stream: str, cursor: Cursor, now: float) -> tuple[list[Mapping[str, Any]], Cursor, bool]:
        """Read a stream to its end, or as far as one read goes; tell whether it was the end."""
        with translated(f"read the log `{stream}`"):
            if cursor.token and now - cursor.asked_at < TOKEN_LIFE_S:
                try:
                    return self._pages(stream, cursor, 0, now)
                except self._client.exceptions.InvalidParameterException:
                    pass  # a token that the service has forgotten
            again = replace(cursor, token="", since=cursor.at)
            return self._pages(stream, again, cursor.count, now)

    def _pages(
        self, stream: str, cursor: Cursor, known: int, now: float
    ) -> tuple[list[Mapping[str, Any]], Cursor, bool]:
        """Turn pages from a cursor on; the first `known` events of the cursor's millisecond were given before."""
        given: list[Mapping[str, Any]] = []
        for _ in range(PAGES):
            token = {"nextToken": cursor.token} if cursor.token else {}
            answer = self._client.get_log_events(
                logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, startTime=cursor.since, **token
            )
            fresh = []
            for event in answer["events"]:
                if known and event["timestamp"] == cursor.at:
                    known -= 1
                else:
                    fresh.append(event)
            given += fresh
            is_end = answer["nextForwardToken"] == cursor.token
            cursor = replace(cursor.after(fresh), token=answer["nextForwardToken"], asked_at=now)
            if is_end:
                return given, cursor, True
        return given, cursor, False


def host_of(stream: str) -> str:
    """Name the machine of a stream: `algo-1`."""
    found = _STREAM.search(stream)
    assert found, f"`{stream}` is no stream of a training job"
    return found["host"]


def newest_of_first_host(streams: Iterable[str]) -> str | None:
    """Pick the stream with the numbers: rank 0 prints them, in the last attempt if there were several."""
    first = [stream for stream in streams if host_of(stream) == "algo-1"]
    return max(first, key=_order, default=None)


def read_position(position: str) -> dict[str, Cursor]:
    """Read a position.

    Raises:
        UsageProblem: it is not one that `write_position` made.
    """
    if position == START:
        return {}
    try:
        return {name: Cursor(**row) for name, row in json.loads(position).items()}
    except (ValueError, TypeError, AttributeError) as exc:
        raise UsageProblem(
            error("CPT444", f"`{position[:80]}` is no position in the log of a job in the cloud")
        ) from exc


def write_position(cursors: Mapping[str, Cursor]) -> str:
    """Write a position: text that may be kept for days."""
    return json.dumps({name: asdict(cursor) for name, cursor in cursors.items()}, separators=(",", ":"))


def _order(stream: str) -> tuple[int, int]:
    found = _STREAM.search(stream)
    assert found, f"`{stream}` is no stream of a training job"
    return int(found["number"]), int(found["started"])


def _time(timed: tuple[int, str]) -> int:
    return timed[0]
