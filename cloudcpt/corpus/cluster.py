"""`python -m cloudcpt.corpus.cluster`: the machines of a job as one Ray cluster, and one data command on it.

    first host    ray start --head, wait until all have joined, cloudcpt data ... --engine ray, end
    other hosts   ray start --address, for as long as the first one answers

Every host runs this, started, signalled and awaited by the platform, in a folder laid out like /opt/ml. The command is
in plan.json; what it prints as JSON is left in `output/data/result.json`. Exit codes: 0 completed, 1 failed, with the
reason in the failure file, 7 stopped.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from cloudcpt.corpus.ray_engine import QUIET, ray_folder
from cloudcpt.errors import Blame
from cloudcpt.wire import ML_ROOT, Failure, MlFolder, commit_text

PORT: Final = 6379
"""Of the cluster's first process; Ray's own default."""

RESULT_FILE: Final = "result.json"
"""What the command has printed, among the output of the job."""

_PATIENCE_S: Final = 900.0
"""For other hosts to start: their names can resolve minutes later. Source: SageMaker developer guide."""

_PAUSE_S: Final = 1.0
_SILENT_TRIES: Final = 5
"""How often in a row the first host does not answer before the others take it for ended."""

_ERROR: Final = "error["
_FAILED, _STOPPED = 1, 7


class ClusterFailure(Exception):
    """The job cannot go on, for a reason that we foresaw.

    Args:
        failure: The reason.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


class _Stopped(BaseException):
    """The platform asked us to end."""


@dataclass(frozen=True, kw_only=True)
class Hosts:
    """The machines of a job, as one of them sees them.

    Args:
        names: In sorted order, the same everywhere; the first one leads.
        here: This one.
    """

    names: tuple[str, ...]
    here: str

    @property
    def is_first(self) -> bool:
        """Tell whether this one leads."""
        return self.here == self.names[0]


def run(root: Path, *, port: int = PORT) -> int:
    """Play this host's part to its end.

    Args:
        root: Laid out like /opt/ml.
        port: Of the cluster's first process.

    Returns:
        The exit code.
    """
    ml = MlFolder(root)
    ml.failure.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, _stop)
    try:
        hosts, job = _read_hosts(ml), _read_json(ml.plan)
        os.environ.update(QUIET, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=_token(job))
        if hosts.is_first:
            _lead(ml, hosts, job["arguments"], port)
        else:
            _follow(hosts, port)
    except _Stopped:
        return _STOPPED
    except ClusterFailure as exc:
        return _failed(ml, exc.failure)
    except Exception as exc:  # noqa: BLE001 - the platform learns of a failure, whatever it is, from this file only
        trace = "".join(traceback.format_exception(exc)).rstrip()
        message = f"unexpected {type(exc).__name__}: {exc}".rstrip(": ")
        return _failed(ml, Failure(code="CPT699", blame=Blame.BUG, message=message, detail=trace))
    return 0


def _failed(ml: MlFolder, failure: Failure) -> int:
    sys.stderr.write(failure.text())
    commit_text(ml.failure, failure.text())
    return _FAILED


def _lead(ml: MlFolder, hosts: Hosts, arguments: Sequence[str], port: int) -> None:
    with _ray("--head", f"--port={port}", "--include-dashboard=false", address=_address(hosts.here)) as head:
        _wait_for(lambda: _answers(hosts.here, port), head, f"Ray did not start on `{hosts.here}`")
        address = f"{_address(hosts.here)}:{port}"
        _wait_for_hosts(address, len(hosts.names))
        command = [sys.executable, "-m", "cloudcpt", "data", *arguments]
        command += ["--engine", "ray", "--engine-address", address, "--output", "json"]
        result = ml.output / "data" / RESULT_FILE
        result.parent.mkdir(parents=True, exist_ok=True)
        _run_command(command, result)


def _follow(hosts: Hosts, port: int) -> None:
    first = hosts.names[0]
    _wait_for(lambda: _answers(first, port), None, f"the first host, `{first}`, does not answer")
    while _answers(first, port):
        with _ray(f"--address={_address(first)}:{port}", address=_address(hosts.here)) as member:
            silent = 0
            while silent < _SILENT_TRIES and member.poll() is None:
                time.sleep(_PAUSE_S)
                silent = 0 if _answers(first, port) else silent + 1


def _run_command(command: Sequence[str], result: Path) -> None:
    """Run the command of the job; its words go to the log, its answer to a file.

    Raises:
        ClusterFailure: it did not end well.
    """
    reason = ""
    with (
        result.open("wb") as answer,
        subprocess.Popen(command, stdout=answer, stderr=subprocess.PIPE, text=True, errors="replace") as process,
    ):
        try:
            assert process.stderr, "it was started with a pipe"
            for line in process.stderr:
                sys.stderr.write(line)
                # Of our own messages the first one says what is wrong; of a traceback it is the last line.
                reason = line.strip() if not reason.startswith(_ERROR) and line.strip() else reason
            code = process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=60)  # reads on: a full pipe would keep it from ending
            process.kill()
            raise
    if code:
        blame = Blame.USER if code in (1, 2) else Blame.PLATFORM
        message = f"`cloudcpt data {command[4]}` ended with exit code {code}: {reason}"
        hint = f"the log has all of it; findings are in `{RESULT_FILE}` among the output of the job"
        raise ClusterFailure(Failure(code="CPT778", blame=blame, message=message, hint=hint))


@contextmanager
def _ray(*options: str, address: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Let a process of Ray run on this host while the block does."""
    with tempfile.TemporaryDirectory() as scratch, ray_folder(Path(scratch)) as folder:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, "--block", "--disable-usage-stats"]
        # Any free ports: on a machine that plays two hosts, both would take the same ones.
        command += [f"--node-ip-address={address}", "--min-worker-port=0", "--max-worker-port=0"]
        command += ["--dashboard-agent-listen-port=0", "--dashboard-agent-grpc-port=0"]
        if "--head" in options:
            command.append(f"--temp-dir={folder}")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            yield process
        finally:
            # At once: Ray would hand its tasks over for half a minute, and there are none. Its daemons go with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for_hosts(address: str, number: int) -> None:
    """Wait until so many hosts have joined the cluster."""
    import ray

    ray.init(address=address, log_to_driver=False, configure_logging=False)

    def have_joined() -> bool:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return sum(bool(node["Alive"]) for node in nodes) >= number

    try:
        _wait_for(have_joined, None, f"not all of the {number} hosts have joined the first one")
    finally:
        ray.shutdown()


def _wait_for(is_there: Callable[[], bool], process: "subprocess.Popen[bytes] | None", otherwise: str) -> None:
    """Wait until something is the case.

    Raises:
        ClusterFailure: it is not after a quarter of an hour, or the process it depends on has ended.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while not is_there():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            hint = "submit again; if it happens again, let the security groups pass traffic among the job's machines"
            raise ClusterFailure(Failure(code="CPT779", blame=Blame.PLATFORM, message=otherwise, hint=hint))
        time.sleep(_PAUSE_S)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((_address(host), port), timeout=5).close()
    except OSError:
        return False
    return True


def _address(host: str) -> str:
    return socket.gethostbyname(host)


def _token(job: dict[str, Any]) -> str:
    """Make what the hosts of this job know each other by; it keeps jobs apart, and is not a secret in the account."""
    from blake3 import blake3

    return blake3(os.environ.get("TRAINING_JOB_ARN", "").encode() + repr(sorted(job.items())).encode()).hexdigest()


def _read_hosts(ml: MlFolder) -> Hosts:
    found = _read_json(ml.config / "resourceconfig.json")
    return Hosts(names=tuple(sorted(found["hosts"])), here=found["current_host"])


def _read_json(path: Path) -> dict[str, Any]:
    import json

    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        message = f"`{path}` cannot be read: {exc}"
        raise ClusterFailure(Failure(code="CPT779", blame=Blame.PLATFORM, message=message)) from exc
    return found


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stopped


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="cloudcpt.corpus.cluster", description="Run one data command on all hosts.")
    parser.add_argument("--root", type=Path, default=ML_ROOT, help="folder laid out like /opt/ml (default %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="of the first host (default %(default)s)")
    options = parser.parse_args()
    return run(options.root.absolute(), port=options.port)


if __name__ == "__main__":
    sys.exit(main())
