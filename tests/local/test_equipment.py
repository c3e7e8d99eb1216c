"""What a machine has for containers is an engine that answers, not a program of that name."""

from pathlib import Path

import pytest

from cloudcpt.local.equipment import check_equipment
from cloudcpt.plan.instances import Machine

FAKE = Path(__file__).parents[1] / "fake_docker.py"


def containers(tmp_path: Path) -> str:
    machine = Machine(gpus=0, gpu_memory_bytes=0, cpus=2)
    return next(check.words for check in check_equipment(machine, tmp_path) if check.name == "containers")


def test_an_engine_that_answers_is_named_and_a_client_without_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_DOCKER", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "docker").symlink_to(FAKE)
    assert containers(tmp_path) == "docker 99.0"
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "docker").unlink()
    assert containers(tmp_path).startswith("there is no container engine on this machine")
