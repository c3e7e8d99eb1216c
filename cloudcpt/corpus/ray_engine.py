"""The engine for many machines: Ray, on this machine alone or joined to a cluster that runs.

Ray's tasks do the work, its object store moves the parts from one machine to another and spills what does not fit, and
it runs a task again whose process has died. A task raises what the work raised; that is never tried again.

On this machine Ray talks to itself over the loopback address, keeps everything in a folder of its own, and is gone
after the block, as it is after an error or Ctrl-C. Its ports are open on every address all the same; whoever connects
needs a token, which is made anew each time. Neither here nor on a cluster does it report its use to anyone.

Source: Ray 2.60, `ray.init`, fault tolerance of tasks.
"""

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from cloudcpt.errors import CloudcptError, SetupError, error

Item = TypeVar("Item")
Part = TypeVar("Part")
Result = TypeVar("Result")

LEAST_SHARED_BYTES: Final = 150 << 20
"""Of /dev/shm; Ray takes at least 75 MiB for its object store, and moves it to a slow disk where that is not there."""

_TRIES: Final = 3
"""How often a task begins again after its process has died."""

_PATIENCE_S: Final = 10.0

_AT_ONCE: Final = 4
"""Tasks per core that are handed to Ray at once: enough that none waits, few enough that Ctrl-C is quick."""

_SHARED: Final = Path("/dev/shm")  # noqa: S108 - a name of the system's, where nothing is written
_LONGEST_FOLDER: Final = 40
"""Characters; the names of Ray's sockets below it have to stay under 107. Source: unix(7), sun_path."""

QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # else it warns of a change to come that is about GPUs
    "RAY_enable_metrics_collection": "0",  # nobody asks for them, and they listen on a port
}
"""Read by Ray when it is imported and by the processes that it starts."""


class RayEngine:
    """An `Engine` over a Ray that has been joined; `ray_engine` makes one.

    Args:
        ray: The module.
        cores: Of all machines.
    """

    def __init__(self, ray: Any, cores: int) -> None:
        self._ray = ray
        self._at_once = max(1, cores) * _AT_ONCE

    def each(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Do some work on every item; see `Engine.each`."""
        task = self._task(work)
        waiting: list[Any] = []
        try:
            for item in items:
                waiting.append(task.remote(item))
                if len(waiting) >= self._at_once:
                    yield self._result(waiting.pop(0))
            while waiting:
                yield self._result(waiting.pop(0))
        finally:
            self._call_off(waiting)

    def exchange(
        self,
        split: Callable[[Item], Sequence[Part]],
        gather: Callable[[Sequence[Part]], Result],
        items: Sequence[Item],
        *,
        partitions: int,
    ) -> Iterator[Result]:
        """Divide and bring together, through Ray's object store; see `Engine.exchange`."""
        divide, bring = self._task(_Parts(split), returns=partitions), self._task(_Gathered(gather))
        parts = [divide.remote(item) for item in items]
        rows = [[row] if partitions == 1 else row for row in parts]
        waiting = [bring.remote(*(row[partition] for row in rows)) for partition in range(partitions)]
        del parts, rows  # what nobody names any more, Ray forgets once it has been gathered
        try:
            while waiting:
                yield self._result(waiting.pop(0))
        finally:
            self._call_off(waiting)

    def _task(self, work: Callable[..., Any], *, returns: int = 1) -> Any:
        return self._ray.remote(num_returns=returns, max_retries=_TRIES, retry_exceptions=False)(_called(work))

    def _result(self, reference: Any) -> Any:
        from ray import exceptions

        try:
            return self._ray.get(reference)
        except exceptions.RayTaskError as exc:
            cause = exc.cause
            while isinstance(cause, exceptions.RayTaskError):  # of the task before, whose result it was waiting for
                cause = cause.cause
            if isinstance(cause, CloudcptError):
                raise cause from None
            raise
        except exceptions.RayError as exc:
            raise _lost(exc) from exc

    def _call_off(self, references: Sequence[Any]) -> None:
        for reference in references:
            self._ray.cancel(reference, force=False)


class _Parts:
    """Divides, and gives a single part as Ray wants it, without a list around it."""

    def __init__(self, split: Callable[[Any], Sequence[Any]]) -> None:
        self._split = split

    def __call__(self, item: Any) -> Any:
        parts = self._split(item)
        return parts[0] if len(parts) == 1 else tuple(parts)


class _Gathered:
    """Takes the parts as arguments, which is how Ray brings them, and hands them on as one sequence."""

    def __init__(self, gather: Callable[[Sequence[Any]], Any]) -> None:
        self._gather = gather

    def __call__(self, *parts: Any) -> Any:
        return self._gather(parts)


def _called(work: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of something callable: Ray takes nothing else."""

    def task(*arguments: Any) -> Any:
        return work(*arguments)

    return task


@contextmanager
def ray_engine(address: str = "", *, cores: int = 0, shared_bytes: int = 0) -> Iterator[RayEngine]:
    """Start Ray on this machine, or join one that runs, for the time of the block.

    Args:
        address: Of a cluster, `host:port`; `auto` for the one that this machine is in; empty to start one here.
        cores: Tasks at a time on this machine; 0 for one per core. Not for a cluster, which knows its own.
        shared_bytes: For the object store on this machine; 0 for Ray's own choice, 30 % of the memory.

    Raises:
        SetupError: Ray is missing, cannot be started, or there is none at the address.
    """
    os.environ.update(QUIET)
    if not address:
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    try:
        import ray
    except ImportError as exc:
        hint = "install it with `pip install 'cloudcpt[distributed]'`"
        raise SetupError(error("CPT770", "`--engine ray` needs Ray, not installed here", hint=hint)) from exc

    with ExitStack() as stack:
        options: dict[str, Any] = {"address": address}
        if address:
            _require_answer(address)
        else:
            _require_shared()
            folder = stack.enter_context(ray_folder(Path(tempfile.gettempdir())))
            options = _alone(folder, cores, shared_bytes)
        stack.callback(ray.shutdown)
        try:
            ray.init(**options, logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError, OSError) as exc:
            raise _not_started(address, exc) from exc
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield RayEngine(ray, round(resources.get("CPU", 1)))


@contextmanager
def ray_folder(wanted: Path) -> Iterator[Path]:
    """Make a folder for Ray, and remove it after the block.

    Args:
        wanted: Where; another place is taken when the names of sockets in it would be too long.
    """
    above = wanted if len(str(wanted)) < _LONGEST_FOLDER else Path("/tmp")  # noqa: S108 - the only short name there is
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=above))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _alone(folder: Path, cores: int, shared_bytes: int) -> dict[str, Any]:
    return {
        "address": "local",  # whatever $RAY_ADDRESS says
        "num_cpus": cores or len(os.sched_getaffinity(0)),
        "object_store_memory": shared_bytes or None,
        "include_dashboard": False,
        "_temp_dir": str(folder),
        # Not 127.0.0.1, which it replaces by an address that others reach; other systems have no second one.
        "_node_ip_address": "127.0.0.2" if sys.platform == "linux" else None,
    }


def _require_answer(address: str) -> None:
    """Refuse a cluster that does not answer, which Ray would wait for without end.

    Raises:
        SetupError: it does not, or the address is none.
    """
    if address == "auto":
        return  # Ray looks that up on this machine, and says at once when there is none
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError) as exc:
        raise _not_started(address, exc) from exc


def _require_shared() -> None:
    """Refuse a machine with too little shared memory.

    Raises:
        SetupError: there is too little.
    """
    if _SHARED.is_dir() and (free := shutil.disk_usage(_SHARED).free) < LEAST_SHARED_BYTES:
        message = (
            f"`{_SHARED}` has {free >> 20} MiB left, and Ray needs {LEAST_SHARED_BYTES >> 20} MiB of shared memory"
        )
        hint = "in a container, give it more: `docker run --shm-size=2g`"
        raise SetupError(error("CPT771", message, hint=hint))


def _not_started(address: str, exc: Exception) -> SetupError:
    reason = next(iter(str(exc).splitlines()), "") or type(exc).__name__
    if address:
        hint = "start one with `ray start --head` on one machine, and `ray start --address=HOST:PORT` on the others"
        return SetupError(error("CPT772", f"no Ray cluster answers at `{address}`: {reason}", hint=hint))
    return SetupError(error("CPT772", f"Ray could not be started: {reason}", hint="`--engine one` does without it"))


def _lost(exc: Exception) -> SetupError:
    """Say that a task's process died more often than it is begun again."""
    from ray import exceptions

    if isinstance(exc, exceptions.OutOfMemoryError):
        hint = "let fewer tasks run at a time with `--workers`, or take machines with more memory per core"
        return SetupError(error("CPT773", "a machine ran out of memory, and Ray ended the task for it", hint=hint))
    message = f"a task's process died {_TRIES + 1} times, and Ray gave up: {type(exc).__name__}"
    hint = "look whether the machine runs out of memory; the same command begins again"
    return SetupError(error("CPT773", message, hint=hint))
