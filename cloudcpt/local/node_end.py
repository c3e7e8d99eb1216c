"""Why a container of a dry run ended, where the job in it left no reason, and which of all nodes knows the cause."""

import signal
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from cloudcpt.errors import Blame
from cloudcpt.wire import Failure

_PEER_LOST: Final = "CPT658"
_NO_EXCHANGE: Final = "CPT668"
"""A library could not talk to the others: the cause, unless one of them had died, which it may put in any words."""

_OUT_OF_MEMORY: Final = "CPT656"

DISK_FULL: Final = "CPT657"
DISK_HINT: Final = "free some space, or name a folder on a larger disk in $CLOUDCPT_STATE_DIR"

_ENGINE_FAILED: Final = (125, 126, 127)
"""Exit statuses of `docker run` and its like: the engine could not, the command cannot be run, there is none.
Source: docker run reference, "Exit status"; podman-run(1)."""


class _Knows(IntEnum):
    """How much a reason says of the cause, most first."""

    CAUSE = 0
    DEATH = 1
    DOUBT = 2
    SILENCE = 3
    ECHO = 4


@dataclass(frozen=True, kw_only=True)
class NodeEnd:
    """What is known of the end of one container.

    Args:
        host: As its peers call it.
        status: Exit status; not 0.
        ended_at: In seconds of the monotonic clock.
        left: What it left in its failure file.
        state: As the engine describes it; None where there is no such container any more.
        was_silent: We killed it, because its peers had ended or it was asked to, and it had not said a word until then.
        last_line: What it, or the engine, printed last.
        memory: What it may use, as docker writes it; empty for no limit.
    """

    host: str
    status: int
    ended_at: float
    left: Failure | None
    state: dict[str, object] | None
    was_silent: bool
    last_line: str
    memory: str

    @property
    def failure(self) -> Failure:
        """Say why it ended."""
        return self._weighed()[1]

    @property
    def rank(self) -> tuple[int, float]:
        """Order the ends of one job: who knows most comes first, and of two the one who ended first."""
        return self._weighed()[0], self.ended_at

    def _weighed(self) -> tuple[_Knows, Failure]:
        if self.left is not None and self.left.code != _PEER_LOST:
            knows = _Knows.DOUBT if self.left.code == _NO_EXCHANGE else _Knows.CAUSE
            return knows, self._with_own_hint(self.left)
        if self.state is not None and self.state.get("OOMKilled"):
            return _Knows.CAUSE, self._out_of_memory()
        if self.was_silent:
            message = f"the container of {self.host} stopped answering and was killed"
            hint = "the log shows what it did last; a machine that hangs is often short of memory"
            return _Knows.SILENCE, _failure(_PEER_LOST, message, hint)
        if self.left is not None:
            return _Knows.ECHO, self.left
        if self.status in _ENGINE_FAILED:
            message = f"the container engine could not run {self.host}: {self.last_line.removeprefix('Error: ')}"
            return _Knows.CAUSE, _failure("CPT792", message, "try the engine by hand: `podman run`, `docker run`")
        return _Knows.DEATH, self._death()

    def _death(self) -> Failure:
        """Say how one ended that was there one moment and gone the next."""
        if self.state is None:
            message = f"the container of {self.host} was removed while it ran"
            return _failure("CPT663", message, "somebody removed it, or an engine that restarted; submit again")
        if self.status == 128 + signal.SIGKILL:
            message = f"the container of {self.host} was killed (SIGKILL), most likely because memory ran out"
            return Failure(code=_OUT_OF_MEMORY, blame=Blame.USER, message=message, hint=self._memory_hint())
        message = f"the container of {self.host} ended with exit status {self.status} and without a reason"
        return _failure("CPT663", message, "the log shows what happened last")

    def _out_of_memory(self) -> Failure:
        may = f"it may ({self.memory})" if self.memory else "there is"
        message = f"the container of {self.host} was killed because it used more memory than {may}"
        return Failure(code=_OUT_OF_MEMORY, blame=Blame.USER, message=message, hint=self._memory_hint())

    def _with_own_hint(self, left: Failure) -> Failure:
        """Say what helps here: the job in a container knows the cloud's instances, not the limits of a rehearsal."""
        if left.code == _OUT_OF_MEMORY and self.memory:
            return replace(left, hint=self._memory_hint())
        return replace(left, hint=DISK_HINT) if left.code == DISK_FULL else left

    def _memory_hint(self) -> str:
        more = "raise `launch.container.memory_gb`" if self.memory else "free memory on this machine"
        return f"{more}, or set a smaller `micro_batch_size`"


def root_cause(ends: list[NodeEnd]) -> Failure:
    """Choose the reason that explains the others."""
    return min(ends, key=lambda end: end.rank).failure


def _failure(code: str, message: str, hint: str) -> Failure:
    return Failure(code=code, blame=Blame.PLATFORM, message=message, hint=hint)
