"""How long a training process takes from its start to the end of its first step, phase by phase.

A GPU waits all that time, and is paid for. `docs/benchmarks.md` says what each phase may take.
"""

import os
import time
from pathlib import Path

_LAST = "first step"


class StartUp:
    """A clock that is told when a phase ends; the first one, `imports`, has ended when the clock is made."""

    def __init__(self) -> None:
        self._seconds = {"imports": _process_age_s()}
        self._last = time.monotonic()

    def ends(self, phase: str) -> None:
        """Note that a phase ends now, and the next one begins."""
        now = time.monotonic()
        self._seconds[phase], self._last = now - self._last, now

    @property
    def is_running(self) -> bool:
        """Tell whether the first step is still to come."""
        return _LAST not in self._seconds

    @property
    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds of each phase that has ended, in order."""
        return dict(self._seconds)

    def in_words(self) -> str:
        """Say the whole and its parts in one line."""
        parts = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in self._seconds.items())
        return f"{sum(self._seconds.values()):.1f} s from the start of the process through the first step: {parts}"


def _process_age_s() -> float:
    """Tell how long this process has been there; 0 where the system does not say."""
    try:
        # The name of the program, in parentheses, may hold spaces; the start is field 22, in ticks since boot.
        started = int(Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text("utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return 0.0
    return max(0.0, uptime_s - started / os.sysconf("SC_CLK_TCK"))
