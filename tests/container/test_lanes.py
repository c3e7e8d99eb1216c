"""A lane says "passed" only of what ran and held; these run under `make test`, without an engine."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.local.containers import find_engine
from container.lanes import engines
from container.lanes.dockers_engine import docker_daemon
from container.lanes.image import outcome_of, require_cpu_torch
from container.lanes.ledger import Failed, Ledger, NotRun
from container.lanes.machine import CAP_SYS_ADMIN, Machine, has_capability
from container.lanes.packages import PODMAN, install
from container.lanes.without_engine import bubblewrap

NOTHING = Machine(
    system="Linux x86_64",
    is_root=False,
    may_mount=False,
    has_overlay=False,
    has_user_namespaces=False,
    cgroups="none",
    has_systemd=True,
    has_apt=False,
    programs=(),
)

SHIM = Path(__file__).parents[2] / "container" / "lanes" / "without_engine.py"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(tell=lambda _: None)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Give a function that puts a shell script on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        (folder / name).chmod(0o755)

    return put


def raising(error: Exception):
    def work() -> str:
        raise error

    return work


def test_a_lane_that_fails_fails_the_run_and_one_that_cannot_run_does_not(ledger: Ledger) -> None:
    assert ledger.run("L0", "a", lambda: "seen")
    assert not ledger.run("L1", "b", raising(NotRun("no bubblewrap")))
    assert ledger.exit_status == 0
    assert not ledger.run("L2", "c", raising(Failed("two builds differ")))
    assert ledger.exit_status == 1
    assert [outcome.word for outcome in ledger.outcomes] == ["passed", "not run", "failed"]
    lines = ledger.table().splitlines()
    assert lines[2].split()[:3] == ["L1", "not", "run"]
    assert lines[2].endswith("no bubblewrap")
    assert lines[3].endswith("two builds differ")


def test_a_lane_that_lacks_something_is_not_even_tried(ledger: Ledger) -> None:
    assert not ledger.run("L2", "c", raising(AssertionError("it was tried")), lacking="there is no image")
    assert (ledger.outcomes[0].word, ledger.outcomes[0].remark) == ("not run", "there is no image")


def test_what_nobody_foresaw_is_never_taken_for_a_lane_that_cannot_run(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        ledger.run("L0", "a", raising(ZeroDivisionError()))


def refusal(code: str) -> str:
    return json.dumps({"diagnostics": [{"code": code, "message": "said why"}]})


def test_only_an_index_that_cannot_be_reached_excuses_a_build() -> None:
    assert outcome_of(0, '{"id": "sha256:ab"}') == {"id": "sha256:ab"}
    with pytest.raises(NotRun, match="said why"):
        outcome_of(5, refusal("CPT793"))
    for status, printed in ((3, refusal("CPT793")), (5, refusal("CPT792")), (3, refusal("CPT795")), (1, "Traceback")):
        with pytest.raises(Failed):
            outcome_of(status, printed)


def test_torch_with_cuda_is_no_torch_for_the_cpu_image() -> None:
    require_cpu_torch("2.13.0+cpu")
    with pytest.raises(NotRun, match="not the one for CPUs"):
        require_cpu_torch("2.13.0")


def test_a_capability_is_read_from_the_mask_of_the_kernel() -> None:
    assert has_capability("000001fffeffffff", CAP_SYS_ADMIN)
    assert not has_capability("00000000a80425fb", CAP_SYS_ADMIN)  # docker's own choice
    assert not has_capability("", CAP_SYS_ADMIN)


def test_who_is_not_root_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "and no apt to get it with" in install(NOTHING, PODMAN)
    said = install(replace(NOTHING, has_apt=True), PODMAN)
    assert "`sudo apt-get install podman netavark aardvark-dns" in said
    assert "bubblewrap" in said


def test_without_any_engine_every_reason_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with ExitStack() as left:
        choice = engines.choose("", NOTHING, "podman is missing", left)
    assert (choice.runner, choice.builder) == ("", "")
    assert choice.reason.startswith("podman: podman is missing; docker: docker is not installed; buildah: ")


def test_an_engine_that_answers_and_cannot_run_a_container_is_passed_over(programs) -> None:
    for name, run in (("podman", "echo no cgroups >&2; exit 126"), ("docker", "exit 0")):
        programs(name, f'if [ "$1" = run ]; then {run}; fi')
    with ExitStack() as left:
        assert engines.choose("", NOTHING, "", left).runner == "docker"
        assert engines.choose("podman", NOTHING, "", left).runner == ""
        reason = engines.choose("podman", NOTHING, "", left).reason
    assert reason.startswith("podman: it cannot run a container here: no cgroups; docker: another engine was asked for")


def test_an_engine_that_was_started_here_is_ended_and_leaves_nothing(programs, tmp_path: Path) -> None:
    programs("unshare", f'echo $$ > {tmp_path}/pid; echo "$@" > {tmp_path}/words; exec /usr/bin/tail -f /dev/null')
    programs("dockerd", "exit 1")
    programs("docker", f"[ -s {tmp_path}/words ]")
    folder, before = tmp_path / "images", os.environ.get("DOCKER_HOST")
    folder.mkdir()
    (folder / "of a run that was killed").touch()
    with docker_daemon(folder):
        assert os.environ["DOCKER_HOST"].startswith("unix:///")
        assert list(folder.iterdir()) == []
    assert not folder.exists()
    assert os.environ.get("DOCKER_HOST") == before
    assert (tmp_path / "words").read_text().startswith("--net -- dockerd --host unix:///")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_an_engine_that_does_not_start_is_quoted(programs, tmp_path: Path) -> None:
    programs("unshare", "echo starting; echo no overlay here; exit 1")
    programs("dockerd", "exit 1")
    programs("docker", "exit 1")
    with pytest.raises(NotRun, match="no overlay here"), docker_daemon(tmp_path / "images"):
        pass
    assert not (tmp_path / "images").exists()


def test_bubblewrap_gets_what_docker_was_asked_for() -> None:
    config = {"Entrypoint": ["/python", "-m", "cloudcpt.train"], "Cmd": ["train"], "Env": ["A=b=c"], "WorkingDir": "/w"}
    words = ("--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--cap-add", "SETUID", "--env", "X=1")
    mounts = ("--volume", "/ml:/opt/ml", "--volume", "/ml/input:/opt/ml/input:ro")
    command = " ".join(bubblewrap((*words, *mounts, "image", "train"), "/root", config))
    assert "--unshare-net" in command
    assert "--ro-bind /root / " in command
    assert "--cap-drop ALL --cap-add CAP_SETUID" in command
    assert "--bind /ml /opt/ml --ro-bind /ml/input /opt/ml/input" in command
    assert command.endswith("--clearenv --setenv A b=c --setenv X 1 --chdir /w -- /python -m cloudcpt.train train")
    looked = bubblewrap(("--rm", "--entrypoint", "/bin/cat", "image", "/file"), "/root", config)
    assert looked[-3:] == ["--", "/bin/cat", "/file"]


def test_what_stands_in_for_an_engine_is_one_to_cloudcpt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = tmp_path / "image.json"
    said.write_text('[{"Id": "sha256:ab", "Config": {"Entrypoint": []}}]', "utf-8")
    monkeypatch.setenv("CLOUDCPT_LANE_IMAGE", str(said))
    engine = find_engine(str(SHIM))
    assert engine.image_id("whatever its name") == "ab"
    assert engine.ask("kill", "--signal", "TERM", "a-job").status == 1


def test_the_script_says_what_it_takes() -> None:
    script = Path(__file__).parents[2] / "container" / "lane"
    asked = subprocess.run([str(script), "--help"], env={**os.environ, "PYTHON": sys.executable}, capture_output=True)
    assert asked.returncode == 0
    assert b"--engine {podman,docker,none}" in asked.stdout
