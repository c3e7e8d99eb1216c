"""Which container engine there is, and a job in containers, against an engine that takes docker's words."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.errors import PlanError, SetupError, TransientError
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.containers import PROGRAMS, Engine, find_builder, find_engine, repository_of
from cloudcpt.local.dry_run import DryRun, Limits, engine_name
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.layout import lay_out
from cloudcpt.local.leftovers import NOTE_FILE, note_containers
from cloudcpt.local.lock import is_claimed
from cloudcpt.local.node_folders import make_node_folders
from cloudcpt.local.start import Trainer
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import MlFolder
from tests.fakes import small_plan
from tests.local.engines import end_all, until, wait_for

FAKE = Path(__file__).parents[1] / "fake_docker.py"
DOCKERS = '{"ServerVersion": "28.2.2", "SecurityOptions": ["name=seccomp"]}'
PODMANS = '{"host": {"arch": "amd64", "security": {"rootless": false}}}'


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
    assert find_engine(str(FAKE)) == Engine(program=str(FAKE), kind="docker", version="99.0", is_rootless=False)
    (fake / "info").write_text('{"host": {"security": {"rootless": true}}}')
    assert find_engine(str(FAKE)).is_rootless
    (fake / "info").write_text('{"SecurityOptions": ["name=seccomp", "name=rootless"]}')
    assert find_engine(str(FAKE)).is_rootless


@pytest.mark.parametrize(
    ("named", "info", "kind", "version"),
    [
        ("podman version 4.3.1\n", PODMANS, "podman", "4.3.1"),
        ("docker version 4.3.1\n", PODMANS, "podman", "4.3.1"),  # podman under another name
        ("Docker version 28.2.2, build e6534b4\n", DOCKERS, "docker", "28.2.2"),
        ("nerdctl version 1.7.7\n", DOCKERS, "docker", "1.7.7"),
        ("buildah version 1.28.2 (image-spec 1.1.0-rc2, runtime-spec 1.0.2-dev)\n", PODMANS, "buildah", "1.28.2"),
    ],
)
def test_which_family_an_engine_is_of_it_says_itself(
    fake: Path, named: str, info: str, kind: str, version: str
) -> None:
    (fake / "named").write_text(named)
    (fake / "info").write_text(info)
    found = find_builder(str(FAKE))
    assert (found.kind, found.version) == (kind, version)


def test_buildah_builds_but_does_not_run(fake: Path) -> None:
    (fake / "named").write_text("buildah version 1.28.2\n")
    (fake / "info").write_text('{"host": {"rootless": true}}')
    assert find_builder(str(FAKE)).is_rootless
    assert calls(fake)[-1] == ["info"]  # its `--format` takes no `json`
    with pytest.raises(SetupError, match=r"CPT791.*it builds images, and runs no containers") as raised:
        find_engine(str(FAKE))
    assert "podman" in str(raised.value.diagnostics[0].hint)


def test_the_first_that_answers_is_taken_and_buildah_is_the_last() -> None:
    assert PROGRAMS[-1] == "buildah"
    looked_for: list[str] = []
    with pytest.raises(SetupError, match="CPT791"):
        find_builder(which=looked_for.append)
    assert looked_for == list(PROGRAMS)


def test_buildah_says_the_same_of_an_image_as_docker(fake: Path) -> None:
    image = "registry.example:5000/cloudcpt:1"
    as_docker = find_engine(str(FAKE)).inspect(image)
    (fake / "named").write_text("buildah version 1.28.2\n")
    buildah = find_builder(str(FAKE))
    said = buildah.inspect(image)
    assert {name: said[name] for name in ("Os", "Architecture", "Config")} == {
        name: as_docker[name] for name in ("Os", "Architecture", "Config")
    }
    assert said["RepoDigests"] == [f"registry.example:5000/cloudcpt@{said['Digest']}"]
    assert buildah.image_id(image) == "ab" * 32
    assert not buildah.has("absent")


def test_buildah_runs_a_command_in_a_container_that_it_removes(fake: Path) -> None:
    (fake / "named").write_text("buildah version 1.28.2\n")
    engine = find_builder(str(FAKE))
    assert engine.ask_inside("base", "python3", "-c", "1").out == "3.11 /usr/bin/python3\n"
    assert engine.ask_inside("base", "nothing").status == 127
    assert [call[0] for call in calls(fake)[-6:]] == ["from", "run", "rm"] * 2


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("name", "name"),
        ("name:1", "name"),
        ("127.0.0.1:5000/team/name", "127.0.0.1:5000/team/name"),
        ("127.0.0.1:5000/team/name:1", "127.0.0.1:5000/team/name"),
        ("host/name:1@sha256:ab", "host/name"),
        ("host/name@sha256:ab", "host/name"),
    ],
)
def test_the_repository_is_the_name_without_tag_and_digest(image: str, repository: str) -> None:
    assert repository_of(image) == repository


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
    network = engine_name(engine.folder(name).ml, name)
    runs = [call for call in calls(fake) if call[0] == "run"]
    assert {call[call.index("--hostname") + 1] for call in runs} == {"algo-1", "algo-2"}
    for call in runs:
        assert {"--read-only", "--cap-drop", "no-new-privileges"} <= set(call)
        assert call[call.index("--memory") + 1] == "1g"
        assert call[call.index("--network") + 1] == network
        assert call[-2:] == ["ab", "train"]
    assert ["network", "create", "--internal", network] in calls(fake)
    assert calls(fake)[-1] == ["network", "rm", network]
    assert not (engine.folder(name).root / NOTE_FILE).exists()


def test_a_stop_reaches_every_container(job: Callable[..., tuple[LocalEngine, str]], fake: Path) -> None:
    engine, name = job("wait,wait")
    wait_for(engine, name, JobState.TRAINING)
    engine.stop(name)
    wait_for(engine, name, JobState.STOPPED)
    kills = [call for call in calls(fake) if call[0] == "kill"]
    names = [f"{engine_name(engine.folder(name).ml, name)}-{host}" for host in ("algo-1", "algo-2")]
    assert kills[:2] == [["kill", "--signal", "TERM", container] for container in names]


@pytest.mark.parametrize(
    ("behaviours", "code", "words"),
    [
        ("fail,echo", "CPT604", "loss is not finite"),
        ("echo,fail", "CPT604", "loss is not finite"),
        ("echo,killed", "CPT656", "the container of algo-2 was killed because it used more memory than there is"),
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


def test_a_job_that_nobody_watches_over_loses_its_containers_at_the_next_look(
    job: Callable[..., tuple[LocalEngine, str]], fake: Path
) -> None:
    engine, name = job("complete,complete")
    wait_for(engine, name, JobState.COMPLETED)
    until(lambda: not is_claimed(engine.folder(name).lock))
    for look in (engine.status, engine.stop, lambda job: engine.delete(job, with_model=True)):
        (fake / "calls").write_text("")
        note_containers(engine.folder(name).root, str(FAKE), "cloudcpt-left")
        look(name)
        assert calls(fake) == [
            ["ps", "--all", "--quiet", "--filter", "label=cloudcpt.job=cloudcpt-left"],
            ["network", "rm", "cloudcpt-left"],
        ]


def test_containers_that_cannot_be_removed_keep_their_job(
    job: Callable[..., tuple[LocalEngine, str]], fake: Path
) -> None:
    engine, name = job("complete")
    wait_for(engine, name, JobState.COMPLETED)
    until(lambda: not is_claimed(engine.folder(name).lock))
    note_containers(engine.folder(name).root, str(FAKE), "cloudcpt-left")
    (fake / "refuses.json").write_text(json.dumps({"ps": "the engine is not running"}))
    assert engine.status(name).state is JobState.COMPLETED
    with pytest.raises(TransientError, match=r"CPT792.*the engine is not running"):
        engine.delete(name, with_model=True)
    (fake / "refuses.json").unlink()
    engine.delete(name, with_model=True)
    assert engine.names() == ()


def test_an_engine_that_cannot_do_its_part_is_the_reason_of_the_failure(
    job: Callable[..., tuple[LocalEngine, str]], fake: Path
) -> None:
    (fake / "refuses.json").write_text(json.dumps({"network": "no bridge"}))
    engine, name = job("complete")
    failure = wait_for(engine, name, JobState.FAILED).failure
    assert failure is not None
    assert (failure.code, failure.message) == ("CPT792", "the container engine could not create a network: no bridge")


def test_what_a_node_has_kept_is_there_for_the_next_attempt(tmp_path: Path, plan: Plan) -> None:
    ml = MlFolder(tmp_path / "job" / "ml")
    lay_out(ml, plan)
    _, second = make_node_folders(ml, plan.world)
    (second.checkpoints / "rank-00001.safetensors").write_bytes(b"state")
    (second.output / "failure").write_text("CPT660")
    make_node_folders(ml, plan.world)
    assert (second.checkpoints / "rank-00001.safetensors").read_bytes() == b"state"
    assert list(second.output.iterdir()) == []


def test_a_file_of_the_plan_that_is_gone_is_called_so(tmp_path: Path, plan: Plan) -> None:
    ml = MlFolder(tmp_path / "job" / "ml")
    lay_out(ml, plan)
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(PlanError, match="CPT460"):
        make_node_folders(ml, plan.world)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_the_users_own_files_stay_whose_they_are(job: Callable[..., tuple[LocalEngine, str]], plan: Plan) -> None:
    source = Path(plan.sources[0].files[0].uri)
    os.chown(source, 1234, 1234)
    engine, name = job("complete")
    wait_for(engine, name, JobState.COMPLETED)
    assert source.stat().st_nlink > 1, "the job has it under another name"
    assert source.stat().st_uid == 1234
    assert (engine.folder(name).ml.model / "config.json").stat().st_uid == 0


@pytest.mark.parametrize(("info", "labelled"), [(PODMANS, True), (DOCKERS, False)])
def test_under_podman_no_label_of_selinux_stands_before_the_inputs(job, fake: Path, info: str, labelled: bool) -> None:
    (fake / "info").write_text(info)
    engine, name = job("complete")
    wait_for(engine, name, JobState.COMPLETED)
    (run, *_) = [call for call in calls(fake) if call[0] == "run"]
    assert ("label=disable" in run) is labelled


def test_what_an_earlier_attempt_left_is_not_taken_for_the_reason(fake: Path, tmp_path: Path, plan: Plan) -> None:
    (fake / "behaviours").write_text("killed")
    ml = MlFolder(tmp_path / "job" / "ml")
    lay_out(ml, replace(plan, world=replace(plan.world, nodes=1)))
    ml.failure.parent.mkdir(parents=True, exist_ok=True)
    ml.failure.write_text("CPT657 [user] the disk is full\n")
    with (tmp_path / "log").open("wb") as log:
        run = DryRun(
            engine=find_engine(str(FAKE)),
            image="ab",
            job="cloudcpt-again",
            world=replace(plan.world, nodes=1),
            limits=Limits(),
            log=log,
        )
        assert run.run(ml) == 1
    assert ml.failure.read_text().startswith("CPT656")
