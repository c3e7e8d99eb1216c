"""What a builder is asked, what it answers, and what is refused before minutes of work."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.cli.main import main
from cloudcpt.errors import SetupError
from cloudcpt.image.build import Source, build
from cloudcpt.image.context import BasePython
from cloudcpt.local.containers import Engine
from tests.image.conftest import FAKE, Fake

PYTHON = BasePython(command="/usr/bin/python3", version="3.11", torch="")


def build_with(engine: Engine, tell: Callable[[str], None]) -> str:
    source = Source(revision="abc", epoch_s=7)
    return build(engine, Path("/context"), base="base", python=PYTHON, tag="name:1", source=source, tell=tell)


@pytest.mark.parametrize("family", ["docker", "podman", "buildah"])
def test_a_build_gives_the_id_that_the_builder_noted(fake: Fake, told, family: str) -> None:
    assert build_with(fake.becomes(family), told[1]) == "ab" * 32
    assert told[0] == ["STEP 1: FROM base"]
    ((_, *words),) = fake.calls("build")
    assert words[:4] == ["--file", "/context/Dockerfile", "--tag", "name:1"]
    assert {"BASE=base", "PYTHON=/usr/bin/python3", "REVISION=abc", "SOURCE_DATE_EPOCH=7"} <= set(words)
    assert words[-1] == "/context"


@pytest.mark.parametrize(("family", "sets_times"), [("docker", False), ("podman", True), ("buildah", True)])
def test_the_family_decides_who_sets_the_times_and_not_the_name(
    fake: Fake, told, family: str, sets_times: bool
) -> None:
    build_with(fake.becomes(family), told[1])
    assert ("--timestamp" in fake.calls("build")[0]) is sets_times


def test_a_build_that_fails_quotes_the_builder(fake: Fake, told) -> None:
    fake.knows("refuses.json", {"build": "STEP 3: RUN pip\nError: building at STEP 3: exit status 1"})
    with pytest.raises(SetupError, match=r"CPT795.* build` ended with 1: building at STEP 3: exit status 1"):
        build_with(fake.becomes("podman"), told[1])
    assert told[0][0] == "STEP 3: RUN pip"


def test_a_full_disk_is_called_that_whatever_the_last_line_says(fake: Fake, told) -> None:
    fake.knows("refuses.json", {"build": "write /a: no space left on device\nexit status 1"})
    with pytest.raises(SetupError, match=r"CPT795: the disk is full") as raised:
        build_with(fake.becomes("podman"), told[1])
    assert " rmi` removes one" in str(raised.value.diagnostics[0].hint)


def test_an_interrupted_build_is_over_when_the_command_is(fake: Fake) -> None:
    fake.knows("build-waits", "")

    def interrupt(_line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_with(fake.becomes("podman"), interrupt)
    assert (fake.state / "build-ended").exists()


@pytest.mark.parametrize("name", ["Upper/CASE", "a b", "name:", "name:1@sha256:" + "a" * 64, "-x", "a//b", "a:b:c"])
def test_a_name_that_no_engine_takes_is_refused_at_once(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "build", f"--tag={name}", "--engine", "not-asked"]) == 2
    assert f"`{name}` is no name for an image" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cloudcpt", "localhost/cloudcpt:0.1.0-cpu", "r.example:5000/a/b_c/d--e:V1"])
def test_names_that_engines_take_are_taken(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "build", f"--tag={name}", "--engine", "not-installed"]) == 3
    assert "CPT791" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--bill=file/bom.json", "--context=file/context"])
def test_a_folder_that_cannot_be_made_is_refused_at_once(
    fake: Fake, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert main(["image", "build", "--engine", str(FAKE), option]) == 3
    assert "CPT440" in capsys.readouterr().err
    assert {call[0] for call in fake.calls()} == {"--version", "info"}


def test_a_context_folder_with_something_in_it_is_left_alone(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine").touch()
    assert main(["image", "build", "--engine", str(FAKE), f"--context={tmp_path / 'kept'}"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert (tmp_path / "kept" / "mine").exists()


def test_without_its_base_the_answer_is_also_json(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.has()
    assert main(["image", "build", "--base", "localhost/none:1", "--engine", str(FAKE), "--output", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["diagnostics"][0]["code"] == "CPT794"
