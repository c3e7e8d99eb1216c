"""Which container engine there is, and a job in containers, against an engine that takes docker's words."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.errors import SetupError
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.containers import Engine, find_engine
from cloudcpt.local.dry_run import Limits
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.layout import lay_out
from cloudcpt.local.node_folders import make_node_folders
from cloudcpt.local.start import Trainer
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import MlFolder
from tests.fakes import small_plan
from tests.local.engines import end_all, wait_for

FAKE = Path(__file__).parents[1] / "fake_docker.py"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which the fake engine keeps what it knows."""
    state = tmp_path / "docker"
    state.mkdir()
    monkeypatch.setenv("FAKE_DOCKER", str(state))
    return state


def calls(fake: Path) -> list[list[str]]:
    return [json.loads(line) for line in (fake / "calls").read_text().splitlines()]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    plan = small_plan(tmp_path / "train.jsonl")
    return replace(plan, target="container", world=replace(plan.world, nodes=2))


@pytest.fixture
def job(tmp_path: Path, fake: Path, plan: Plan):
    """Start the job of the plan, its nodes behaving as told, and give engine and name."""
    started: list[LocalEngine] = []

    def start(behaviours: str, limits: Limits | None = None) -> tuple[LocalEngine, str]:
        (fake / "behaviours").write_text(behaviours)
        words = (sys.executable, "-m", "cloudcpt.local.dry_run", "--program", str(FAKE), "--image", "ab")
        words += ("--limits", json.dumps({"memory": limits.memory}) if limits else "{}")
        engine = LocalEngine(tmp_path / "state", trainer=Trainer(command=words, packages=()))
        started.append(engine)
        return engine, engine.create(plan).name

    yield start
    for engine in started:
        end_all(engine)


def test_an_engine_is_found_and_says_whether_root_in_it_is_the_user(fake: Path) -> None:
    assert find_engine(str(FAKE)) == Engine(program=str(FAKE), version="99.0", is_rootless=False)
    (fake / "info").write_text('{"host": {"security": {"rootless": true}}}')
    assert find_engine(str(FAKE)).is_rootless
    (fake / "info").write_text('{"SecurityOptions": ["name=seccomp", "name=rootless"]}')
    assert find_engine(str(FAKE)).is_rootless


def test_a_client_without_an_engine_is_passed_over_and_said(fake: Path) -> None:
    (fake / "no-engine").touch()
    with pytest.raises(SetupError, match=r"CPT791.*Cannot connect to the Docker daemon"):
        find_engine(str(FAKE))
    (fake / "no-engine").unlink()
    (fake / "info").write_text('{"ServerErrors": ["Cannot connect"]}')
    with pytest.raises(SetupError, match="CPT791"):
        find_engine(str(FAKE))


def test_without_any_program_the_answer_says_what_to_install() -> None:
    with pytest.raises(SetupError) as raised:
        find_engine(which=lambda _: None)
    assert "podman" in str(raised.value.diagnostics[0].hint)


def test_an_image_that_is_not_here_is_not_pulled(fake: Path) -> None:
    with pytest.raises(SetupError, match="CPT790"):
        find_engine(str(FAKE)).image_id("absent")


def test_every_node_gets_its_own_folder_with_the_same_inputs(tmp_path: Path, plan: Plan) -> None:
    ml = MlFolder(tmp_path / "job" / "ml")
    lay_out(ml, plan)
    first, second = make_node_folders(ml, plan.world)
    text = (tmp_path / "train.jsonl").read_bytes()
    for number, folder in enumerate((first, second), start=1):
        data = folder.channel("train") / "train.jsonl"
        assert not data.is_symlink()
        assert data.read_bytes() == text
        config = json.loads((folder.config / "resourceconfig.json").read_text())
        assert (config["current_host"], config["hosts"]) == (f"algo-{number}", ["algo-1", "algo-2"])
    assert make_node_folders(ml, plan.world)[1].root == second.root  # also of a second attempt


def test_a_file_that_others_may_not_read_is_copied_so_that_the_job_can(tmp_path: Path, plan: Plan) -> None:
    (tmp_path / "train.jsonl").chmod(0o600)
    ml = MlFolder(tmp_path / "job" / "ml")
    lay_out(ml, plan)
    make_node_folders(ml, plan.world)
    assert (ml.channel("train") / "train.jsonl").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "train.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_job_in_two_containers_is_a_job_like_any_other(
    job: Callable[..., tuple[LocalEngine, str]], fake: Path
) -> None:
    engine, name = job("complete,complete", Limits(memory="1g"))
    status = wait_for(engine, name, JobState.COMPLETED)
    assert status.progress is not None
    assert engine.faults(name) == []
    log = engine.folder(name).log.read_text()
    assert "algo-2 | reading the plan" in log
    runs = [call for call in calls(fake) if call[0] == "run"]
    assert {call[call.index("--hostname") + 1] for call in runs} == {"algo-1", "algo-2"}
    for call in runs:
        assert {"--read-only", "--cap-drop", "no-new-privileges"} <= set(call)
        assert call[call.index("--memory") + 1] == "1g"
        assert call[call.index("--network") + 1] == f"cloudcpt-{name}"
        assert call[-2:] == ["ab", "train"]
    assert ["network", "create", "--internal", f"cloudcpt-{name}"] in calls(fake)
    assert calls(fake)[-1] == ["network", "rm", f"cloudcpt-{name}"]


def test_a_stop_reaches_every_container(job: Callable[..., tuple[LocalEngine, str]], fake: Path) -> None:
    engine, name = job("wait,wait")
    wait_for(engine, name, JobState.TRAINING)
    engine.stop(name)
    wait_for(engine, name, JobState.STOPPED)
    kills = [call for call in calls(fake) if call[0] == "kill"]
    assert kills[0] == ["kill", "--signal", "TERM", f"cloudcpt-{name}-algo-1", f"cloudcpt-{name}-algo-2"]


@pytest.mark.parametrize(
    ("behaviours", "code", "words"),
    [
        ("fail,echo", "CPT604", "loss is not finite"),
        ("echo,fail", "CPT604", "loss is not finite"),
        ("echo,killed", "CPT656", "the container of algo-2 was killed, because it used more memory than it may"),
    ],
)
def test_of_all_nodes_the_one_that_knows_the_cause_is_believed(
    job: Callable[..., tuple[LocalEngine, str]], behaviours: str, code: str, words: str
) -> None:
    engine, name = job(behaviours)
    failure = wait_for(engine, name, JobState.FAILED).failure
    assert failure is not None
    assert failure.code == code
    assert words in failure.message


def test_the_files_are_to_be_the_users(job: Callable[..., tuple[LocalEngine, str]], fake: Path) -> None:
    engine, name = job("complete")
    wait_for(engine, name, JobState.COMPLETED)
    user = next(word for call in calls(fake) if call[0] == "run" for word in call if word.startswith("CLOUDCPT_USER="))
    assert user == f"CLOUDCPT_USER={f'{os.getuid()}:{os.getgid()}' if os.getuid() else ''}"
