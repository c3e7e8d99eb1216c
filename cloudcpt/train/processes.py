"""The training processes of one host: how they are started and how they end.

One process is started directly, because torchrun would cost it seconds; several go through torchrun with a static
master and no restarts. They get a process group of their own: Ctrl-C in a terminal reaches the launcher alone.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from math import inf
from typing import Final

from cloudcpt.plan.plan import World
from cloudcpt.train.cluster import Cluster
from cloudcpt.train.environment import process_environment, this_host
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.stop import killed_failure, request_stop, stop_requested
from cloudcpt.wire import MlFolder

_MULTI_NODE_PORT = 29500
_POLL_S = 0.2

MEETING_S: Final = 600
"""How long the machines of a job wait for each other before the first process starts."""

NOT_MET: Final = 75
"""Exit status of `cloudcpt.train.agent` when one of them did not come; EX_TEMPFAIL of sysexits.h."""


def run_processes(
    ml: MlFolder, world: World, cluster: Cluster, *, worker_module: str, limit_s: int, grace_s: float
) -> int:
    """Start the processes of this host and wait for their end.

    Args:
        ml: Given to them as `--root`.
        world: How many, on which device.
        cluster: Which host this is.
        worker_module: What each of them runs.
        limit_s: Seconds after which the job is asked to stop; 0 for no limit.
        grace_s: Seconds between the wish to stop and the end by force.

    Returns:
        Exit status as a shell shows it: `128 + signal` when a signal ended the process that ended first.

    Raises:
        TrainingFailure: asked to stop, the processes did not end in time and were killed.
    """
    port = _free_port() if world.nodes == 1 else _MULTI_NODE_PORT
    environment = os.environ | process_environment(world, cluster, this_host(), ml=ml, inherited=os.environ)
    if world.size == 1:
        agent, environment = [], environment | _only_process(port)
    else:
        agent = _torchrun(world, cluster, port)
    command = [sys.executable, *agent, "-m", worker_module, "--root", str(ml.root)]
    child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, process_group=0)
    try:
        status = _wait(child, ml, limit_s=limit_s, grace_s=grace_s)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    return 128 - status if status < 0 else status


def _only_process(port: int) -> dict[str, str]:
    """Say what torchrun would say to the only process of a job."""
    place = {"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}
    return place | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def _torchrun(world: World, cluster: Cluster, port: int) -> list[str]:
    options = {
        "--nnodes": world.nodes,
        "--node-rank": cluster.node_rank,
        "--nproc-per-node": world.processes_per_node,
        "--master-addr": cluster.master,
        "--master-port": port,
        "--max-restarts": 0,
        "--rdzv-conf": f"timeout={MEETING_S}",
    }
    return ["-m", "cloudcpt.train.agent", *(str(word) for option in options.items() for word in option)]


def _wait(child: subprocess.Popen[bytes], ml: MlFolder, *, limit_s: int, grace_s: float) -> int:
    stop_at = time.monotonic() + limit_s if limit_s else inf
    kill_at = inf
    while True:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(_POLL_S)
        now = time.monotonic()
        if now >= stop_at and not stop_requested(ml):
            request_stop(ml, f"the time limit of {limit_s} s")
        if kill_at == inf and stop_requested(ml):
            kill_at = now + grace_s
        if now >= kill_at:
            raise TrainingFailure(killed_failure(ml, grace_s))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
