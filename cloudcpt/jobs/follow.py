"""Watch a job to its end: its lines as they come, each once, and its states.

Watching never owns the job: whoever follows may be killed at any moment, and go on later from a position.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cloudcpt.jobs.ports import START, JobService, JobStatus, LogSource

POLL_S = 0.5
"""Seconds between two looks at a job that has nothing new to say."""


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
) -> Iterator[Update]:
    """Yield what is new until the job has ended and its log is drained; the last update has the final status.

    Args:
        jobs: Knows the job's state.
        logs: Has the job's lines.
        name: The job's name in full.
        position: Where an earlier look left off.
        poll_s: Seconds between two looks when there is nothing new.
        pause: How to wait; tests pass their own.
    """
    while True:
        # The state first: once it is final every line has been written, so the lines read next are the last ones. The
        # other way round, lines that came between the two looks would be lost.
        status = jobs.status(name)
        chunk = logs.read(name, position)
        position = chunk.position
        yield Update(lines=chunk.lines, position=position, status=status)
        if chunk.ended:
            if status.state.is_final:
                return
            pause(poll_s)
