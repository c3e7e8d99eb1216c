"""The numbers that a job has printed: its last step, and the first and last measurement of each held-out set.

They are in the log of the first machine, near its start and near its end; what lies between is not read.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cloudcpt.aws.log_streams import LogStreams, newest_of_first_host
from cloudcpt.wire import Evaluation, Progress, parse_evaluation, parse_progress

LINES = 1000
"""Lines read from either end. The first evaluation comes before the first step, after what the libraries print."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbers:
    """What a log says of a job's course; None and empty before anything was printed."""

    progress: Progress | None
    evaluations: tuple[Evaluation, ...]


NO_NUMBERS = Numbers(progress=None, evaluations=())


def numbers_of(logs: LogStreams, job_name: str) -> Numbers:
    """Read the numbers of a job's present attempt.

    Raises:
        CloudcptError: the logs cannot be read.
    """
    stream = newest_of_first_host(logs.streams(job_name))
    if stream is None:
        return NO_NUMBERS
    first, last = logs.ends(stream, lines=LINES)
    progress = next((found for line in reversed(last) if (found := parse_progress(line))), None)
    return Numbers(progress=progress, evaluations=_outermost((*first, *last)))


def _outermost(lines: Iterable[str]) -> tuple[Evaluation, ...]:
    """Keep the first and the last measurement of each set, in order of their steps."""
    found = [evaluation for line in lines if (evaluation := parse_evaluation(line))]
    kept = {(one.set_name, one.step): one for one in found}
    for name in {one.set_name for one in found}:
        steps = [one.step for one in found if one.set_name == name]
        kept = {key: one for key, one in kept.items() if key[0] != name or key[1] in (min(steps), max(steps))}
    return tuple(sorted(kept.values(), key=_step))


def _step(evaluation: Evaluation) -> int:
    return evaluation.step
