"""What became of every lane: passed, failed, or not run and why; printed as one table at the end.

A lane that cannot run is no failure of the code and no success either. What may be called "not run" is what a program
that is not ours could not do: no capability, no apt, no engine, no wheel to be had. Wherever our own code takes part
and something goes wrong, that is a failure.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Word = Literal["passed", "failed", "not run"]


class NotRun(Exception):
    """The machine does not allow it; the message says what is missing."""


class Failed(Exception):
    """It was tried, and something of ours is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one lane.

    Args:
        lane: Its name.
        proves: What it shows when it passes.
        word: How it ended.
        remark: Why it did not run or failed; what was seen where it passed.
        seconds: How long it took.
    """

    lane: str
    proves: str
    word: Word
    remark: str
    seconds: float


@dataclass(kw_only=True)
class Ledger:
    """All lanes of one run, in their order.

    Args:
        tell: Gets each line that is to be seen.
    """

    tell: Callable[[str], None]
    outcomes: list[Outcome] = field(default_factory=list)

    def run(self, lane: str, proves: str, work: Callable[[], str], *, lacking: str = "") -> bool:
        """Run a lane and keep what becomes of it.

        Args:
            lane: Its name.
            proves: What it shows when it passes.
            work: Does it, and gives a remark; raises `NotRun` or `Failed`. Whatever else it raises is a bug of the
                lane, and ends the run.
            lacking: What an earlier lane found missing, so that this one cannot run; empty when it can.

        Returns:
            Whether it passed.
        """
        self.tell(f"--- {lane}: {proves}")
        started = time.monotonic()
        word: Word = "passed"
        try:
            if lacking:
                raise NotRun(lacking)
            remark = work()
        except NotRun as reason:
            word, remark = "not run", str(reason)
        except Failed as reason:
            word, remark = "failed", str(reason)
        seconds = time.monotonic() - started
        self.outcomes.append(Outcome(lane=lane, proves=proves, word=word, remark=remark, seconds=seconds))
        self.tell(f"--- {lane}: {word}{f': {remark}' if remark else ''} ({seconds:.0f} s)")
        return word == "passed"

    def table(self) -> str:
        """Draw the table."""
        rows = [("lane", "outcome", "seconds", "proves", "remark")]
        rows += [(o.lane, o.word, f"{o.seconds:.0f}", o.proves, o.remark) for o in self.outcomes]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]).rstrip()
            for row in rows
        )

    @property
    def exit_status(self) -> int:
        """Give 1 when a lane failed; one that could not run is no reason to."""
        return int(any(outcome.word == "failed" for outcome in self.outcomes))
