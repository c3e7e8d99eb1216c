"""The numbers that a job has printed so far, as the records that its `metrics.jsonl` will have.

A job in the cloud hands that file over when it ends; until then its log is what there is.
"""

from collections.abc import Iterable
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from cloudcpt.wire import Progress, parse_evaluation, parse_progress


def records_of_lines(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Read step and evaluation lines, in order of steps; a job that was started over has said some of them twice.

    Args:
        lines: Of the log, in order; any others are passed over.

    Returns:
        Records of the kinds `step` and `eval`. Of the last two lines about one step the later one counts.
    """
    steps: dict[int, Progress] = {}
    evaluations: dict[tuple[str, int], dict[str, Any]] = {}
    for line in lines:
        if found := parse_progress(line):
            steps[found.step] = found
        elif measured := parse_evaluation(line):
            row = {"kind": "eval", "set": measured.set_name, **asdict(measured)}
            evaluations[measured.set_name, measured.step] = row
    ordered = [steps[step] for step in sorted(steps)]
    return [*(_record(before, now) for before, now in pairwise([None, *ordered]) if now), *evaluations.values()]


def _record(before: Progress | None, now: Progress) -> dict[str, Any]:
    """Make the record of a step. Where its line lacks the seconds, they follow from tokens and rate since the last."""
    row: dict[str, Any] = {"kind": "step", **asdict(now)}
    if now.seconds is not None:
        return row
    steps = now.step - (before.step if before else 0)
    tokens = now.tokens - (before.tokens if before else 0)
    if steps > 0 and now.tokens_per_s > 0:
        row["seconds"] = tokens / now.tokens_per_s / steps
    return row
