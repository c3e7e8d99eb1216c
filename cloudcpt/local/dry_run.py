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
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from pathlib import Path
from types import FrameType
from typing import IO, Final

from cloudcpt.errors import Blame, CloudcptError, ExitCode
from cloudcpt.local.containers import Engine, find_engine, require
from cloudcpt.local.leftovers import LABEL, forget_containers, note_containers, remove_containers, remove_leftovers
from cloudcpt.local.node import Node
from cloudcpt.local.node_end import DISK_FULL, DISK_HINT, root_cause
from cloudcpt.local.node_folders import host_name, make_node_folders
from cloudcpt.plan.plan import World, read_plan
from cloudcpt.wire import Failure, MlFolder, commit_text, failure_in

_STOP_GRACE_S: Final = 110.0
"""From SIGTERM to SIGKILL; the service gives 120 s, and the supervisor as many."""

_PEERS_GRACE_S: Final = 5.0
"""How long the others may go on once a node has failed; stuck in a collective, they would do so until it times out."""

_POLL_S: Final = 0.2
_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
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
class DryRun:
    """All containers of one job.

    Args:
        engine: Runs them.
        image: Its ID: what was chosen when the job was made, whatever its tag means now.
        job: The beginning of all names here; of nobody else on this machine.
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
        """Run the job from start to end; give its exit status.

        Args:
            ml: Laid out for one machine; becomes the first node's, whose failure file says why the job ended badly.
        """
        try:
            return self.run_in(make_node_folders(ml, self.world))
        except (CloudcptError, OSError) as exc:
            commit_text(ml.failure, _reason(exc).text())
            return 1

    def run_in(self, folders: Sequence[MlFolder]) -> int:
        """Run the job in folders that are there already, one of each node; see `run`.

        Raises:
            TransientError: the engine does not do its part.
        """
        # Not blocked: every container would inherit that.
        asked = {number: signal.signal(number, self._remember) for number in _STOP_SIGNALS}
        for folder in folders:
            folder.failure.unlink(missing_ok=True)  # of an earlier attempt; an engine that fails writes none
        home = folders[0].root.parent
        remove_leftovers(home)  # of an attempt that was killed
        note_containers(home, self.engine.program, self.job)
        try:
            if self.world.nodes > 1:
                require(self.engine.ask("network", "create", "--internal", self.job), "create a network")
            nodes = [self._start(number, folder) for number, folder in enumerate(folders)]
            self._watch(nodes)
            return self._judge(nodes)
        finally:
            if remove_containers(self.engine.program, self.job).status == 0:
                forget_containers(home)
            self._take_back(folders)
            for number, handler in asked.items():
                signal.signal(number, handler)

    def _start(self, number: int, ml: MlFolder) -> Node:
        host = host_name(number)
        name = f"{self.job}-{host}"
        network = ["--network", self.job, "--network-alias", host] if self.world.nodes > 1 else ["--network", "none"]
        command = [
            *(self.engine.program, "run", "--name", name, "--hostname", host, *network),
            *("--label", f"{LABEL}={self.job}", "--pull", "never"),
            *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", *self._labels()),
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
        prefix = b"" if number == 0 else f"{host} | ".encode()
        return Node(engine=self.engine, name=name, host=host, ml=ml, client=client, log=self.log, prefix=prefix)

    def _labels(self) -> list[str]:
        """Let a container read the user's files under SELinux, which podman's hosts mostly have.

        Not by a label on the files: inputs are the user's own, under another name.
        """
        return ["--security-opt", "label=disable"] if self.engine.kind == "podman" else []

    def _user(self) -> str:
        """Say whose the files are to be: a rootless engine's root is the user already."""
        if self.engine.is_rootless:
            return "0:0"
        return f"{os.getuid()}:{os.getgid()}" if os.getuid() else ""

    def _gpus(self) -> list[str]:
        if self.world.device != "cuda":
            return []
        return ["--device", "nvidia.com/gpu=all"] if self.engine.kind == "podman" else ["--gpus", "all"]

    def _watch(self, nodes: Sequence[Node]) -> None:
        """Wait for every node; pass a stop on, and end the others when one has failed."""
        kill_at = inf
        while any(node.ended_at is None for node in nodes):
            time.sleep(_POLL_S)
            now = time.monotonic()
            for node in nodes:
                node.look(now)
            kill_at = min(kill_at, now + self._grace_s(nodes))
            for node in nodes:
                if now >= kill_at:
                    node.kill(now)
                elif self.is_stopping:
                    node.ask_to_stop(now)
        for node in nodes:
            node.finish()

    def _grace_s(self, nodes: Sequence[Node]) -> float:
        """Say how long those that still run may go on from now."""
        statuses = {node.client.returncode for node in nodes} - {None, 0}
        if statuses - {ExitCode.JOB_STOPPED}:
            return _PEERS_GRACE_S
        return _STOP_GRACE_S if self.is_stopping or statuses else inf

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stopping = True

    def _take_back(self, folders: Sequence[MlFolder]) -> None:
        """Make what the job wrote the user's own: where the engine and the user both are root, the job was another one.

        Not the inputs: they are the user's very files under another name, and belong to whom they belong.
        """
        if os.getuid() != 0:
            return
        for written in (path for ml in folders for path in (ml.model, ml.output, ml.checkpoints, ml.scratch)):
            for parent, within, files in os.walk(written):
                for name in (".", *within, *files):
                    with suppress(FileNotFoundError):
                        os.chown(Path(parent, name), 0, 0, follow_symlinks=False)

    def _judge(self, nodes: Sequence[Node]) -> int:
        ends = [node.end(self.limits.memory) for node in nodes if node.client.returncode]
        if not ends:
            return 0
        cause, failure_file = root_cause(ends), nodes[0].ml.failure
        if failure_in(failure_file) != cause:
            commit_text(failure_file, cause.text())
        return ExitCode.JOB_STOPPED if {end.status for end in ends} == {ExitCode.JOB_STOPPED} else 1


def _reason(exc: CloudcptError | OSError) -> Failure:
    """Say why containers could not even be started.

    Raises:
        OSError: for a reason that nobody foresaw.
    """
    if isinstance(exc, CloudcptError):
        found = exc.diagnostics[0]
        return Failure(code=found.code, blame=exc.blame, message=found.message, hint=found.hint)
    if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
        raise exc
    message = f"the disk is full while writing `{exc.filename2 or exc.filename}`"
    return Failure(code=DISK_FULL, blame=Blame.USER, message=message, hint=DISK_HINT)


def engine_name(ml: MlFolder, job_name: str) -> str:
    """Give the name of a job's network, with which the names of its containers begin.

    The same plan has the same name everywhere, and one engine may serve many state directories, so the folder is in it.
    """
    return f"cloudcpt-{job_name}-{sha256(str(ml.root).encode()).hexdigest()[:6]}"


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
        job=engine_name(ml, plan.job_name),
        world=plan.world,
        limits=Limits(**words.limits),
        log=sys.stdout.buffer,
    )
    return run.run(ml)


if __name__ == "__main__":
    sys.exit(main())
