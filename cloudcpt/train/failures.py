"""What ends a training job early, and how the reason leaves the container: one file, the root cause in its first line.

The failure file is written by whoever fails first on a node. When one process dies, the others lose their
connection to it a moment later; such an echo (`PEER_LOST`) never replaces a reason that is already there, and any
real reason replaces an echo. The launcher imports this module, so nothing here may import torch.
"""

import errno
import os
import re
import sys
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cloudcpt.errors import Blame, CloudcptError
from cloudcpt.wire import Failure, MlFolder, commit_text, failure_in

PEER_LOST = "CPT658"
"""Code of an echo: this process only noticed that another one was gone."""

_RESERVE_BYTES = 64 * 1024

_ECHOES = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "connection refused",
    "remote process exit",
    "timed out waiting",
    "socket timeout",
)
"""What gloo, NCCL and the store say when the process at the other end is gone (torch 2.13; compared in lower case)."""

_ECHOES_OF_TORCH = (*_ECHOES, "timed out", "timeout", "likely closed", "remote peer")
"""What only counts in torch's own exceptions for work between processes, since anything may time out."""

_LAST_ERROR = "Last error:"
"""Comes before the line in which NCCL names the cause (NCCL 2.13 and newer)."""

_NCCL_NO_MEMORY = re.compile("Cuda failure.*out of memory")
"""What NCCL says when the GPU has no room for its buffers."""

_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|[0-9]+ requested and [0-9]+ written")
"""What safetensors and numpy say of a full disk: one raises no OSError, the other one without a number."""


class TrainingFailure(Exception):
    """The job cannot go on, for a reason that we foresaw.

    Args:
        failure: Code, whose it is, one sentence and a hint.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return f"{self.failure.code}: {self.failure.message}"


# --- from exception to reason -----------------------------------------------------------------------------------


def failure_of(exc: BaseException) -> Failure:
    """Turn any exception into the reason that the user reads; what nobody foresaw is our bug, with its traceback."""
    if isinstance(exc, TrainingFailure):
        return exc.failure
    if isinstance(exc, CloudcptError):
        return _of_diagnostics(exc)
    trace = "".join(traceback.format_exception(exc)).rstrip()
    known = _out_of_memory(exc) or _disk_full(exc) or _not_compiled(exc)
    if known is not None:
        return replace(known, detail=trace)
    if (broken := _peer_lost(exc) or _no_exchange(exc)) is not None:
        return broken
    message = f"unexpected {type(exc).__name__}: {exc}".rstrip(": ")
    return Failure(code="CPT699", blame=Blame.BUG, message=message, detail=trace)


def _of_diagnostics(exc: CloudcptError) -> Failure:
    """Say the first finding; a failure text has no room for a list, so the rest is only counted."""
    first = exc.diagnostics[0]
    where = f"{first.place}: " if first.place else ""
    others = sum(found.count for found in exc.diagnostics) - 1
    more = f" (and {others} more)" if others else ""
    return Failure(code=first.code, blame=exc.blame, message=f"{where}{first.message}{more}", hint=first.hint)


def _out_of_memory(exc: BaseException) -> Failure | None:
    # By name, because torch may not be imported here.
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(exc).__mro__) or _NCCL_NO_MEMORY.search(str(exc)):
        hint = "set a smaller `micro_batch_size` or `max_length`, use LoRA, or take an instance with more GPU memory"
        return Failure(code="CPT655", blame=Blame.USER, message="the GPU ran out of memory", hint=hint)
    if isinstance(exc, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(exc):
        return host_out_of_memory("a process could not get the memory it asked for")
    return None


def host_out_of_memory(message: str) -> Failure:
    """Make the failure of a machine that has no memory left, however that was noticed."""
    hint = "set a smaller `micro_batch_size` or fewer processes per node, or take an instance with more memory"
    return Failure(code="CPT656", blame=Blame.USER, message=message, hint=hint)


def _disk_full(exc: BaseException) -> Failure | None:
    by_number = isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT)
    # torch's own errors say it too, of the shared memory between processes, which is no disk.
    by_words = not isinstance(exc, RuntimeError) and _NO_SPACE.search(str(exc))
    if not by_number and not by_words:
        return None
    where = f" while writing `{exc.filename}`" if isinstance(exc, OSError) and exc.filename else ""
    hint = "give the job a larger volume: it holds the inputs, 8 bytes per token of rows and twice the model"
    return Failure(code="CPT657", blame=Blame.USER, message=f"the disk is full{where}", hint=hint)


def _not_compiled(exc: BaseException) -> Failure | None:
    # By name, see above; whatever the compiler of torch runs into comes wrapped in one of its own exceptions.
    if not any(kind.__module__ in ("torch._dynamo.exc", "torch._inductor.exc") for kind in type(exc).__mro__):
        return None
    reason = next((line for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
    hint = "set `compile: off`; and no layer can be compiled without a C++ compiler on the machine"
    message = f"a decoder layer could not be compiled: {reason}"
    return Failure(code="CPT643", blame=Blame.PLATFORM, message=message, hint=hint)


def _peer_lost(exc: BaseException) -> Failure | None:
    echoes = _ECHOES_OF_TORCH if _is_torchs(exc) else _ECHOES
    if not isinstance(exc, RuntimeError) or not any(echo in str(exc).lower() for echo in echoes):
        return None
    return Failure(
        code=PEER_LOST,
        blame=Blame.PLATFORM,
        message="this process lost its connection to another one",
        hint="the reason is in the log of the process that ended first, possibly on another node",
        detail=str(exc),  # where this process was when it noticed says nothing about the cause
    )


def _is_torchs(exc: BaseException) -> bool:
    return any(kind.__name__ == "DistError" for kind in type(exc).__mro__)


def _no_exchange(exc: BaseException) -> Failure | None:
    """Tell what NCCL, gloo or the store could not do on this machine from a peer that is gone."""
    if not _is_torchs(exc):
        return None
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()] or [type(exc).__name__]
    last = lines.index(_LAST_ERROR) + 1 if _LAST_ERROR in lines[:-1] else 0
    return no_exchange(f"the processes cannot exchange gradients: {lines[last]}", detail=str(exc))


def no_exchange(message: str, detail: str = "") -> Failure:
    """Make the failure of processes that run and cannot talk to each other, however that was noticed."""
    hint = "the log has the library's own words, and more of them with `NCCL_DEBUG: INFO` in `launch.environment`"
    return Failure(code="CPT668", blame=Blame.PLATFORM, message=message, hint=hint, detail=detail)


# --- the failure file -------------------------------------------------------------------------------------------


def reserve_space(ml: MlFolder) -> None:
    """Set room aside for the failure file, so that a full disk can still be reported."""
    ml.scratch.mkdir(parents=True, exist_ok=True)
    _reserve(ml).write_bytes(os.urandom(_RESERVE_BYTES))


def _reserve(ml: MlFolder) -> Path:
    return ml.scratch / "failure.reserve"


def write_failure(ml: MlFolder, failure: Failure, rank: int | None) -> None:
    """Leave the reason where the platform looks for it, unless a better one is there already.

    Never raises: the process is ending. The reason goes to stderr as well.

    Args:
        ml: Whose failure file.
        failure: The reason.
        rank: Of the process that failed; None for the launcher.
    """
    source = "launcher" if rank is None else f"rank {rank}"
    sys.stderr.write(f"{source}: {replace(failure, detail='').text()}")
    if not _replaces(failure, read_failure(ml)):
        return
    with suppress(OSError):
        _reserve(ml).unlink()
    try:
        commit_text(ml.failure, replace(failure, detail=f"{failure.detail}\n{source}".strip()).text())
    except OSError as exc:
        sys.stderr.write(f"{source}: the failure file could not be written: {exc}\n")


def _replaces(new: Failure, old: Failure | None) -> bool:
    return old is None or (old.code == PEER_LOST and new.code != PEER_LOST)


def read_failure(ml: MlFolder) -> Failure | None:
    """Read the reason that some process of this node left; None when there is none that we wrote."""
    try:
        return failure_in(ml.failure)
    except OSError:
        return None
