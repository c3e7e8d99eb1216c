"""A rehearsal in containers is the job of its plan and its image."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.cli.dry_run import rehearsal_of
from cloudcpt.plan.plan import Plan
from cloudcpt.recipe.extras import Container
from tests.fakes import small_plan

ENGINE = str(Path(__file__).parents[1] / "fake_docker.py")


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    state = tmp_path / "docker"
    state.mkdir()
    monkeypatch.setenv("FAKE_DOCKER", str(state))
    return state


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return replace(small_plan(tmp_path / "train.jsonl"), target="container")


def test_another_image_behind_the_same_name_is_another_job(fake: Path, plan: Plan) -> None:
    wanted = Container(image="ours", engine=ENGINE)
    first, again = (rehearsal_of(plan, wanted) for _ in range(2))
    (fake / "image.json").write_text(json.dumps({"Id": "sha256:" + "12" * 32}))
    rebuilt = rehearsal_of(plan, wanted)
    assert first.plan.job_name == again.plan.job_name
    assert len({plan.job_name, first.plan.job_name, rebuilt.plan.job_name}) == 3


def test_what_was_looked_at_is_what_runs(fake: Path, plan: Plan) -> None:
    rehearsal = rehearsal_of(plan, Container(image="ours", engine=ENGINE, memory_gb=0.5))
    command = list(rehearsal.trainer.command)
    assert command[command.index("--image") + 1] == rehearsal.plan.world.image == "ab" * 32
    assert json.loads(command[command.index("--limits") + 1])["memory"] == str(500_000_000)
    assert "not proven by it: NCCL" in rehearsal.shown
