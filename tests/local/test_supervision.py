"""A job outlives its client, never its supervisor, and its end is always told."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cloudcpt.errors import Blame
from cloudcpt.jobs.ports import JobState, Phase
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.folder import JobFolder
from cloudcpt.local.processes import descendants
from cloudcpt.local.record import JobRecord, Journal
from cloudcpt.local.supervise import Supervisor
from cloudcpt.wire import Evaluation
from tests.fakes import small_plan
from tests.local.engines import until, wait_for

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def plan(tmp_path):
    return small_plan(tmp_path / "train.jsonl")


def watchers(engine: LocalEngine, name: str) -> tuple[int, int]:
    """Find guard and supervisor of a job."""
    root = os.fsencode(engine.folder(name).root)
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"cloudcpt.local.supervise" in words and root in words:
                found[int(entry.name)] = parent
    (guard,) = [pid for pid, parent in found.items() if parent not in found]
    (supervisor,) = set(found) - {guard}
    return guard, supervisor


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def trainer_pids(engine: LocalEngine, name: str) -> list[int]:
    """Give the trainer that resists, and its child."""
    wait_for(engine, name, JobState.TRAINING)
    return [int(pid) for pid in (engine.folder(name).ml.root / "pids").read_text().split()]


def test_a_job_survives_the_kill_of_its_clients_whole_process_group(engine_for, plan, tmp_path):
    engine = engine_for("wait")
    code = (
        "import sys, time; from pathlib import Path; from tests.local.engines import fake_engine; "
        "from cloudcpt.plan.plan import read_plan; "
        "fake_engine(Path(sys.argv[1]), 'wait').create(read_plan(Path(sys.argv[2]))); print('up', flush=True); "
        "time.sleep(60)"
    )
    (tmp_path / "plan.json").write_text(plan.to_json())
    client = subprocess.Popen(
        [sys.executable, "-c", code, str(engine.state), str(tmp_path / "plan.json")],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with client:
        assert client.stdout
        assert client.stdout.readline() == b"up\n"
        os.killpg(client.pid, signal.SIGKILL)
    assert wait_for(engine, plan.job_name, JobState.TRAINING).state is JobState.TRAINING
    (engine.folder(plan.job_name).ml.root / "go").touch()
    assert wait_for(engine, plan.job_name).state is JobState.COMPLETED


def test_the_journal_tells_states_and_measurements(engine_for, plan):
    engine = engine_for("complete")
    engine.create(plan)
    status = wait_for(engine, plan.job_name)
    assert status.progress
    assert (status.progress.step, status.progress.total_steps) == (3, 3)
    assert status.evaluations[0] == Evaluation(set_name="domain", step=0, loss=3.0, perplexity=20.0855)
    assert [(found.set_name, found.step) for found in status.evaluations] == [
        ("domain", 0),
        ("general", 0),
        ("domain", 3),
        ("general", 3),
    ]


@pytest.mark.parametrize(
    ("behaviour", "state", "code", "blame"),
    [
        ("fail", JobState.FAILED, "CPT604", Blame.USER),
        ("3", JobState.FAILED, "CPT472", Blame.BUG),
        ("leave-nothing", JobState.FAILED, "CPT470", Blame.BUG),
        ("run-out-of-memory", JobState.FAILED, "CPT471", Blame.PLATFORM),
        ("7", JobState.STOPPED, "CPT472", Blame.BUG),
    ],
)
def test_every_bad_end_has_a_code(engine_for, plan, behaviour, state, code, blame):
    engine = engine_for(behaviour)
    engine.create(plan)
    status = wait_for(engine, plan.job_name)
    assert status.failure
    assert (status.state, status.failure.code, status.failure.blame) == (state, code, blame)
    assert status.model is None


def test_a_stop_is_passed_on_and_the_trainer_ends_by_itself(engine_for, plan):
    engine = engine_for("wait")
    engine.create(plan)
    wait_for(engine, plan.job_name, JobState.TRAINING)
    engine.stop(plan.job_name)
    status = wait_for(engine, plan.job_name)
    assert [phase.state for phase in status.phases][-2:] == [JobState.STOPPING, JobState.STOPPED]
    assert status.failure
    assert status.failure.code == "CPT464"
    assert "1 of 3" in status.failure.message
    assert "told to stop" in engine.read(plan.job_name).lines


def test_a_trainer_that_ignores_a_stop_is_killed_with_its_whole_family(engine_for, plan):
    engine = engine_for("resist", grace_s=0.3)
    engine.create(plan)
    family = trainer_pids(engine, plan.job_name)
    assert all(map(is_alive, family))
    engine.stop(plan.job_name)
    assert wait_for(engine, plan.job_name).state is JobState.STOPPED
    assert not any(map(is_alive, family))


def test_a_stop_before_the_first_look_of_the_supervisor_counts(engine_for, plan):
    engine = engine_for("wait")
    engine.create(plan)
    engine.stop(plan.job_name)
    assert wait_for(engine, plan.job_name).state is JobState.STOPPED


def test_a_job_is_stopped_at_its_time_limit(engine_for, tmp_path):
    plan = small_plan(tmp_path / "train.jsonl", max_runtime_s=1)
    engine = engine_for("wait")
    engine.create(plan)
    status = wait_for(engine, plan.job_name)
    assert status.state is JobState.STOPPED
    assert status.failure
    assert status.failure.code == "CPT465"


def test_killing_the_supervisor_ends_the_trainers_whole_family_and_is_told(engine_for, plan):
    engine = engine_for("resist", grace_s=0.3)
    engine.create(plan)
    family = trainer_pids(engine, plan.job_name)
    _, supervisor = watchers(engine, plan.job_name)
    os.kill(supervisor, signal.SIGKILL)
    status = wait_for(engine, plan.job_name)
    assert status.failure
    assert (status.state, status.failure.code) == (JobState.FAILED, "CPT451")
    assert not any(map(is_alive, family))


def test_killing_the_guard_stops_the_job_in_good_order(engine_for, plan):
    engine = engine_for("wait")
    engine.create(plan)
    wait_for(engine, plan.job_name, JobState.TRAINING)
    guard, _ = watchers(engine, plan.job_name)
    os.kill(guard, signal.SIGKILL)
    status = wait_for(engine, plan.job_name)
    assert status.failure
    assert (status.state, status.failure.code) == (JobState.STOPPED, "CPT466")
    assert "told to stop" in engine.read(plan.job_name).lines


def test_killing_guard_and_supervisor_together_still_ends_the_trainer(engine_for, plan):
    engine = engine_for("wait")
    engine.create(plan)
    wait_for(engine, plan.job_name, JobState.TRAINING)
    pids = watchers(engine, plan.job_name)
    family = descendants(pids[1])
    assert len(family) == 1
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    status = wait_for(engine, plan.job_name)
    assert status.failure
    assert (status.state, status.failure.code) == (JobState.FAILED, "CPT451")
    until(lambda: not any(map(is_alive, family)))


def test_a_supervisor_asked_to_end_stops_the_job_and_says_so(engine_for, plan):
    engine = engine_for("wait")
    engine.create(plan)
    wait_for(engine, plan.job_name, JobState.TRAINING)
    _, supervisor = watchers(engine, plan.job_name)
    os.kill(supervisor, signal.SIGTERM)
    status = wait_for(engine, plan.job_name)
    assert status.failure
    assert (status.state, status.failure.code) == (JobState.STOPPED, "CPT466")


def test_descendants_are_found_across_sessions_and_not_after_their_end():
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
    code += " start_new_session=True); print('up', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"up\n"
        (child,) = descendants(parent.pid)
        assert {parent.pid, child} <= descendants(os.getpid())
        os.kill(child, signal.SIGKILL)
        until(lambda: descendants(parent.pid) == set())
        parent.kill()
        until(lambda: parent.pid not in descendants(os.getpid()))


def test_a_journal_that_cannot_be_written_does_not_end_the_supervisor(tmp_path, plan, capfd):
    (tmp_path / "full").write_text("")
    record = JobRecord(
        name="demo",
        created_at=1.0,
        target="local",
        plan_hash=plan.hash,
        max_runtime_s=0,
        client=(),
        trainer=(),
        made_by="cloudcpt 0",
        python="3",
    )
    journal = Journal(phases=(Phase(state=JobState.PENDING, at=1.0),))
    supervisor = Supervisor(folder=JobFolder(tmp_path / "full"), record=record, grace_s=1, journal=journal)
    supervisor._enter(JobState.PREPARING)
    supervisor._enter(JobState.TRAINING)
    assert [phase.state for phase in supervisor.journal.phases] == ["pending", "preparing", "training"]
    assert "cannot write" in capfd.readouterr().err


def test_a_job_that_runs_is_never_taken_for_dead(engine_for, plan):
    engine = engine_for("wait")
    engine.create(plan)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        assert not engine.status(plan.job_name).state.is_final


def test_the_engines_daemons_outlive_the_job_that_happened_to_start_them(tmp_path):
    """podman resolves the names on all of its networks with one process, a child of whoever first needed it."""
    daemon, worker = tmp_path / "aardvark-dns", tmp_path / "worker"
    for path in (daemon, worker):
        shutil.copy("/bin/sleep", path)
    code = (
        "import subprocess, sys; from cloudcpt.local.processes import end_descendants\n"
        "daemon, worker = (subprocess.Popen([path, '60']) for path in sys.argv[1:])\n"
        "end_descendants(0)\n"
        "print(daemon.poll(), worker.wait())\n"
        "daemon.kill(); daemon.wait()"
    )
    said = subprocess.run([sys.executable, "-c", code, daemon, worker], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["None", "-9"]
