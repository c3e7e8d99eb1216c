"""The launcher: one per host, the process that the platform starts, signals and waits for. It never imports torch.

    check    plan.json and resourceconfig.json agree on the world, or nothing starts
    run      the training processes of this host (cloudcpt.train.processes)
    judge    exit status and failure file -> outcome; every ending but success leaves a failure file with a code

SIGTERM, SIGINT and the plan's time limit all become one wish to stop (cloudcpt.train.stop), and repeating them
changes nothing. Exit codes: 0 completed, 7 stopped, 1 failed. A training process itself ends with 0 also when it
stopped as it was asked to, because torchrun would take anything else for a failure and kill the others; the code in
the failure file tells the launcher.
"""

import os
import signal
import time
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from types import FrameType

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import read_plan
from cloudcpt.train.cluster import read_cluster, refuse_other_plan, wait_for_hosts
from cloudcpt.train.failures import (
    PEER_LOST,
    TrainingFailure,
    failure_of,
    host_out_of_memory,
    no_exchange,
    read_failure,
    reserve_space,
    write_failure,
)
from cloudcpt.train.privileges import USER_VARIABLE, give_up_root
from cloudcpt.train.processes import MEETING_S, NOT_MET, run_processes
from cloudcpt.train.stop import KILLED, STOPPED, clear_stop, request_stop, stop_failure, stop_requested
from cloudcpt.wire import Failure, MlFolder

WORKER_MODULE = "cloudcpt.train.worker"

GRACE_S = 100.0
"""How long a stopping job may take. The platform kills after 120 s, and the failure file must be there before that.
Source: Amazon SageMaker API reference, StopTrainingJob."""

_MEMORY_EVENTS = (Path("/sys/fs/cgroup/memory.events"), Path("/sys/fs/cgroup/memory/memory.oom_control"))
"""Of this container: cgroup v2, then v1. Source: the kernel's cgroup-v2.rst and cgroup-v1/memory.rst."""


class LaunchCode(IntEnum):
    """What the platform sees as the exit status of the container."""

    COMPLETED = 0
    FAILED = 1
    STOPPED = 7


def launch(
    root: Path, *, worker_module: str = WORKER_MODULE, grace_s: float = GRACE_S, is_image: bool = False
) -> LaunchCode:
    """Run the job under a root folder to its end.

    Args:
        root: Laid out like /opt/ml.
        worker_module: Run as `python -m MODULE --root ROOT`, once per training process.
        grace_s: Seconds between the wish to stop and the end by force.
        is_image: This is the bundled image, where nothing but the job runs, and root is given up.
    """
    ml = MlFolder(root)
    try:
        reason = _run_job(ml, worker_module, grace_s, is_image)
    except Exception as exc:  # noqa: BLE001 - the platform learns of a failure, whatever it is, from this file only
        reason = failure_of(exc)
    if reason is None:
        return LaunchCode.COMPLETED
    if reason != read_failure(ml):
        write_failure(ml, reason, rank=None)
    return LaunchCode.STOPPED if reason.code in (STOPPED, KILLED) else LaunchCode.FAILED


def _run_job(ml: MlFolder, worker_module: str, grace_s: float, is_image: bool) -> Failure | None:
    _clear(ml)
    _stop_on_signals(ml)
    plan = read_plan(ml.plan)
    if is_image and (words := give_up_root(ml, (os.environ | dict(plan.world.environment)).get(USER_VARIABLE, ""))):
        print(words, flush=True)  # noqa: T201  # the log of a job is its output
    refuse_other_plan(ml, plan)
    cluster = read_cluster(ml, plan.world)
    if len(cluster.hosts) > 1:
        wait_for_hosts(cluster.hosts, sleep=lambda seconds: _pause(ml, seconds))
    kills_before = _oom_kills()
    status = run_processes(
        ml, plan.world, cluster, worker_module=worker_module, limit_s=plan.max_runtime_s, grace_s=grace_s
    )
    has_nccl = plan.world.device == "cuda" and plan.world.size > 1
    return judge(status, read_failure(ml), out_of_memory=_oom_kills() > kills_before, has_nccl=has_nccl)


def _clear(ml: MlFolder) -> None:
    """Forget what an earlier attempt in the same folder said about its end."""
    ml.failure.unlink(missing_ok=True)
    ml.metrics.parent.mkdir(parents=True, exist_ok=True)  # NCCL's watchdog makes no folder for its traces
    clear_stop(ml)
    reserve_space(ml)


def _stop_on_signals(ml: MlFolder) -> None:
    def ask(number: int, _frame: FrameType | None) -> None:
        if not stop_requested(ml):
            request_stop(ml, signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))  # one may have come already


def _pause(ml: MlFolder, seconds: float) -> None:
    if stop_requested(ml):
        raise TrainingFailure(stop_failure(ml, None))
    time.sleep(seconds)


def _oom_kills() -> int:
    """Count the processes that the kernel has killed for want of memory in this container; 0 where nothing says."""
    for path in _MEMORY_EVENTS:
        with suppress(OSError, StopIteration):
            lines = (line.split() for line in path.read_text("utf-8").splitlines())
            return next(int(count) for name, count in lines if name == "oom_kill")
    return 0


def judge(status: int, left: Failure | None, *, out_of_memory: bool, has_nccl: bool) -> Failure | None:
    """Decide how the job ended.

    Args:
        status: Exit status of the training processes, `128 + signal` after a signal.
        left: What they left in the failure file.
        out_of_memory: The kernel killed something for want of memory meanwhile.
        has_nccl: Gradients travel by NCCL, whose watchdog ends a process by SIGABRT.

    Returns:
        None when the job completed, else the reason: the one that was left, unless it is only the echo of a process
        that died without a word.
    """
    if status == 0 and left is None:
        return None
    if left is not None and left.code != PEER_LOST:
        return left
    if status == 128 + signal.SIGKILL:
        certain = "the kernel killed a training process because the machine ran out of memory"
        likely = "a training process was killed (SIGKILL), most likely because the machine ran out of memory"
        return host_out_of_memory(certain if out_of_memory else likely)
    if status == 128 + signal.SIGABRT and has_nccl:
        return no_exchange("NCCL ended a training process (SIGABRT): another one was silent too long, or a GPU failed")
    if status == NOT_MET:
        message = f"not all machines of this job had come after {MEETING_S} s"
        return Failure(code=PEER_LOST, blame=Blame.PLATFORM, message=message, hint="their logs say what kept them")
    if status > 128:
        message = f"a training process crashed with {_signal_name(status - 128)}"
        hint = "the log shows where; a crash in native code is often a driver or library mismatch"
        return Failure(code="CPT662", blame=Blame.PLATFORM, message=message, hint=hint)
    if left is not None:
        return left
    message = f"the training processes ended with exit status {status} and without a reason"
    return Failure(code="CPT663", blame=Blame.BUG, message=message, hint="the log shows what happened last")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
