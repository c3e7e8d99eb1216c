import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from cloudcpt.plan.plan import read_plan
from cloudcpt.train.progress import MetricsLog, last_step
from cloudcpt.wire import MlFolder, parse_progress

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))


@pytest.fixture
def ml(tmp_path: Path) -> MlFolder:
    return MlFolder(tmp_path)


def records(ml: MlFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ml.metrics.read_text("utf-8").splitlines()]


def take_steps(log: MetricsLog, steps: range) -> None:
    for step in steps:
        log.step(
            step,
            loss=5.0 - step / 10,
            lr=1e-3,
            grad_norm=1.5,
            tokens=100,
            seconds=0.5,
            data_wait_s=0.05,
            memory_bytes=7,
        )


@pytest.mark.parametrize(
    ("every", "steps", "logged"),
    [(1, 4, [1, 2, 3, 4]), (2, 6, [1, 2, 4, 6]), (4, 10, [1, 4, 8, 10]), (100, 3, [1, 3]), (5, 1, [1])],
)
def test_the_first_and_the_last_step_and_every_so_many_are_logged(
    ml: MlFolder, every: int, steps: int, logged: list[int]
) -> None:
    plan = replace(PLAN, log_every_steps=every, geometry=replace(PLAN.geometry, steps=steps))
    with MetricsLog(plan, ml, enabled=True) as log:
        take_steps(log, range(1, steps + 1))
        log.end(steps, "completed")
    assert [row["step"] for row in records(ml) if row["kind"] == "step"] == logged


def test_a_step_record_says_everything_about_the_steps_since_the_last_one(ml: MlFolder) -> None:
    plan = replace(PLAN, log_every_steps=3, world=replace(PLAN.world, processes_per_node=2))
    with MetricsLog(plan, ml, enabled=True) as log:
        take_steps(log, range(1, 3))
        log.step(3, loss=4.5, lr=2e-3, grad_norm=0.5, tokens=400, seconds=1.0, data_wait_s=0.35, memory_bytes=9)
        log.end(3, "stopped")
    assert [row for row in records(ml) if row["kind"] == "step"][1] == {
        "kind": "step",
        "step": 3,
        "loss": 4.5,
        "lr": 2e-3,
        "grad_norm": 0.5,
        "tokens": 600,
        "tokens_per_s": pytest.approx(500 / 1.5),
        "tokens_per_s_per_process": pytest.approx(250 / 1.5),
        "seconds": pytest.approx(0.75),
        "data_wait_share": pytest.approx(0.4 / 1.5),
        "memory_bytes": 9,
    }


def test_every_kind_of_record_has_its_fields_in_the_order_of_the_run(ml: MlFolder) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        log.evaluation("domain", 0, 2.0, 7.389, 50)
        log.sample(0, "The", " café")
        take_steps(log, range(1, 2))
        log.event(1, "export", "writing the model")
        log.mix(1, {"train": 70, "replay-a": 30})
        log.end(1, "stopped")
    run, evaluation, sample, step, event, mix, end = records(ml)
    assert run.pop("started_at").endswith("+00:00")
    assert run == {
        "kind": "run",
        "schema_version": 1,
        "plan_hash": PLAN.hash,
        "job_name": PLAN.job_name,
        "world_size": 1,
        "device": "cpu",
    }
    expected = {"kind": "eval", "set": "domain", "step": 0, "loss": 2.0, "perplexity": 7.389, "tokens": 50}
    assert evaluation == expected
    assert sample == {"kind": "sample", "step": 0, "prompt": "The", "text": " café"}
    assert step["kind"] == "step"
    assert event == {"kind": "event", "step": 1, "name": "export", "message": "writing the model"}
    assert mix == {"kind": "mix", "step": 1, "tokens": {"train": 70, "replay-a": 30}}
    assert end.pop("seconds") >= 0
    assert end == {"kind": "end", "step": 1, "outcome": "stopped"}


def test_the_jobs_log_gets_lines_that_the_client_can_read(ml: MlFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        log.evaluation("general", 0, 2.0, 7.389, 50)
        take_steps(log, range(1, 3))
        log.end(2, "stopped")
    first, *steps = capsys.readouterr().out.splitlines()
    assert first == "eval|general|0|2.000000|7.3890"
    progress = [parse_progress(line) for line in steps]
    assert [(row.step, row.loss, row.tokens, row.total_steps) for row in progress if row] == [
        (1, 4.9, 100, 6),
        (2, 4.8, 200, 6),
    ]
    assert [(row.tokens_per_s, row.eta_s) for row in progress if row] == [(200.0, 2.0), (200.0, 2.0)]


def scalars(folder: Path) -> Iterator[tuple[str, int, float]]:
    for path in folder.iterdir():
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tensor.float_val:
                    yield value.tag, event.step, value.tensor.float_val[0]


def test_tensorboard_shows_the_same_numbers(ml: MlFolder) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        log.evaluation("domain", 0, 2.0, 7.5, 50)
        take_steps(log, range(1, 3))
        log.end(2, "stopped")
    found = {(tag, step): value for tag, step, value in scalars(ml.tensorboard)}
    assert found["train/loss", 2] == pytest.approx(4.8)
    assert found["train/tokens_per_s", 1] == pytest.approx(200)
    assert found["eval/domain_perplexity", 0] == 7.5


def test_only_an_enabled_log_writes(ml: MlFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with MetricsLog(PLAN, ml, enabled=False) as log:
        log.evaluation("domain", 0, 2.0, 7.4, 50)
        take_steps(log, range(1, 4))
        log.sample(3, "a", "b")
        log.event(3, "c", "d")
        log.end(3, "completed")
    assert list(ml.root.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_number_that_is_not_finite_is_null_because_json_has_no_other_word(ml: MlFolder) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        log.evaluation("domain", 0, 900.0, float("inf"), 50)
        log.end(0, "stopped")
    assert records(ml)[1]["perplexity"] is None


def test_lines_are_on_disk_before_the_run_ends(ml: MlFolder) -> None:
    log = MetricsLog(PLAN, ml, enabled=True)
    take_steps(log, range(1, 2))
    assert [row["kind"] for row in records(ml)] == ["run", "step"]
    log.end(1, "stopped")


def test_an_exception_ends_the_record_as_failed_after_the_last_step(ml: MlFolder) -> None:
    log = MetricsLog(PLAN, ml, enabled=True)
    with suppress(RuntimeError), log:
        take_steps(log, range(1, 4))
        raise RuntimeError
    end = records(ml)[-1]
    assert (end["kind"], end["step"], end["outcome"]) == ("end", 3, "failed")


def test_the_last_step_is_read_back_from_the_end_of_the_run(ml: MlFolder) -> None:
    assert last_step(ml) is None
    log = MetricsLog(PLAN, ml, enabled=True)
    take_steps(log, range(1, 6))
    assert last_step(ml) is None
    log.end(5, "stopped")
    assert last_step(ml) == 5
