"""The end before the end: how the wish to stop reaches the loop of every process on a node.

The launcher answers SIGTERM, SIGINT or the end of the allowed time by writing one file into the scratch folder. It
sends no signal on: torchrun follows its own SIGTERM with SIGKILL, which a long step would not survive. A process that
is signalled itself (plain torchrun, a person with `kill`) remembers it. The loop asks `stop_requested` once per step
and lets all ranks agree, so that they end after the same step.
"""

import ctypes
import signal
from types import FrameType

from cloudcpt.errors import Blame
from cloudcpt.wire import Failure, MlFolder, commit_text, recovery_steps

STOPPED = "CPT660"
"""Code of a run that ended because it was asked to."""

KILLED = "CPT661"
"""Code of a run that was asked to end, did not, and was killed."""

_STOP_FILE = "stop"
_PR_SET_PDEATHSIG = 1
_signalled = False


def request_stop(ml: MlFolder, reason: str) -> None:
    """Ask every process on this node to end after its current step.

    Args:
        ml: Whose processes.
        reason: What asked, as it reads after "stopped by": `SIGTERM`, `the time limit of 3600 s`.
    """
    commit_text(ml.scratch / _STOP_FILE, reason + "\n")


def clear_stop(ml: MlFolder) -> None:
    """Forget a wish that an earlier attempt in the same folder left behind."""
    (ml.scratch / _STOP_FILE).unlink(missing_ok=True)


def stop_requested(ml: MlFolder) -> bool:
    """Say whether this process was asked to stop; costs one `stat`."""
    return _signalled or (ml.scratch / _STOP_FILE).exists()


def stop_failure(ml: MlFolder, step: int | None) -> Failure:
    """Say why and where a run stopped, for the failure file.

    Args:
        ml: Whose run.
        step: Optimizer steps completed; None where only another node knows.
    """
    where = "" if step is None else f" after step {step}"
    message = f"stopped by {_reason(ml)}{where}; no model was saved"
    states = recovery_steps(ml)
    way_on = f"; `cloudcpt resume` goes on after step {states[-1]}" if states else ""
    return Failure(code=STOPPED, blame=Blame.USER, message=message + way_on)


def killed_failure(ml: MlFolder, grace_s: float) -> Failure:
    """Say that a run that was asked to stop had to be killed."""
    message = f"stopped by {_reason(ml)}, the training processes did not end within {grace_s:g} s and were killed"
    return Failure(code=KILLED, blame=Blame.USER, message=message)


def _reason(ml: MlFolder) -> str:
    try:
        return (ml.scratch / _STOP_FILE).read_text("utf-8").strip()
    except FileNotFoundError:  # a process was signalled itself
        return "a signal"


def remember_signals() -> None:
    """Let SIGTERM and SIGINT wish for a stop instead of ending this process in the middle of a step."""

    def remember(_number: int, _frame: FrameType | None) -> None:
        global _signalled
        _signalled = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, remember)


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies.

    torchrun starts its workers in sessions of their own; without this bond they would outlive a killed torchrun and
    train on, unseen. Linux only, and harmless where libc does not know the call.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
