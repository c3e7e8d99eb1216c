"""What a running job can do in its container, seen from outside by the kernel and tried from inside."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudcpt.local.containers import Engine
from cloudcpt.local.node_folders import host_name
from cloudcpt.local.processes import descendants
from cloudcpt.train.privileges import USER_ID
from tests.container.conftest import Lane, open_lane

pytestmark = pytest.mark.container

PROBE = """
import json, socket, sys

def tried(do, *words):
    try:
        do(*words)
    except OSError as exc:
        return exc.strerror
    return "done"

places = ["/x", "/etc/x", "/opt/cloudcpt/x", "/opt/ml/input/data/x", "/opt/ml/output/x", "/tmp/x"]
print(json.dumps({
    "writes": {place: tried(open, place, "w") for place in places},
    "outside": tried(socket.create_connection, ("192.0.2.1", 443), 5),
    "peers": [tried(socket.gethostbyname, name) for name in sys.argv[1:]],
}))
"""
"""192.0.2.1 belongs to nobody (RFC 5737): with no way out, the kernel refuses before anything is sent."""


class Running:
    """A job in the middle of its training."""

    def __init__(self, lane: Lane, nodes: int) -> None:
        self.lane, self.hosts = lane, [host_name(node) for node in range(nodes)]
        changes = {"training_config": {"trainer": {"max_steps": 20_000}}}
        self.job = lane.submit("--nodes", str(nodes), follow=False, changes=changes)
        lane.wait_for_step(self.job, 1)

    def firsts(self) -> list[Path]:
        """Give the folder in /proc of process 1 of every container."""
        return [self.lane.process_of(self.job, host) for host in self.hosts]


@pytest.fixture(scope="module", params=[1, 2], ids=["one-node", "two-nodes"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, text: Path, base: Path, engine: Engine
) -> Iterator[Running]:
    opened = open_lane(tmp_path_factory.mktemp("running"), text, base, engine)
    yield Running(next(opened), request.param)
    for _ in opened:
        pass


def test_no_process_of_a_job_is_root_or_has_a_capability_or_a_way_to_one(running: Running) -> None:
    for first in running.firsts():
        processes = {int(first.name), *descendants(int(first.name))}
        assert len(processes) > 1
        for process in processes:
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
            assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
            assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
            assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER_ID)}
            assert status["Groups"].strip() == ""


def test_a_job_writes_nowhere_but_into_its_own_folders(running: Running) -> None:
    for first, host in zip(running.firsts(), running.hosts, strict=True):
        mounts = [line.split() for line in (first / "mounts").read_text().splitlines()]
        options = {where: how.split(",") for _, where, _, how, *_ in mounts}
        assert "ro" in options["/"]
        assert "ro" in options["/opt/ml/input"]
        writes = probe(running, host)["writes"]
        done = [place for place, result in writes.items() if result == "done"]
        assert done == ["/opt/ml/output/x", "/tmp/x"]


def test_a_job_reaches_its_peers_and_nobody_else(running: Running) -> None:
    for first, host in zip(running.firsts(), running.hosts, strict=True):
        interfaces = {line.partition(":")[0].strip() for line in (first / "net/dev").read_text().splitlines()[2:]}
        assert interfaces == ({"lo"} if len(running.hosts) == 1 else {"lo", "eth0"})
        found = probe(running, host)
        assert found["outside"] != "done", "there is a way out"
        if running.lane.engine.kind == "podman":  # docker has a route out, and rules that nothing passes
            routes = [line.split() for line in (first / "net/route").read_text().splitlines()[1:]]
            assert "00000000" not in [route[1] for route in routes]
        if running.lane.engine.kind == "podman" or len(running.hosts) > 1:  # a single one of docker has no name
            assert found["peers"] == ["done"] * len(running.hosts)


def probe(running: Running, host: str) -> dict[str, object]:
    name = running.lane.container(running.job, host)
    as_job = ("exec", "--user", f"{USER_ID}:{USER_ID}", name, "/opt/cloudcpt/bin/python", "-c", PROBE)
    found: dict[str, object] = json.loads(running.lane.engine.ask(*as_job, *running.hosts).out)
    return found
