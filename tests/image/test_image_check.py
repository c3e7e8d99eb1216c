"""What `cloudcpt image check` finds in an image that breaks the contract, each rule by itself."""

import io
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt import __version__
from cloudcpt.cli.main import main
from cloudcpt.image.check import check_image, is_kept
from cloudcpt.jobs.checks import Check, CheckOutcome
from cloudcpt.plan.plan import Plan
from tests.fakes import small_plan
from tests.image.conftest import FAKE, Fake

ENTRY = ["/opt/cloudcpt/bin/python", "-m", "cloudcpt.train"]
LABELS = {"org.opencontainers.image.version": __version__, "org.opencontainers.image.revision": "abc"}


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return replace(small_plan(tmp_path / "train.jsonl"), target="container")


@pytest.fixture
def look(fake: Fake, plan: Plan) -> Iterator[Callable[[str], Check]]:
    """Look at the image until one thing has been checked; what comes after it is not run."""
    fake.knows("behaviours", "complete")
    fake.knows("image.json", {"Config": {"Entrypoint": ENTRY, "Labels": LABELS}})
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    made = check_image(fake.becomes("docker"), "image", plan, io.BytesIO())
    yield lambda name: next(check for check in made if check.name == name)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def broken(check: Check, code: str = "CPT796") -> str:
    assert check.outcome is CheckOutcome.FAILED
    assert check.diagnostic is not None
    assert check.diagnostic.code == code
    return check.words


def test_an_image_that_keeps_the_contract_passes_every_check(look, fake: Fake, plan: Plan) -> None:
    checks = list(check_image(fake.becomes("docker"), "image", plan, io.BytesIO()))
    assert [(check.name, check.outcome) for check in checks if check.outcome is not CheckOutcome.OK] == []
    assert is_kept(checks)
    assert checks[-1].name == "its model"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ([], "has no ENTRYPOINT"),
        (None, "has no ENTRYPOINT"),
        (["/bin/sh", "-c", "python train.py"], "a shell is process 1"),
        (["/usr/bin/bash", "start.sh"], "a shell is process 1"),
    ],
)
def test_a_shell_may_not_be_process_1(look, fake: Fake, entry: list[str] | None, words: str) -> None:
    fake.knows("image.json", {"Config": {"Entrypoint": entry}})
    assert words in broken(look("entry point"))


def test_an_image_for_other_machines_is_found_out(look, fake: Fake) -> None:
    fake.knows("image.json", {"Architecture": "arm64"})
    assert "linux/arm64" in broken(look("platform"))


def test_an_image_of_another_version_is_found_out(look, fake: Fake) -> None:
    fake.knows("image.json", {"Config": {"Labels": {"org.opencontainers.image.version": "9.9"}}})
    assert "cloudcpt 9.9" in broken(look("version"), "CPT797")


def test_an_image_that_names_no_version_may_be_a_users_own(look, fake: Fake) -> None:
    fake.knows("image.json", {"Config": {"Labels": None}})
    assert look("version").outcome is CheckOutcome.NOT_CHECKED


def test_files_where_the_service_mounts_would_be_hidden(look, fake: Fake) -> None:
    fake.knows("inside.json", {"/bin/sh": "/opt/ml/code/train.py\n"})
    assert "`/opt/ml/code/train.py`" in broken(look("/opt/ml"))


def test_what_cannot_be_looked_at_is_no_failure(look, fake: Fake) -> None:
    fake.knows("inside.json", {})
    assert look("/opt/ml").outcome is CheckOutcome.NOT_CHECKED
    assert look("bill of materials").outcome is CheckOutcome.NOT_CHECKED


@pytest.mark.parametrize(
    ("ends", "words"), [("succeeds", "as if all were well"), ("says nothing", "left no `/opt/ml/output/failure`")]
)
def test_a_job_that_cannot_run_has_to_say_so(look, fake: Fake, ends: str, words: str) -> None:
    fake.knows("planless", ends)
    assert words in broken(look("a job without a plan"))


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("leave-nothing", "it ended with 0: no reason was left"),
        ("fail", "CPT604: loss is not finite"),
    ],
)
def test_success_is_a_model_and_not_an_exit_status(look, fake: Fake, behaviour: str, words: str) -> None:
    fake.knows("behaviours", behaviour)
    assert words in broken(look("a tiny job"))


def test_the_command_ends_with_findings_and_lists_every_check(
    look, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.knows("image.json", {"Config": {"Entrypoint": ["bash", "start.sh"], "Labels": LABELS}})
    assert main(["image", "check", "image", "--engine", str(FAKE), "--output", "json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["is_kept"] is False
    assert [(check["name"], check["outcome"]) for check in said["checks"] if check["outcome"] != "ok"] == [
        ("entry point", "failed"),
        ("GPUs", "not checked"),
    ]
    assert len(said["checks"]) == 9


def test_buildah_alone_checks_nothing_and_says_what_is_missing(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.becomes("buildah")
    assert main(["image", "check", "image", "--engine", str(FAKE)]) == 3
    said = capsys.readouterr().err
    assert "error[CPT791]" in said
    assert "it builds images, and runs no containers" in said
    assert "install podman" in said


def test_an_image_for_cpus_is_one_for_rehearsals(look) -> None:
    check = look("GPUs")
    assert (check.outcome, check.words) == (
        CheckOutcome.OK,
        "torch 2.13.0+cpu is for CPUs: the image is for rehearsals",
    )


@pytest.mark.parametrize(
    ("name", "lacks", "words"),
    [("EFA", "has_plugin", "would talk over TCP"), ("compiler", "has_compiler", "would fail at the first step")],
)
def test_what_gpus_need_around_cuda_is_looked_for(look, fake: Fake, name: str, lacks: str, words: str) -> None:
    has = {"torch": "2.13.0+cu130", "cuda": "13.0", "has_plugin": True, "has_compiler": True}
    fake.knows("inside.json", {ENTRY[0]: json.dumps(has | {lacks: False})})
    assert words in broken(look(name))


def test_an_image_for_gpus_that_has_everything_passes(look, fake: Fake) -> None:
    has = {"torch": "2.13.0+cu130", "cuda": "13.0", "has_plugin": True, "has_compiler": True}
    fake.knows("inside.json", {ENTRY[0]: json.dumps(has)})
    assert [look(name).outcome for name in ("GPUs", "EFA", "compiler")] == [CheckOutcome.OK] * 3


def test_a_torch_that_cannot_be_imported_is_said_before_a_job_is_run(look, fake: Fake) -> None:
    fake.knows("inside.json", {"/bin/sh": ""})
    assert "cannot import torch" in broken(look("GPUs"))
