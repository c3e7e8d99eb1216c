"""What the training processes of a host find in their environment, decided from what the host has.

Devices and interfaces decide, not the instance type: AWS's own lists of types miss newer ones
(aws/sagemaker-training-toolkit issue 240). What was chosen before, by the image or by the platform, stays; what the
recipe asks for in `launch.environment` comes last and wins.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, inf
from pathlib import Path
from typing import Final

from cloudcpt.plan.plan import World
from cloudcpt.train.cluster import Cluster
from cloudcpt.train.driver import newer_driver
from cloudcpt.wire import MlFolder

TRACES: Final = "nccl_trace_rank_"
"""Begins the names of the files, one per rank, in which NCCL's watchdog writes what each process was waiting for."""

_QUOTAS: Final = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""Microseconds of CPU time and of the period that they are for: in one file of cgroup v2, in two of v1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """What there is for the processes of one host.

    Args:
        cores: CPU cores that they share.
        efa_devices: `/dev/infiniband/uverbs*`.
        interfaces: Names of the network interfaces.
        newer_driver: Folder of a CUDA driver that is newer than the host's (cloudcpt.train.driver).
    """

    cores: int
    efa_devices: Sequence[Path]
    interfaces: Sequence[str]
    newer_driver: Path | None


def this_host() -> Host:
    """Look around."""
    return Host(
        cores=max(1, ceil(min(len(os.sched_getaffinity(0)), cpu_quota()))),
        efa_devices=sorted(Path("/dev/infiniband").glob("uverbs*")),
        interfaces=[name for _, name in socket.if_nameindex()],
        newer_driver=newer_driver(),
    )


def cpu_quota(root: Path = Path("/")) -> float:
    """Read how many cores the container may use, which the affinity does not say; infinite without a limit."""
    for files in _QUOTAS:
        with suppress(OSError, ValueError):
            words = " ".join((root / file.lstrip("/")).read_text("utf-8") for file in files).split()
            share, period = (inf if word in ("max", "-1") else float(word) for word in words)
            return share / period
    return inf


def process_environment(
    world: World, cluster: Cluster, host: Host, *, ml: MlFolder, inherited: Mapping[str, str]
) -> dict[str, str]:
    """Decide the variables that the training processes get on top of their own.

    Args:
        world: Processes, device, and what the recipe asks for.
        cluster: Hosts and the interface between them.
        host: This one.
        ml: Receives the traces of a collective that did not finish.
        inherited: What the launcher was started with.
    """
    chosen = _chosen(world, cluster, host, traces=ml.metrics.with_name(TRACES))
    forced = {
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "true",
        # Nothing may be looked up in the middle of a job, and inside the service nothing can be.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
    if world.device == "cuda" and host.newer_driver is not None:
        forced["LD_LIBRARY_PATH"] = f"{host.newer_driver}:{inherited.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    return {name: inherited.get(name, value) for name, value in chosen.items()} | forced | dict(world.environment)


def _chosen(world: World, cluster: Cluster, host: Host, *, traces: Path) -> dict[str, str]:
    """Choose what the image or the platform may have chosen before."""
    chosen = {
        "OMP_NUM_THREADS": str(max(1, host.cores // world.processes_per_node)),
        # Threads that spin while they wait take the core from the one they wait for: beside other work on two cores
        # the demo's base model trained ten times slower with spinning threads.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    if world.nodes > 1 and cluster.interface in host.interfaces:
        # NCCL takes a name for the beginning of names, unless it begins with `=`.
        chosen |= {"GLOO_SOCKET_IFNAME": cluster.interface, "NCCL_SOCKET_IFNAME": f"={cluster.interface}"}
    if world.device == "cuda" and host.efa_devices:
        chosen |= {"FI_PROVIDER": "efa", "FI_EFA_USE_DEVICE_RDMA": "1", "RDMAV_FORK_SAFE": "1"}
    if world.device == "cuda" and world.size > 1:
        # Its watchdog ends a process whose collective does not finish; this is all that it leaves behind.
        chosen |= {"TORCH_NCCL_DUMP_ON_TIMEOUT": "1", "TORCH_FR_BUFFER_SIZE": "2000"}
        chosen["TORCH_FR_DUMP_TEMP_FILE"] = str(traces)
    return chosen
