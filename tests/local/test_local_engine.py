"""One plan is one job on this machine, whoever starts it, however often, and whatever is killed meanwhile."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloudcpt.errors import PlanError, SetupError, UsageProblem
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.folder import build_folder
from cloudcpt.local.lock import claim
from cloudcpt.local.record import JobRecord, Journal, read_journal
from cloudcpt.local.start import BUNDLED_TRAINER, Trainer
from cloudcpt.wire import model_faults
from tests.fakes import small_plan
from tests.local.engines import until, wait_for

PROJECT = Path(__file__).parents[2]

CLIENT = """
import sys
from pathlib import Path
from cloudcpt.plan.plan import read_plan
from tests.local.engines import fake_engine

state, plan, behaviour, replace = sys.argv[1:]
engine, plan = fake_engine(Path(state), behaviour), read_plan(Path(plan))
print("ready", flush=True)
sys.stdin.readline()
print(engine.create(plan, replace=replace == "replace").adopted)
"""


@pytest.fixture
def plan(tmp_path):
    plan = small_plan(tmp_path / "train.jsonl")
    (tmp_path / "plan.json").write_text(plan.to_json())
    return plan


def client(tmp_path: Path, behaviour: str = "complete", *, replace: bool = False) -> subprocess.Popen[str]:
    """Start a client that creates the job once it is given a line."""
    words = [str(tmp_path / "state"), str(tmp_path / "plan.json"), behaviour, "replace" if replace else "adopt"]
    started = subprocess.Popen(
        [sys.executable, "-c", CLIENT, *words],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert started.stdout
    assert started.stdout.readline() == "ready\n"
    return started


def answers(clients: list[subprocess.Popen[str]]) -> list[str]:
    """Let all clients go at once and collect whether each adopted the job."""
    for one in clients:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    return [one.communicate()[0].strip() for one in clients]


def test_of_many_clients_at_once_exactly_one_makes_the_job(engine_for, plan, tmp_path):
    assert sorted(answers([client(tmp_path) for _ in range(5)])) == ["False", *["True"] * 4]
    engine = engine_for()
    assert engine.names() == (plan.job_name,)
    assert wait_for(engine, plan.job_name).state is JobState.COMPLETED
    assert engine.read(plan.job_name).lines.count("reading the plan") == 1


def test_of_many_clients_that_start_a_failed_job_over_exactly_one_does(engine_for, plan, tmp_path):
    failing, engine = engine_for("fail"), engine_for("wait")
    failing.create(plan)
    wait_for(failing, plan.job_name)
    assert sorted(answers([client(tmp_path, "wait", replace=True) for _ in range(4)])) == ["False", *["True"] * 3]
    assert wait_for(engine, plan.job_name, JobState.TRAINING).state is JobState.TRAINING
    assert engine.names() == (plan.job_name,)


@pytest.mark.parametrize("seed", range(8))
def test_a_client_killed_at_any_moment_never_costs_or_doubles_the_job(engine_for, plan, tmp_path, seed):
    chance = random.Random(seed)
    killed = client(tmp_path)
    assert killed.stdin
    killed.stdin.write("go\n")
    killed.stdin.flush()
    time.sleep(chance.uniform(0, 0.12))  # creating takes about 0.1 s
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    engine = engine_for()
    engine.create(plan)
    assert wait_for(engine, plan.job_name).state is JobState.COMPLETED
    assert engine.names() == (plan.job_name,)
    assert engine.read(plan.job_name).lines.count("reading the plan") == 1


def test_a_job_whose_client_died_before_starting_it_says_so_and_is_started_by_the_next(engine_for, plan):
    engine = engine_for()
    record = JobRecord(
        name=plan.job_name,
        created_at=1.0,
        target="local",
        plan_hash=plan.hash,
        max_runtime_s=0,
        client=(),
        trainer=engine.trainer.command,
        made_by="cloudcpt 0",
        python="3",
    )
    lock = build_folder(engine.state / "jobs", plan, record)
    assert lock is not None
    assert engine.status(plan.job_name).state is JobState.PENDING
    os.close(lock)  # as the kernel does when the client dies
    status = engine.status(plan.job_name)
    assert status.failure
    assert (status.state, status.failure.code) == (JobState.FAILED, "CPT452")
    assert engine.create(plan).adopted
    assert wait_for(engine, plan.job_name).state is JobState.COMPLETED


def test_a_job_that_another_client_started_meanwhile_is_not_started_again(engine_for, plan):
    engine = engine_for()
    engine.create(plan)
    wait_for(engine, plan.job_name)
    folder = engine.folder(plan.job_name)
    ended = read_journal(folder.journal)
    lock = claim(folder.lock)
    assert lock is not None
    Journal(phases=ended.phases[:1]).write(folder.journal)
    with ThreadPoolExecutor() as pool:
        second = pool.submit(engine.create, plan)
        until(
            lambda: (
                [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()].count(os.path.realpath(folder.lock))
                == 2
            )
        )
        ended.write(folder.journal)
        os.close(lock)
        assert second.result().adopted
    assert engine.status(plan.job_name).phases == ended.phases
    assert engine.read(plan.job_name).lines.count("reading the plan") == 1


def test_missing_packages_are_all_named_before_anything_is_made(tmp_path, plan):
    engine = LocalEngine(tmp_path / "state", is_installed=lambda package: package not in ("torch", "peft"))
    with pytest.raises(SetupError) as caught:
        engine.create(plan)
    (found,) = caught.value.diagnostics
    assert found.code == "CPT473"
    assert "`torch`, `peft`" in found.message
    assert "pip install 'cloudcpt[train]'" in (found.hint or "")
    assert not (tmp_path / "state").exists()


def test_looking_for_the_training_packages_imports_none_of_them():
    code = (
        "import sys; from cloudcpt.local.start import BUNDLED_TRAINER, is_installed; "
        "[is_installed(name) for name in BUNDLED_TRAINER.packages]; "
        "print(sorted({'torch', 'transformers', 'numpy', 'pydantic', 'rich', 'boto3'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, text=True) == "[]\n"
    assert "torch" in BUNDLED_TRAINER.packages


def test_a_file_that_is_gone_is_refused_before_anything_is_made(engine_for, plan, tmp_path):
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(PlanError, match=r"CPT460.*train\.jsonl"):
        engine_for().create(plan)
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_cannot_be_made_is_the_environments_fault(tmp_path, plan):
    (tmp_path / "file").write_text("")
    engine = LocalEngine(tmp_path / "file" / "state", trainer=Trainer(command=("true",), packages=()))
    with pytest.raises(SetupError, match="CPT450"):
        engine.create(plan)
    assert engine.names() == ()


def test_a_damaged_job_keeps_its_name_and_harms_no_other(engine_for, plan, tmp_path):
    engine = engine_for()
    engine.create(plan)
    wait_for(engine, plan.job_name)
    other = small_plan(tmp_path / "train.jsonl", seed=1)
    engine.create(other)
    wait_for(engine, other.job_name)
    engine.folder(plan.job_name).record.write_text("{")
    assert engine.names() == (other.job_name, plan.job_name)
    with pytest.raises(SetupError, match="CPT459"):
        engine.status(plan.job_name)
    assert engine.status(other.job_name).state is JobState.COMPLETED


def test_a_supervisor_that_cannot_start_is_told_and_the_job_can_be_started_later(engine_for, plan, monkeypatch):
    engine = engine_for()
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONHOME", "/nowhere")
        with pytest.raises(SetupError, match="CPT458"):
            engine.create(plan)
    assert engine.create(plan).adopted
    assert wait_for(engine, plan.job_name).state is JobState.COMPLETED


def test_a_running_job_cannot_be_deleted(engine_for, plan):
    engine = engine_for("wait")
    engine.create(plan)
    with pytest.raises(UsageProblem, match="CPT467"):
        engine.delete(plan.job_name, with_model=True)
    assert engine.names() == (plan.job_name,)


def test_deleting_a_job_keeps_its_model_until_told_otherwise(engine_for, plan):
    engine = engine_for()
    engine.create(plan)
    wait_for(engine, plan.job_name)
    kept = engine.delete(plan.job_name, with_model=False)
    assert kept is not None
    assert model_faults(kept) == []
    assert engine.names() == ()
    assert list((engine.state / "jobs").iterdir()) == []
    engine.create(plan)
    wait_for(engine, plan.job_name)
    with pytest.raises(UsageProblem, match="CPT469"):
        engine.delete(plan.job_name, with_model=False)
    assert engine.names() == (plan.job_name,)
    assert engine.delete(plan.job_name, with_model=True) is None
    assert model_faults(kept) == []


def test_deleting_a_job_without_a_model_keeps_nothing(engine_for, plan):
    engine = engine_for("fail")
    engine.create(plan)
    wait_for(engine, plan.job_name)
    assert engine.delete(plan.job_name, with_model=False) is None
    assert not (engine.state / "models").exists()
