"""The time that the fake services live in: it stands still, runs, or runs fast, and a test can turn it on."""

import threading
import time


class Clock:
    """A clock that tests turn.

    Args:
        speed: Seconds that pass here per real second: 0.0 stands still until `advance`, 1.0 is real time, 60.0 lets a
            job of an hour end in a minute.
        start: Seconds since 1970; now when None.
    """

    def __init__(self, speed: float = 0.0, start: float | None = None) -> None:
        self._lock = threading.Lock()
        self._first = (speed, start)
        self.reset()

    def now(self) -> float:
        """Tell the time, in seconds since 1970."""
        with self._lock:
            return self._now()

    def advance(self, seconds: float) -> None:
        """Let time pass at once."""
        with self._lock:
            self._base += seconds

    def run(self, speed: float) -> None:
        """Go on from now at another speed."""
        with self._lock:
            self._base, self._since, self._speed = self._now(), time.monotonic(), speed

    def reset(self) -> None:
        """Begin again."""
        with self._lock:
            self._speed, start = self._first
            self._since = time.monotonic()
            self._base = time.time() if start is None else start

    def _now(self) -> float:
        return self._base + (time.monotonic() - self._since) * self._speed
