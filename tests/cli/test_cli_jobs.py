"""The commands about jobs, as a shell sees them: what is on which stream, and with which exit code they end."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.jobs.ports import JobState
from cloudcpt.local.engine import LocalEngine
from cloudcpt.wire import model_faults
from tests.fakes import small_plan
from tests.local.engines import end_all, fake_engine, wait_for
from tests.local.fake_trainer import LINES

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Start jobs in the state directory that the commands look at, and give their names."""
    monkeypatch.setenv("CLOUDCPT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    engine = fake_engine(tmp_path / "state")

    def start(behaviour: str = "complete", *states: JobState, name: str = "demo") -> str:
        plan = small_plan(tmp_path / "train.jsonl", name=name)
        fake_engine(tmp_path / "state", behaviour).create(plan)
        wait_for(engine, plan.job_name, *states)
        return plan.job_name

    yield start
    end_all(engine)


def state_of(tmp_path: Path, name: str) -> JobState:
    return LocalEngine(tmp_path / "state").status(name).state


def test_without_jobs_every_command_says_how_to_start_one(cloudcpt: Cloudcpt, job: object) -> None:
    listed = cloudcpt("list")
    assert (listed.code, listed.out) == (0, "")
    assert "cloudcpt submit RECIPE" in listed.err
    assert json.loads(cloudcpt("list", "--output", "json").out) == {"schema_version": 1, "jobs": []}
    for command in ("status", "logs", "stop", "fetch"):
        asked = cloudcpt(command)
        assert (asked.code, asked.out) == (2, "")
        assert "error[CPT453]" in asked.err


def test_list_shows_the_newest_first_and_survives_a_damaged_folder(
    cloudcpt: Cloudcpt, job: Callable[..., str], tmp_path: Path
) -> None:
    old, new, damaged = job(name="old"), job("fail", name="new"), job(name="damaged")
    (tmp_path / "state" / "jobs" / damaged / "status.json").write_text("{")
    listed = cloudcpt("list")
    assert listed.code == 0
    header, first, second = listed.out.splitlines()
    assert header.split() == ["job", "target", "state", "steps", "loss", "created"]
    assert first.split()[:5] == [new, "local", "failed", "-", "-"]
    assert second.split()[:5] == [old, "local", "completed", "3/3", "1.000"]
    assert "error[CPT459]" in listed.err
    jobs = json.loads(cloudcpt("list", "--output", "json").out)["jobs"]
    assert [(found["name"], found["state"]) for found in jobs] == [(new, "failed"), (old, "completed")]


def test_status_of_a_completed_job_has_its_numbers_and_what_to_do_next(
    cloudcpt: Cloudcpt, job: Callable[..., str]
) -> None:
    name = job()
    shown = cloudcpt("status")
    assert shown.code == 0
    assert "domain perplexity   20.09 -> 2.72" in shown.out
    assert "general perplexity  7.39 -> 8.17" in shown.out
    assert "a tiny random model stood in" in shown.out
    assert f"cloudcpt fetch {name}" in shown.err
    assert f"cloudcpt report {name}" in shown.err
    document = json.loads(cloudcpt("status", "demo", "--output", "json").out)
    assert (document["schema_version"], document["name"], document["state"]) == (1, name, "completed")
    assert document["progress"]["step"] == 3
    assert [phase["state"] for phase in document["phases"]][-1] == "completed"
    assert document["model"].endswith("ml/model")


def test_status_of_a_failed_job_gives_its_reason_first_and_ends_with_6(
    cloudcpt: Cloudcpt, job: Callable[..., str]
) -> None:
    job("fail")
    shown = cloudcpt("status")
    assert shown.code == 6
    assert shown.err.startswith("error[CPT604] loss is not finite at step 2\n   hint: lower the `lr`\n")
    document = cloudcpt("status", "--output", "json")
    assert document.code == 6
    assert json.loads(document.out)["failure"]["code"] == "CPT604"


def test_status_of_a_running_job_says_how_far_it_is(cloudcpt: Cloudcpt, job: Callable[..., str]) -> None:
    name = job("wait", JobState.TRAINING)
    shown = cloudcpt("status", name)
    assert shown.code == 0
    assert "progress   step 1 of 3, loss 3.000" in shown.out
    assert f"cloudcpt stop {name}" in shown.err


def test_a_name_nobody_has_is_answered_with_the_nearest(cloudcpt: Cloudcpt, job: Callable[..., str]) -> None:
    name = job()
    shown = cloudcpt("status", "domo" + name[4:])
    assert shown.code == 2
    assert "error[CPT454]" in shown.err
    assert f"did you mean `{name}`?" in shown.err


def test_logs_are_on_stdout_whole_or_by_their_end(cloudcpt: Cloudcpt, job: Callable[..., str]) -> None:
    job()
    assert cloudcpt("logs").out.splitlines() == LINES
    assert cloudcpt("logs", "--tail", "2").out.splitlines() == LINES[-2:]
    assert cloudcpt("logs", "--tail", "0").out == ""
    followed = cloudcpt("logs", "-f", "--tail", "3")
    assert (followed.code, followed.out.splitlines()) == (0, LINES[-3:])
    assert "20.09 -> 2.72" in followed.err


def test_following_a_job_to_a_bad_end_tells_the_reason_and_the_exit_code(
    cloudcpt: Cloudcpt, job: Callable[..., str]
) -> None:
    job("fail")
    followed = cloudcpt("logs", "-f")
    assert (followed.code, followed.out) == (6, "about to fail\n")
    assert "error[CPT604]" in followed.err


def test_stop_waits_when_asked_and_a_job_that_has_ended_is_no_error(
    cloudcpt: Cloudcpt, job: Callable[..., str], tmp_path: Path
) -> None:
    name = job("wait", JobState.TRAINING)
    stopped = cloudcpt("stop", name, "--wait")
    assert (stopped.code, stopped.out) == (0, f"{name}: stopped\n")
    assert state_of(tmp_path, name) is JobState.STOPPED
    again = cloudcpt("stop", name, "--output", "json")
    assert (again.code, json.loads(again.out)["state"]) == (0, "stopped")
    assert cloudcpt("stop", name).out == f"{name}: already stopped\n"
    assert cloudcpt("status", name).code == 7


def test_stop_without_waiting_returns_at_once(cloudcpt: Cloudcpt, job: Callable[..., str]) -> None:
    name = job("wait", JobState.TRAINING)
    asked = cloudcpt("stop")
    assert asked.code == 0
    assert asked.out in (f"{name}: stopping\n", f"{name}: stopped\n")


def test_fetch_verifies_and_puts_the_model_here(cloudcpt: Cloudcpt, job: Callable[..., str], tmp_path: Path) -> None:
    name = job()
    fetched = cloudcpt("fetch")
    assert (fetched.code, fetched.out) == (0, f"{name}: complete, every file verified\n")
    assert model_faults(tmp_path / name) == []
    assert cloudcpt("fetch", name).code == 2
    document = json.loads(cloudcpt("fetch", name, "elsewhere", "--output", "json").out)
    assert document["model"] == str(tmp_path / "elsewhere")
    assert cloudcpt("fetch", name, "elsewhere", "--force").code == 0


def test_fetch_refuses_a_damaged_model_and_leaves_nothing(
    cloudcpt: Cloudcpt, job: Callable[..., str], tmp_path: Path
) -> None:
    name = job()
    weights = tmp_path / "state" / "jobs" / name / "ml" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refused = cloudcpt("fetch")
    assert (refused.code, refused.out) == (1, "")
    assert "error[CPT462]" in refused.err
    assert "model.safetensors" in refused.err
    assert not (tmp_path / name).exists()
    assert cloudcpt("fetch", "--verify-only").code == 1


def test_verify_only_copies_nothing(cloudcpt: Cloudcpt, job: Callable[..., str], tmp_path: Path) -> None:
    name = job()
    verified = cloudcpt("fetch", "--verify-only")
    assert verified.code == 0
    assert "every file verified" in verified.out
    assert not (tmp_path / name).exists()
    assert cloudcpt("fetch", name, "there", "--verify-only").code == 2


@pytest.mark.parametrize(("behaviour", "code", "words"), [("fail", 6, "CPT604"), ("wait", 5, "CPT477")])
def test_fetch_says_why_there_is_no_model(
    cloudcpt: Cloudcpt, job: Callable[..., str], behaviour: str, code: int, words: str
) -> None:
    job(behaviour, JobState.TRAINING)
    refused = cloudcpt("fetch")
    assert (refused.code, refused.out) == (code, "")
    assert f"error[{words}]" in refused.err


def test_delete_asks_and_keeps_the_model(cloudcpt: Cloudcpt, job: Callable[..., str], tmp_path: Path) -> None:
    name = job()
    asked = cloudcpt("delete", name)
    assert asked.code == 2
    assert "error[CPT476]" in asked.err
    deleted = cloudcpt("delete", name, "--yes")
    kept = tmp_path / "state" / "models" / name
    assert (deleted.code, deleted.out) == (0, f"{name}: deleted; its model is in {kept}\n")
    assert model_faults(kept) == []
    assert cloudcpt("list").out == ""


def test_delete_takes_the_model_too_when_told(cloudcpt: Cloudcpt, job: Callable[..., str], tmp_path: Path) -> None:
    name = job()
    assert cloudcpt("delete", name, "--yes", "--with-model").out == f"{name}: deleted\n"
    assert not (tmp_path / "state" / "models").exists()
