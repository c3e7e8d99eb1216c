"""The launcher with real processes: `launch_fake_worker.py` takes the place of the training process."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.train.agent import root_status
from cloudcpt.train.failures import PEER_LOST, read_failure
from cloudcpt.train.launch import judge
from cloudcpt.train.processes import NOT_MET
from cloudcpt.wire import Failure, MlFolder

HERE = Path(__file__).parent
PLAN = read_plan(HERE / "data_plan.json")
LAUNCH = (
    "import sys; from pathlib import Path; from cloudcpt.train.launch import launch; "
    "sys.exit(launch(Path(sys.argv[1]), worker_module='launch_fake_worker', grace_s=float(sys.argv[2])))"
)
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def ml(tmp_path: Path) -> MlFolder:
    return MlFolder(tmp_path)


@pytest.fixture
def start(ml: MlFolder) -> Iterator[Start]:
    """Start the launcher on a plan and a behaviour; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def launcher(behaviour: str, plan: Plan = PLAN, grace_s: float = 30) -> subprocess.Popen[str]:
        ml.plan.parent.mkdir(parents=True)
        ml.plan.write_text(plan.to_json(), "utf-8")
        (ml.root / "behaviour").write_text(behaviour, "utf-8")
        path = os.pathsep.join([str(HERE), str(HERE.parents[1]), *sys.path])
        command = [sys.executable, "-c", LAUNCH, str(ml.root), str(grace_s)]
        started.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, text=True))
        return started[-1]

    yield launcher
    for process in started:
        process.kill()
        process.wait()


def wait_for(path: Path, seconds: float = 60) -> Path:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"`{path.name}` did not appear"
        time.sleep(0.02)
    return path


def worker(ml: MlFolder, rank: int = 0) -> dict[str, str]:
    found: dict[str, str] = json.loads(wait_for(ml.root / f"ready-{rank}").read_text("utf-8"))["environment"]
    return found


def pid_of(ml: MlFolder, rank: int) -> int:
    return int(json.loads(wait_for(ml.root / f"ready-{rank}").read_text("utf-8"))["pid"])


def is_running(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until_gone(pid: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


# --- one process ------------------------------------------------------------------------------------------------


def test_a_job_that_completes_ends_with_0_and_leaves_no_failure(ml: MlFolder, start: Start) -> None:
    assert start("succeed").wait(30) == 0
    assert not ml.failure.exists()


def test_one_process_finds_what_torchrun_would_have_told_it(ml: MlFolder, start: Start) -> None:
    start("succeed").wait(30)
    found = worker(ml)
    expected = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    assert expected.items() <= found.items()
    assert 1024 <= int(found["MASTER_PORT"]) <= 65535
    assert found["HF_HUB_OFFLINE"] == "1"


def test_a_failure_that_the_worker_left_stands(ml: MlFolder, start: Start) -> None:
    assert start("fail").wait(30) == 1
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == "CPT604"


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [("exit 3", "CPT663", "exit status 3"), ("crash", "CPT662", "SIGABRT")],
)
def test_an_end_without_a_reason_gets_one(ml: MlFolder, start: Start, behaviour: str, code: str, words: str) -> None:
    assert start(behaviour).wait(30) == 1
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == code
    assert words in failure.message


def test_a_killed_worker_is_explained_as_want_of_memory(ml: MlFolder, start: Start) -> None:
    launcher = start("wait for the stop")
    os.kill(pid_of(ml, 0), signal.SIGKILL)
    assert launcher.wait(30) == 1
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == "CPT656"
    assert "micro_batch_size" in (failure.hint or "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_job_once_however_often_it_comes(ml: MlFolder, start: Start, number: signal.Signals) -> None:
    launcher = start("wait for the stop")
    worker(ml)
    for _ in range(3):
        launcher.send_signal(number)
    assert launcher.wait(30) == 7
    assert (ml.root / "stopped-0").read_text() == "once\n"
    failure = read_failure(ml)
    assert failure is not None
    assert (failure.code, failure.message) == ("CPT660", f"stopped by {number.name} after step 12; no model was saved")


def test_the_time_limit_of_the_plan_stops_the_job(ml: MlFolder, start: Start) -> None:
    assert start("wait for the stop", replace(PLAN, max_runtime_s=1)).wait(30) == 7
    failure = read_failure(ml)
    assert failure is not None
    assert failure.message.startswith("stopped by the time limit of 1 s")


def test_a_job_that_does_not_stop_is_killed_and_still_counts_as_stopped(ml: MlFolder, start: Start) -> None:
    launcher = start("never end", grace_s=1)
    pid = pid_of(ml, 0)
    launcher.terminate()
    wait_for(ml.scratch / "stop")
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(30) == 7
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == "CPT661"
    assert failure.message.startswith("stopped by SIGTERM, "), "the first wish counts"
    assert not is_running(pid)


def test_no_training_process_outlives_a_killed_launcher(ml: MlFolder, start: Start) -> None:
    launcher = start("never end")
    pid = pid_of(ml, 0)
    launcher.kill()
    wait_until_gone(pid)


def test_what_an_earlier_attempt_left_behind_does_not_matter(ml: MlFolder, start: Start) -> None:
    ml.failure.parent.mkdir(parents=True)
    ml.failure.write_text("CPT604 [user] loss is not finite\n")
    ml.scratch.mkdir(parents=True)
    (ml.scratch / "stop").write_text("SIGTERM\n")
    assert start("succeed").wait(30) == 0
    assert not ml.failure.exists()


# --- before anything starts -------------------------------------------------------------------------------------


def test_a_wrong_world_is_refused_before_anything_starts(ml: MlFolder, start: Start) -> None:
    plan = replace(PLAN, world=replace(PLAN.world, nodes=2))
    assert start("succeed", plan).wait(30) == 1
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == "CPT653"
    assert not (ml.root / "ready-0").exists()


def test_a_missing_plan_is_a_failure_with_a_code(ml: MlFolder) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path])}
    command = [sys.executable, "-m", "cloudcpt.train", "--root", str(ml.root)]
    assert subprocess.run(command, env=environment, check=False, timeout=30).returncode == 1
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == "CPT501"


def test_the_launcher_never_imports_torch() -> None:
    """It must answer a signal and refuse a wrong world within a second; torch alone takes several."""
    heavy = ("torch", "numpy", "transformers", "boto3")
    program = f"import sys, cloudcpt.train.__main__; print([name for name in {heavy} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), *sys.path])}
    found = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


# --- several processes, through torchrun ------------------------------------------------------------------------

TWO = replace(PLAN, world=replace(PLAN.world, processes_per_node=2))


@pytest.mark.slow
def test_two_processes_stop_together_and_end_as_stopped(ml: MlFolder, start: Start) -> None:
    launcher = start("wait for the stop", TWO)
    ranks = [worker(ml, rank) for rank in (0, 1)]
    assert [(rank["RANK"], rank["WORLD_SIZE"], rank["LOCAL_RANK"]) for rank in ranks] == [
        ("0", "2", "0"),
        ("1", "2", "1"),
    ]
    launcher.terminate()
    launcher.terminate()
    assert launcher.wait(60) == 7
    assert [(ml.root / f"stopped-{rank}").read_text() for rank in (0, 1)] == ["once\n"] * 2


@pytest.mark.slow
def test_the_kill_of_one_process_is_the_reason_and_not_the_echo_of_the_other(ml: MlFolder, start: Start) -> None:
    launcher = start("echo a dead peer", TWO)
    pids = [pid_of(ml, rank) for rank in (0, 1)]
    os.kill(pids[1], signal.SIGKILL)
    (ml.root / "peer is dead").touch()
    assert launcher.wait(60) == 1
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == "CPT656"
    assert not any(map(is_running, pids))


@pytest.mark.slow
def test_no_training_process_outlives_a_killed_torchrun(ml: MlFolder, start: Start) -> None:
    launcher = start("never end", TWO)
    pids = [pid_of(ml, rank) for rank in (0, 1)]
    agent = int(Path(f"/proc/{pids[0]}/stat").read_text("utf-8").rpartition(")")[2].split()[1])
    assert agent != launcher.pid
    os.kill(agent, signal.SIGKILL)
    assert launcher.wait(60) == 1
    for pid in pids:
        wait_until_gone(pid)
    failure = read_failure(ml)
    assert failure is not None
    assert failure.code == "CPT656"


@pytest.mark.slow
def test_a_process_that_torchrun_kills_for_being_stuck_is_not_the_reason(ml: MlFolder, start: Start) -> None:
    launcher = start("rank 0 exits with 3, the others are stuck", TWO)
    assert launcher.wait(60) == 1
    failure = read_failure(ml)
    assert failure is not None
    assert (failure.code, "exit status 3" in failure.message) == ("CPT663", True)


def ended(local_rank: int, exit_code: int, at_s: int) -> ProcessFailure:
    failure = ProcessFailure(local_rank=local_rank, pid=1, exitcode=exit_code, error_file="")
    failure.timestamp = at_s
    return failure


@pytest.mark.parametrize(
    ("ends", "status"),
    [
        ([(1, 0)], 1),
        ([(3, 0), (3, 0)], 3),
        ([(1, 0), (-9, 0)], 137),
        ([(-9, 0), (1, 1)], 137),
        ([(1, 0), (-11, 1), (1, 1)], 139),
        ([(-9, 0), (-15, 0)], 137),
        ([(-15, 0), (-11, 0)], 139),
        ([(-15, 0), (1, 0)], 1),
        ([(-15, 0)], 143),
        ([(1, 0), (-9, 10)], 1),
        ([(-6, 3), (-9, 13), (-9, 13)], 134),
    ],
)
def test_a_signal_explains_the_other_exit_codes_unless_torchrun_sent_it(
    ends: list[tuple[int, int]], status: int
) -> None:
    assert root_status([ended(rank, code, at_s) for rank, (code, at_s) in enumerate(ends)]) == status


@pytest.mark.slow
def test_machines_that_do_not_meet_end_in_a_status_of_their_own() -> None:
    command = [sys.executable, "-m", "cloudcpt.train.agent", "--nnodes", "2", "--node-rank", "0"]
    command += ["--master-addr", "127.0.0.1", "--master-port", "0", "--rdzv-conf", "timeout=1", "-m", "this"]
    alone = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert alone.returncode == NOT_MET
    assert "did not meet: Timed out" in alone.stderr


# --- the judgement ----------------------------------------------------------------------------------------------

REASON = Failure(code="CPT604", blame=Blame.USER, message="loss is not finite")
ECHO = Failure(code=PEER_LOST, blame=Blame.PLATFORM, message="lost a peer")


@pytest.mark.parametrize(
    ("status", "left", "code"),
    [
        (0, None, None),
        (0, REASON, "CPT604"),
        (1, REASON, "CPT604"),
        (137, REASON, "CPT604"),
        (137, None, "CPT656"),
        (137, ECHO, "CPT656"),
        (139, ECHO, "CPT662"),
        (128 + 64, None, "CPT662"),
        (NOT_MET, None, PEER_LOST),
        (NOT_MET, REASON, "CPT604"),
        (1, ECHO, PEER_LOST),
        (1, None, "CPT663"),
        (0, ECHO, PEER_LOST),
    ],
)
def test_the_reason_is_what_was_left_unless_it_is_an_echo(status: int, left: Failure | None, code: str | None) -> None:
    reason = judge(status, left, out_of_memory=False, has_nccl=False)
    assert (reason and reason.code) == code


def test_the_kernels_own_count_makes_want_of_memory_certain() -> None:
    likely, certain = (judge(137, None, out_of_memory=counted, has_nccl=True) for counted in (False, True))
    assert "most likely" in str(likely)
    assert "the kernel killed" in str(certain)


@pytest.mark.parametrize(
    ("has_nccl", "left", "code"), [(True, None, "CPT668"), (False, None, "CPT662"), (True, REASON, "CPT604")]
)
def test_an_abort_is_nccls_where_there_is_nccl_and_no_better_reason(
    has_nccl: bool, left: Failure | None, code: str
) -> None:
    reason = judge(128 + signal.SIGABRT, left, out_of_memory=False, has_nccl=has_nccl)
    assert reason is not None
    assert reason.code == code
