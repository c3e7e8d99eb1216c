"""Watch a job to its end: its lines as they come, each once, and its states.

Watching never owns the job: whoever follows may be killed at any moment, and go on later from a position. A service
that is busy or out of reach for a while does not end the watch either.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cloudcpt.errors import TransientError
from cloudcpt.jobs.ports import START, JobService, JobStatus, LogSource

POLL_S = 0.5
"""Seconds between two looks at a job that has nothing new to say."""

PAUSES_S = (2.0, 5.0, 10.0, 30.0, 60.0, 60.0, 60.0, 60.0)
"""How long to wait after each failed look in a row. Each look has been tried several times by then, so that these five
minutes are for an outage, or for a laptop that somebody carries to another room."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """What one look at a job brought.

    Args:
        lines: New lines of the log, as the job wrote them: not safe for a terminal.
        position: Where to go on after these lines.
        status: Of the job, at most as recent as the lines.
    """

    lines: tuple[str, ...]
    position: str
    status: JobStatus


def follow(
    jobs: JobService,
    logs: LogSource,
    name: str,
    *,
    position: str = START,
    poll_s: float = POLL_S,
    pause: Callable[[float], None] = time.sleep,
    trouble: Callable[[TransientError, float], None] = lambda _, __: None,
) -> Iterator[Update]:
    """Yield what is new until the job has ended and its log is drained; the last update has the final status.

    Args:
        jobs: Knows the job's state.
        logs: Has the job's lines.
        name: The job's name in full.
        position: Where an earlier look left off.
        poll_s: Seconds between two looks when there is nothing new.
        pause: How to wait; tests pass their own.
        trouble: Told about a look that failed, and how many seconds later the next one will be.

    Raises:
        TransientError: look after look failed, for minutes.
        CloudcptError: whatever else keeps the job from being seen.
    """
    failed = 0
    while True:
        # The state first: once it is final every line has been written, so the lines read next are the last ones. The
        # other way round, lines that came between the two looks would be lost.
        try:
            status = jobs.status(name)
            chunk = logs.read(name, position)
        except TransientError as exc:
            if failed == len(PAUSES_S):
                raise
            trouble(exc, PAUSES_S[failed])
            pause(PAUSES_S[failed])
            failed += 1
            continue
        failed = 0
        position = chunk.position
        yield Update(lines=chunk.lines, position=position, status=status)
        if chunk.ended:
            if status.state.is_final:
                return
            pause(poll_s)
