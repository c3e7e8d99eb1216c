import json
import socket
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from cloudcpt.plan.plan import World, read_plan
from cloudcpt.train.cluster import Cluster, read_cluster, wait_for_hosts
from cloudcpt.train.driver import newer_driver
from cloudcpt.train.environment import Host, cpu_quota, process_environment
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import MlFolder

WORLD = read_plan(Path(__file__).with_name("data_plan.json")).world
TWO_NODES = replace(WORLD, nodes=2)


def configured(root: Path, content: object) -> MlFolder:
    ml = MlFolder(root)
    ml.config.mkdir(parents=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (ml.config / "resourceconfig.json").write_text(text, "utf-8")
    return ml


# --- which hosts ------------------------------------------------------------------------------------------------


def test_without_a_resource_configuration_there_is_one_host(tmp_path: Path) -> None:
    cluster = read_cluster(MlFolder(tmp_path), WORLD)
    assert (cluster.node_rank, cluster.master, len(cluster.hosts)) == (0, "127.0.0.1", 1)


@pytest.mark.parametrize(("host", "rank"), [("algo-1", 0), ("algo-10", 1), ("algo-2", 2)])
def test_the_rank_of_a_host_is_its_place_among_the_sorted_hosts(tmp_path: Path, host: str, rank: int) -> None:
    hosts = ["algo-2", "algo-1", "algo-10"]
    ml = configured(tmp_path, {"current_host": host, "hosts": hosts, "network_interface_name": "eth0"})
    cluster = read_cluster(ml, replace(WORLD, nodes=3))
    assert (cluster.node_rank, cluster.master, cluster.interface) == (rank, "algo-1", "eth0")


@pytest.mark.parametrize(("nodes", "hosts"), [(1, ["algo-1", "algo-2"]), (2, ["algo-1"]), (4, ["algo-1", "algo-2"])])
def test_another_number_of_hosts_than_planned_is_refused_with_both_numbers(
    tmp_path: Path, nodes: int, hosts: list[str]
) -> None:
    ml = configured(tmp_path, {"current_host": "algo-1", "hosts": hosts})
    with pytest.raises(TrainingFailure, match=f"CPT653: the plan is for {nodes} nodes, this job has {len(hosts)}"):
        read_cluster(ml, replace(WORLD, nodes=nodes))


def test_a_host_that_is_told_it_was_another_one_is_refused(tmp_path: Path) -> None:
    """Two hosts with one name would both be the master, and wait for each other until a timeout."""
    own = socket.gethostname()
    ml = configured(tmp_path, {"current_host": "another", "hosts": ["another", own]})
    with pytest.raises(TrainingFailure, match=r"CPT654: .* two hosts would take the same part"):
        read_cluster(ml, TWO_NODES)
    ml = configured(tmp_path / "right", {"current_host": own, "hosts": ["another", own]})
    assert read_cluster(ml, TWO_NODES).host == own


def test_a_container_with_a_wrong_name_of_its_own_is_believed_where_names_lead_to_it(tmp_path: Path) -> None:
    ml = configured(tmp_path, {"current_host": "localhost", "hosts": ["localhost", socket.gethostname()]})
    assert read_cluster(ml, TWO_NODES).host == "localhost"


def test_a_single_host_where_several_are_planned_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailure, match="CPT653"):
        read_cluster(MlFolder(tmp_path), TWO_NODES)


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "[]",
        "null",
        {},
        {"current_host": "algo-1"},
        {"current_host": "algo-3", "hosts": ["algo-1", "algo-2"]},
        {"current_host": "algo-1", "hosts": ["algo-1", "algo-1"]},
        {"current_host": "algo-1", "hosts": 2},
    ],
)
def test_a_resource_configuration_that_makes_no_sense_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(TrainingFailure, match="CPT654"):
        read_cluster(configured(tmp_path, content), TWO_NODES)


# --- names that resolve late ------------------------------------------------------------------------------------


class LateNames:
    """A resolver whose names exist only after so many tries, and a clock that counts instead of waiting."""

    def __init__(self, tries: int) -> None:
        self.tries_left = tries
        self.slept_s = 0.0

    def resolve(self, host: str) -> str:
        if self.tries_left > 0:
            self.tries_left -= 1
            raise OSError(f"unknown host {host}")
        return "10.0.0.1"

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds


def test_a_name_that_resolves_late_is_waited_for() -> None:
    names = LateNames(20)
    wait_for_hosts(["algo-1", "algo-2"], resolve=names.resolve, sleep=names.sleep)
    assert names.slept_s == 40


def test_a_name_that_never_resolves_is_named_after_five_minutes() -> None:
    names = LateNames(10**9)
    with pytest.raises(TrainingFailure, match="CPT659: host `algo-1` does not resolve: unknown host algo-1"):
        wait_for_hosts(["algo-1", "algo-2"], resolve=names.resolve, sleep=names.sleep)
    assert 290 <= names.slept_s <= 310


# --- environment ------------------------------------------------------------------------------------------------


def environment(
    world: World,
    *,
    cores: int = 96,
    devices: int = 0,
    interfaces: tuple[str, ...] = ("lo", "eth0"),
    driver: Path | None = None,
    **inherited: str,
) -> dict[str, str]:
    hosts = tuple(f"algo-{number + 1}" for number in range(world.nodes))
    cluster = Cluster(hosts=hosts, host="algo-1", interface="eth0")
    efa = [Path(f"/dev/infiniband/uverbs{number}") for number in range(devices)]
    host = Host(cores=cores, efa_devices=efa, interfaces=interfaces, newer_driver=driver)
    return process_environment(world, cluster, host, ml=MlFolder(Path("/ml")), inherited=inherited)


@pytest.mark.parametrize(("cores", "processes", "threads"), [(96, 8, "12"), (2, 2, "1"), (2, 8, "1"), (7, 2, "3")])
def test_processes_share_the_cores(cores: int, processes: int, threads: str) -> None:
    assert environment(replace(WORLD, processes_per_node=processes), cores=cores)["OMP_NUM_THREADS"] == threads


def test_waiting_threads_leave_the_core_to_others() -> None:
    assert environment(WORLD)["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.parametrize(
    ("name", "value"),
    [("OMP_NUM_THREADS", "5"), ("OMP_WAIT_POLICY", "ACTIVE"), ("NCCL_SOCKET_IFNAME", "ens"), ("FI_PROVIDER", "tcp")],
)
def test_a_setting_that_the_image_or_the_platform_made_stays(name: str, value: str) -> None:
    world = replace(TWO_NODES, device="cuda")
    assert environment(world, devices=1)[name] != value
    assert environment(world, devices=1, **{name: value})[name] == value


def test_what_the_recipe_asks_for_wins_over_everything() -> None:
    wanted = (("HF_HUB_OFFLINE", "0"), ("NCCL_DEBUG", "INFO"), ("OMP_NUM_THREADS", "3"))
    found = environment(replace(WORLD, environment=wanted), OMP_NUM_THREADS="5")
    assert (found["HF_HUB_OFFLINE"], found["NCCL_DEBUG"], found["OMP_NUM_THREADS"]) == ("0", "INFO", "3")


@pytest.mark.parametrize(
    ("world", "traced"),
    [
        (TWO_NODES, False),
        (replace(TWO_NODES, device="cuda"), True),
        (replace(WORLD, device="cuda", processes_per_node=1), False),
    ],
)
def test_nccl_writes_what_it_waited_for_where_there_is_nccl(world: World, traced: bool) -> None:
    found = environment(world)
    assert (found.get("TORCH_FR_DUMP_TEMP_FILE") == "/ml/output/data/nccl_trace_rank_") is traced
    assert ("TORCH_NCCL_DUMP_ON_TIMEOUT" in found) is traced


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, inf),
        ({}, inf),
    ],
)
def test_a_limit_of_cpu_time_is_read_from_either_kind_of_cgroup(
    tmp_path: Path, files: dict[str, str], cores: float
) -> None:
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    assert cpu_quota(tmp_path) == cores


def test_nothing_is_looked_up_on_the_hub() -> None:
    found = environment(WORLD)
    assert (found["HF_HUB_OFFLINE"], found["TRANSFORMERS_OFFLINE"], found["PYTHONUNBUFFERED"]) == ("1", "1", "1")


@pytest.mark.parametrize(("device", "devices", "efa"), [("cuda", 32, True), ("cuda", 0, False), ("cpu", 32, False)])
def test_efa_is_used_where_its_devices_are_and_the_gpus_need_it(device: str, devices: int, efa: bool) -> None:
    found = environment(replace(TWO_NODES, device=device), devices=devices)
    assert (found.get("FI_PROVIDER") == "efa") is efa
    assert ("FI_EFA_USE_DEVICE_RDMA" in found) is efa


@pytest.mark.parametrize(
    ("world", "interfaces", "named"),
    [(TWO_NODES, ("lo", "eth0"), True), (TWO_NODES, ("lo", "ens5"), False), (WORLD, ("lo", "eth0"), False)],
)
def test_the_interface_is_named_only_between_hosts_and_only_if_it_exists(
    world: World, interfaces: tuple[str, ...], named: bool
) -> None:
    found = environment(world, interfaces=interfaces)
    assert ("NCCL_SOCKET_IFNAME" in found) is named
    assert ("GLOO_SOCKET_IFNAME" in found) is named


@pytest.mark.parametrize(
    ("device", "inherited", "path"),
    [("cuda", {"LD_LIBRARY_PATH": "/theirs"}, "/compat:/theirs"), ("cuda", {}, "/compat"), ("cpu", {}, None)],
)
def test_a_newer_driver_of_the_image_comes_before_all_libraries(
    device: str, inherited: dict[str, str], path: str | None
) -> None:
    found = environment(replace(WORLD, device=device), driver=Path("/compat"), **inherited)
    assert found.get("LD_LIBRARY_PATH") == path


PROPRIETARY = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Sun May 12 09:00:00 UTC 2026\nGCC version:  gcc 11.4\n"
)
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder)  Wed 2026\n"


@pytest.mark.parametrize("text", [PROPRIETARY, OPEN])
@pytest.mark.parametrize(
    ("host", "is_newer"),
    [("570.86.15", True), ("610.43.02", False), ("610.100.01", False), ("99.1", True), ("611.1", False)],
)
def test_the_driver_of_the_image_is_taken_only_where_the_host_has_an_older_one(
    tmp_path: Path, text: str, host: str, is_newer: bool
) -> None:
    (tmp_path / "libcuda.so.610.43.02").touch()
    (tmp_path / "libcuda.so.1").symlink_to("libcuda.so.610.43.02")
    (tmp_path / "version").write_text(text.format(host), "utf-8")
    assert newer_driver(tmp_path, tmp_path / "version") == (tmp_path if is_newer else None)


@pytest.mark.parametrize("present", ["libcuda.so.1", "version"])
def test_without_an_image_driver_or_without_a_gpu_nothing_is_chosen(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_text(PROPRIETARY.format("570.86.15"), "utf-8")
    assert newer_driver(tmp_path, tmp_path / "version") is None
