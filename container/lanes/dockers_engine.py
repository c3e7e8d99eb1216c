"""dockerd for the time of one run, started by hand: nothing of it stays on the machine.

It gets a socket, folders and a network namespace of its own: its bridges and its rules for iptables, without which
docker's internal networks are not shut in, are made there and end with it. An engine that is there already is not
disturbed, and nothing but its folders has to be removed.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cloudcpt.local.answers import ask
from container.lanes.ledger import NotRun

_START_S: Final = 40.0
_STOP_S: Final = 30.0
_ALONE: Final = ("unshare", "--net", "--")


@contextmanager
def docker_daemon(folder: Path) -> Iterator[None]:
    """Run dockerd; meanwhile DOCKER_HOST leads to it.

    Args:
        folder: For its images; whatever is in it is removed, before and after.

    Raises:
        NotRun: it does not start here; the message has what it said last.
    """
    if shutil.which("dockerd") is None:
        raise NotRun("dockerd is not installed")
    _clear(folder)  # of a run that was killed
    folder.mkdir(parents=True)
    # The path of a socket may have 107 characters; a checkout may lie deeper than that.
    with tempfile.TemporaryDirectory(prefix="cloudcpt-docker-") as short:
        host, log = f"unix://{short}/docker.sock", Path(short, "log")
        before = os.environ.get("DOCKER_HOST")
        daemon = _start(folder, host, Path(short), log)
        os.environ["DOCKER_HOST"] = host
        try:
            _wait(daemon, log)
            yield
        finally:
            _stop(daemon)
            _restore("DOCKER_HOST", before)
            _unmount_below(Path(short))
            _clear(folder)


def _start(folder: Path, host: str, short: Path, log: Path) -> subprocess.Popen[bytes]:
    places = ("--data-root", str(folder / "data"), "--exec-root", str(short / "run"), "--pidfile", str(short / "pid"))
    command = (*_ALONE, "dockerd", "--host", host, *places)
    with log.open("wb") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)


def _wait(daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while daemon.poll() is None and time.monotonic() < deadline:
        if ask(("docker", "version"), 10).status == 0:
            return
        time.sleep(0.2)
    said = log.read_text("utf-8", "replace").strip().splitlines()
    raise NotRun(f"dockerd does not start here: {said[-1] if said else 'it says nothing'}")


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()  # it ends its containers and its containerd before itself
    with suppress(subprocess.TimeoutExpired):
        daemon.wait(_STOP_S)
        return
    with suppress(ProcessLookupError):
        os.killpg(daemon.pid, signal.SIGKILL)
    daemon.wait()


def _clear(folder: Path) -> None:
    if folder.exists():
        _unmount_below(folder)
        shutil.rmtree(folder)


def _unmount_below(folder: Path) -> None:
    """Unmount what an engine that was killed left there, and what would keep the folder from going."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text("utf-8").splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{folder}/")), reverse=True):
        ask(("umount", "--lazy", mount), 20)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
