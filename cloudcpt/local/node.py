"""One container of a dry run while it runs: the process attached to it, what it prints, what is asked of it."""

import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Final

from cloudcpt.local.containers import Engine
from cloudcpt.local.node_end import NodeEnd
from cloudcpt.wire import Failure, MlFolder, failure_in

_LAST_WORDS_S: Final = 5.0
"""For the rest of the log once a client has ended, should its container still hold the pipe."""

_TOLD_AGAIN_S: Final = 5.0
"""Process 1 of a container does not get a signal that it has no handler for yet, and nobody learns of that."""

_REMOVED_AFTER_S: Final = 10.0
_GIVEN_UP_AFTER_S: Final = 30.0
"""After the first attempt to kill it, a container that is still there is removed, and then its client is killed."""


@dataclass(kw_only=True)
class Node:
    """One container.

    Args:
        engine: Runs it.
        name: Of the container.
        host: As its peers call it.
        ml: Its /opt/ml.
        client: The process that is attached to it, its output a pipe.
        log: Where everything goes that it prints.
        prefix: Before each of its lines there.
        ended_at: When it was seen to have ended, in seconds of the monotonic clock.
        told_at: When SIGTERM last reached it.
        killed_at: When we first killed it.
    """

    engine: Engine
    name: str
    host: str
    ml: MlFolder
    client: subprocess.Popen[bytes]
    log: IO[bytes]
    prefix: bytes
    ended_at: float | None = None
    told_at: float | None = None
    killed_at: float | None = None
    _was_silent: bool = field(default=False, init=False)
    _last_line: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()

    def look(self, now: float) -> None:
        """Notice its end."""
        if self.ended_at is None and self.client.poll() is not None:
            self.ended_at = now

    def ask_to_stop(self, now: float) -> None:
        """Send SIGTERM, again and again; an engine refuses for a container that is about to start."""
        is_due = self.told_at is None or now >= self.told_at + _TOLD_AGAIN_S
        if self.ended_at is None and is_due and self._signal("TERM"):
            self.told_at = now

    def kill(self, now: float) -> None:
        """End it, by one means after the other."""
        if self.ended_at is not None:
            return
        if self.killed_at is None:
            self.killed_at, self._was_silent = now, self._left() is None
        if now >= self.killed_at + _GIVEN_UP_AFTER_S:
            self.client.kill()
        elif now >= self.killed_at + _REMOVED_AFTER_S:
            self.engine.ask("rm", "--force", "--volumes", self.name)
        else:
            self.engine.ask("unpause", self.name)  # one that is paused cannot be killed everywhere
            self._signal("KILL")

    def finish(self) -> int:
        """Wait for its last words, which matter most, and give its exit status."""
        self._reader.join(_LAST_WORDS_S)
        return self.client.wait()

    def end(self, memory: str) -> NodeEnd:
        """Say what is known of its end; `memory` is what it may use."""
        assert self.ended_at is not None, "it is over"
        return NodeEnd(
            host=self.host,
            status=self.client.returncode,
            ended_at=self.ended_at,
            left=self._left(),
            state=self._state(),
            was_silent=self._was_silent,
            last_line=self._last_line,
            memory=memory,
        )

    def _left(self) -> Failure | None:
        with suppress(OSError):
            return failure_in(self.ml.failure)
        return None

    def _state(self) -> dict[str, object] | None:
        answer = self.engine.ask("inspect", "--format", "{{json .State}}", self.name)
        with suppress(ValueError):
            found: dict[str, object] = json.loads(answer.out)
            return found
        return None

    def _signal(self, name: str) -> bool:
        return self.engine.ask("kill", "--signal", name, self.name).status == 0

    def _pass_on(self) -> None:
        assert self.client.stdout is not None, "it is a pipe"
        with self.client.stdout as lines:
            for line in lines:
                self._last_line = line.decode("utf-8", "replace").strip() or self._last_line
                with suppress(OSError):  # on a full disk, lines are lost rather than the container blocked
                    self.log.write(self.prefix + line)
                    self.log.flush()
