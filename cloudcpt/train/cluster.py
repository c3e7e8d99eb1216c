"""The machines of a job: who is in it, and which of them is this one.

SageMaker writes `resourceconfig.json` on every host; without it there is one host, this one. Everything here runs
before torch is imported, so that a wrong world ends in a second and not after minutes of timeouts.
"""

import json
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan, World
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure, MlFolder

_RESOLVE_TRIES = 150
_RESOLVE_PAUSE_S = 2.0
"""Names of peers can resolve minutes after a host starts (SageMaker developer guide); 5 minutes in all."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The hosts of a job, as one of them sees them.

    Args:
        hosts: Names in sorted order, the same on every host; the first one is the master.
        host: This one.
        interface: Network interface between the hosts; empty when nobody named one.
    """

    hosts: tuple[str, ...]
    host: str
    interface: str

    @property
    def node_rank(self) -> int:
        """Place of this host among all."""
        return self.hosts.index(self.host)

    @property
    def master(self) -> str:
        """Host of rank 0; the loopback address when there is only one, because its name may not resolve."""
        return self.hosts[0] if len(self.hosts) > 1 else "127.0.0.1"


def read_cluster(ml: MlFolder, world: World) -> Cluster:
    """Read which hosts there are and refuse a number that the plan did not ask for.

    Raises:
        TrainingFailure: the file is not what SageMaker writes, or its hosts are not as many as the plan's nodes.
    """
    path = ml.config / "resourceconfig.json"
    alone = Cluster(hosts=("localhost",), host="localhost", interface="")
    cluster = _parse(path) if path.exists() else alone
    if len(cluster.hosts) != world.nodes:
        message = f"the plan is for {world.nodes} nodes, this job has {len(cluster.hosts)}: {', '.join(cluster.hosts)}"
        hint = "start the job with as many instances as the plan says, or make the plan again with other `replicas`"
        raise TrainingFailure(Failure(code="CPT653", blame=Blame.USER, message=message, hint=hint))
    return cluster


def refuse_other_plan(ml: MlFolder, plan: Plan) -> None:
    """Refuse a plan that is not the one that the job was created for: the channel it came in can be written to.

    Raises:
        TrainingFailure: the hash in `hyperparameters.json`, which cannot be changed any more, is another one.
    """
    path = ml.config / "hyperparameters.json"
    try:
        wanted = json.loads(path.read_text("utf-8"))["plan_hash"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # a job that somebody started by hand
    if wanted != plan.hash:
        message = f"the job was created for plan `{str(wanted)[:12]}`, and `plan.json` is `{plan.hash[:12]}`"
        hint = "submit again; what is in the input bucket was changed after the job was created"
        raise TrainingFailure(Failure(code="CPT667", blame=Blame.USER, message=message, hint=hint))


def _parse(path: Path) -> Cluster:
    try:
        config: dict[str, Any] = json.loads(path.read_text("utf-8"))
        host, hosts = config["current_host"], tuple(sorted(config["hosts"]))
    except (ValueError, KeyError, TypeError) as exc:
        message = f"`{path}` is not a resource configuration: {type(exc).__name__} {exc}"
        raise TrainingFailure(Failure(code="CPT654", blame=Blame.PLATFORM, message=message)) from exc
    if host not in hosts or len(set(hosts)) != len(hosts):
        message = f"`{path}` names this host `{host}` and the hosts `{', '.join(hosts)}`: each must be there once"
        raise TrainingFailure(Failure(code="CPT654", blame=Blame.PLATFORM, message=message))
    if (own := socket.gethostname()) != host and own in hosts and not _is_here(host):
        message = f"`{path}` names this host `{host}`, and it is `{own}`: two hosts would take the same part"
        raise TrainingFailure(Failure(code="CPT654", blame=Blame.PLATFORM, message=message))
    return Cluster(hosts=hosts, host=host, interface=config.get("network_interface_name") or "")


def _is_here(host: str) -> bool:
    """Tell whether a name leads to this machine; what a container believes to be called is not always true."""
    try:
        with socket.socket() as probe:
            probe.bind((socket.gethostbyname(host), 0))
    except OSError:
        return False
    return True


def wait_for_hosts(
    hosts: Sequence[str],
    *,
    resolve: Callable[[str], str] = socket.gethostbyname,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until every host's name resolves.

    Raises:
        TrainingFailure: a name does not resolve after five minutes.
    """
    for host in hosts:
        for tries_left in reversed(range(_RESOLVE_TRIES)):
            try:
                resolve(host)
                break
            except OSError as exc:
                if tries_left == 0:
                    message = f"host `{host}` does not resolve: {exc}"
                    hint = "submit again; if it happens again, check the DNS settings of the VPC"
                    failure = Failure(code="CPT659", blame=Blame.PLATFORM, message=message, hint=hint)
                    raise TrainingFailure(failure) from exc
                sleep(_RESOLVE_PAUSE_S)
