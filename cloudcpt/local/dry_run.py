"""`python -m cloudcpt.local.dry_run`: a job in containers, one per node, in the place of the bundled trainer.

The supervisor of a local job starts, signals and judges it like any trainer, so everything that works on a local job
works on this one. What comes from algo-1 is the log; lines of other nodes bear their name.

    folders     one /opt/ml per node (cloudcpt.local.node_folders)
    network     none for one node; for more, an internal one where the nodes find each other by name
    containers  read-only, without capabilities but those to give up root, without a way to get more
    end         the root cause of all nodes, in the failure file of the first

Exit codes are those of the trainer: 0 completed, 7 stopped, 1 failed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Final

from cloudcpt.errors import Blame, ExitCode
from cloudcpt.local.containers import Engine, find_engine, require
from cloudcpt.local.node_folders import host_name, make_node_folders
from cloudcpt.plan.plan import World, read_plan
from cloudcpt.wire import Failure, MlFolder, commit_text, parse_failure

_STOP_GRACE_S: Final = 110.0
"""From SIGTERM to SIGKILL; the service gives 120 s, and the supervisor as many."""

_PEERS_GRACE_S: Final = 5.0
"""How long the others may go on once a node has failed; stuck in a collective, they would do so until it times out."""

_LAST_WORDS_S: Final = 5.0
"""For the rest of the log once a client has ended, should its container still hold the pipe."""

_POLL_S: Final = 0.2
_PEER_LOST: Final = "CPT658"
_GIVE_UP_ROOT: Final = ("CHOWN", "SETUID", "SETGID", "SETPCAP")
"""Capabilities that the launcher needs to give up the others; SageMaker's containers have them too."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a container may use; 0 and empty for no limit.

    Args:
        memory: As docker writes it, `8g`.
        cpus: Cores, may be a fraction.
        pids: Processes and threads.
        shm: Shared memory, `2g`.
        tmp: Size of /tmp, in memory.
    """

    memory: str = ""
    cpus: float = 0.0
    pids: int = 0
    shm: str = ""
    tmp: str = "2g"

    def words(self) -> list[str]:
        """Write them as options of `docker run`."""
        options = {"--memory": self.memory, "--cpus": self.cpus, "--pids-limit": self.pids, "--shm-size": self.shm}
        given = [word for option, value in options.items() if value for word in (option, str(value))]
        return [*given, "--tmpfs", f"/tmp:rw,exec,mode=1777,size={self.tmp}"]  # noqa: S108  # of the container


@dataclass(kw_only=True)
class Node:
    """One container while it runs.

    Args:
        name: Of the container.
        host: As its peers call it.
        ml: Its /opt/ml.
        client: The process that is attached to it.
        reader: Passes on what it prints.
        ended_at: When it was seen to have ended, in seconds of the monotonic clock.
    """

    name: str
    host: str
    ml: MlFolder
    client: subprocess.Popen[bytes]
    reader: threading.Thread
    ended_at: float | None = field(default=None)


@dataclass(kw_only=True)
class DryRun:
    """All containers of one job.

    Args:
        engine: Runs them.
        image: Its ID: what was chosen when the job was made, whatever its tag means now.
        job: Name of the job, and the beginning of all names here.
        world: Of the plan.
        limits: Of each container.
        log: Where everything goes that they print.
        is_stopping: Somebody asked for the end.
    """

    engine: Engine
    image: str
    job: str
    world: World
    limits: Limits
    log: IO[bytes]
    is_stopping: bool = False

    def run(self, ml: MlFolder) -> int:
        """Run the job from start to end; give its exit status."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._remember)  # not blocked: every container would inherit that
        self._remove_everything()  # of an attempt that was killed
        try:
            if self.world.nodes > 1:
                require(self.engine.ask("network", "create", "--internal", self.job), "create a network")
            nodes = [self._start(number, folder) for number, folder in enumerate(make_node_folders(ml, self.world))]
            statuses = self._watch(nodes)
            self._take_back(nodes)
            return self._judge(nodes, statuses)
        finally:
            self._remove_everything()

    def _start(self, number: int, ml: MlFolder) -> Node:
        host = host_name(number)
        name = f"{self.job}-{host}"
        network = ["--network", self.job, "--network-alias", host] if self.world.nodes > 1 else ["--network", "none"]
        command = [
            *(self.engine.program, "run", "--name", name, "--hostname", host, *network),
            *("--label", f"cloudcpt.job={self.job}", "--pull", "never"),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *(word for capability in _GIVE_UP_ROOT for word in ("--cap-add", capability)),
            *self.limits.words(),
            *self._gpus(),
            *("--env", f"CLOUDCPT_USER={self._user()}"),
            *("--volume", f"{ml.root}:/opt/ml", "--volume", f"{ml.root / 'input'}:/opt/ml/input:ro"),
            *(self.image, "train"),
        ]
        client = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        assert client.stdout is not None, "it is a pipe"
        prefix = b"" if number == 0 else f"{host} | ".encode()
        reader = threading.Thread(target=_pass_on, args=(client.stdout, self.log, prefix), daemon=True)
        reader.start()
        return Node(name=name, host=host, ml=ml, client=client, reader=reader)

    def _user(self) -> str:
        """Say whose the files are to be: a rootless engine's root is the user already."""
        if self.engine.is_rootless:
            return "0:0"
        return f"{os.getuid()}:{os.getgid()}" if os.getuid() else ""

    def _gpus(self) -> list[str]:
        if self.world.device != "cuda":
            return []
        return ["--device", "nvidia.com/gpu=all"] if "podman" in Path(self.engine.program).name else ["--gpus", "all"]

    def _watch(self, nodes: Sequence[Node]) -> list[int]:
        """Wait for every node; pass a stop on, and end the others when one has failed."""
        kill_at: float | None = None
        while any(node.ended_at is None for node in nodes):
            time.sleep(_POLL_S)
            now = time.monotonic()
            for node in nodes:
                if node.ended_at is None and node.client.poll() is not None:
                    node.ended_at = now
            if self.is_stopping and kill_at is None:
                kill_at = now + _STOP_GRACE_S
                self._signal(nodes, "TERM")
            if kill_at is None and any(node.client.returncode for node in nodes):
                kill_at = now + _PEERS_GRACE_S
            if kill_at is not None and now >= kill_at:
                self._signal(nodes, "KILL")
        for node in nodes:
            node.reader.join(_LAST_WORDS_S)  # what it said last is what matters most
        return [node.client.returncode for node in nodes]

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True

    def _signal(self, nodes: Sequence[Node], name: str) -> None:
        running = [node.name for node in nodes if node.ended_at is None]
        if running:
            self.engine.ask("kill", "--signal", name, *running)

    def _take_back(self, nodes: Sequence[Node]) -> None:
        """Make the files the user's own: where the engine and the user both are root, the job was another one."""
        if os.getuid() != 0:
            return
        for node in nodes:
            for parent, folders, files in os.walk(node.ml.root):
                for name in (*folders, *files):
                    with suppress(FileNotFoundError):
                        os.chown(Path(parent, name), 0, 0, follow_symlinks=False)

    def _judge(self, nodes: Sequence[Node], statuses: Sequence[int]) -> int:
        if not any(statuses):
            return 0
        failures = [self._failure_of(node, status) for node, status in zip(nodes, statuses, strict=True) if status]
        # Whoever only lost its peer tells nothing, and of two reasons the first to end is nearer to the cause.
        cause = next((found for found in failures if found.code != _PEER_LOST), failures[0])
        commit_text(nodes[0].ml.failure, cause.text())
        return ExitCode.JOB_STOPPED if set(statuses) <= {0, ExitCode.JOB_STOPPED} else 1

    def _failure_of(self, node: Node, status: int) -> Failure:
        with suppress(OSError):
            if (left := parse_failure(node.ml.failure.read_text("utf-8", "replace"))) is not None:
                return left
        return _unsaid(node, status, self._state(node))

    def _state(self, node: Node) -> dict[str, object]:
        answer = self.engine.ask("inspect", "--format", "{{json .State}}", node.name)
        with suppress(ValueError):
            found: dict[str, object] = json.loads(answer.out)
            return found
        return {}

    def _remove_everything(self) -> None:
        for number in range(self.world.nodes):
            self.engine.ask("rm", "--force", "--volumes", f"{self.job}-{host_name(number)}")
        if self.world.nodes > 1:
            self.engine.ask("network", "rm", self.job)


def _unsaid(node: Node, status: int, state: dict[str, object]) -> Failure:
    """Say how a container ended that left no reason."""
    if state.get("OOMKilled") or status == 128 + signal.SIGKILL:
        certain = bool(state.get("OOMKilled"))
        why = "because it used more memory than it may" if certain else "most likely because memory ran out"
        hint = "give it more with `launch.container.memory`, or set a smaller `micro_batch_size`"
        return Failure(
            code="CPT656", blame=Blame.USER, message=f"the container of {node.host} was killed, {why}", hint=hint
        )
    message = f"the container of {node.host} ended with exit status {status} and without a reason"
    return Failure(code="CPT663", blame=Blame.PLATFORM, message=message, hint="the log shows what happened last")


def _pass_on(lines: IO[bytes], log: IO[bytes], prefix: bytes) -> None:
    with lines:
        for line in lines:
            log.write(prefix + line)
            log.flush()


def main() -> int:
    """Read the command line and run; see the module."""
    parser = argparse.ArgumentParser(prog="cloudcpt.local.dry_run")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--limits", type=json.loads, default={})
    words = parser.parse_args()
    ml = MlFolder(words.root.absolute())
    plan = read_plan(ml.plan)
    run = DryRun(
        engine=find_engine(words.program),
        image=words.image,
        job=f"cloudcpt-{plan.job_name}",
        world=plan.world,
        limits=Limits(**words.limits),
        log=sys.stdout.buffer,
    )
    return run.run(ml)


if __name__ == "__main__":
    sys.exit(main())
