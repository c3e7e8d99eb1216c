import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from cloudcpt.plan.plan import read_plan
from cloudcpt.train.evaluate import HeldOut
from cloudcpt.train.flops import ModelFlops
from cloudcpt.train.gauges import Gauges
from cloudcpt.train.progress import MetricsLog, last_step
from cloudcpt.train.source_counts import SourceCounts
from cloudcpt.train.utilisation import GpuReading
from cloudcpt.train.window import Standing, StepNumbers
from cloudcpt.train.work import Work
from cloudcpt.wire import Course, MlFolder, parse_progress

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))
COUNTS = SourceCounts(
    channel="train",
    documents=5,
    tokens=100,
    rows=7,
    cut_documents=2,
    cut_tokens=60,
    padding_share=0.11,
    passes=1.5,
    origin="reused",
    windows_read=1,
    windows=1,
)


@pytest.fixture
def ml(tmp_path: Path) -> MlFolder:
    return MlFolder(tmp_path)


def records(ml: MlFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ml.metrics.read_text("utf-8").splitlines()]


class BusyGpu:
    """A GPU that is busier at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def read(self) -> GpuReading:
        self.looks += 1
        return GpuReading(utilisation=self.looks / 10, memory_utilisation=0.5)


FLOPS = ModelFlops(learning=10, frozen=0, attention_width=1, windows={None: 1})
CPU = Gauges(flops=FLOPS, peak_flops_per_s=None, device=torch.device("cpu"), gpu=None, remarks=())
WORK = Work(labels=90, tokens=100, text_bytes=400, flops_full=6e12, flops_document=5e12)
STEADY = Standing(course=Course.STEADY, spikes=0, skipped=0)


def take_steps(log: MetricsLog, steps: range, gauges: Gauges = CPU) -> None:
    for step in steps:
        numbers = StepNumbers(loss=5.0 - step / 10, grad_norm=1.5, lr=1e-3)
        log.step(step, numbers, WORK, gauges, STEADY, seconds=0.5, data_wait_s=0.05)


def held_out(loss: float, perplexity: float) -> HeldOut:
    return HeldOut(loss=loss, perplexity=perplexity, bits_per_byte=loss / 3, tokens=50)


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
    gauges = replace(CPU, peak_flops_per_s=20e12, gpu=BusyGpu())
    numbers = StepNumbers(loss=4.5, grad_norm=0.5, lr=2e-3)
    work = Work(labels=390, tokens=400, text_bytes=1600, flops_full=24e12, flops_document=10e12)
    standing = Standing(course=Course.BUMP, spikes=2, skipped=1)
    with MetricsLog(plan, ml, enabled=True) as log:
        take_steps(log, range(1, 3), gauges)
        log.step(3, numbers, work, gauges, standing, seconds=1.0, data_wait_s=0.35)
        log.end(3, "stopped")
    row = [row for row in records(ml) if row["kind"] == "step"][1]
    assert row.pop("memory_bytes") == row.pop("host_memory_bytes") > 2**20
    assert row == {
        "kind": "step",
        "step": 3,
        "loss": 4.5,
        "perplexity": pytest.approx(math.exp(4.5)),
        "bits_per_byte": pytest.approx(4.5 / math.log(2) / 4),
        "lr": 2e-3,
        "grad_norm": 0.5,
        "tokens": 600,
        "tokens_per_s": pytest.approx(500 / 1.5),
        "tokens_per_s_per_process": pytest.approx(250 / 1.5),
        "seconds": pytest.approx(0.75),
        "flops_per_s_full": pytest.approx(30e12 / 1.5),
        "flops_per_s_document": pytest.approx(15e12 / 1.5),
        "mfu_full": pytest.approx(0.5),
        "mfu_document": pytest.approx(0.25),
        "data_wait_share": pytest.approx(0.4 / 1.5),
        "gpu_utilisation": pytest.approx(0.25),  # 0.2 and 0.3: the first look was on the line before
        "gpu_memory_utilisation": 0.5,
        "course": "bump",
        "spikes": 2,
        "skipped": 1,
    }


def test_what_cannot_be_measured_is_null_in_the_record_and_not_in_the_line(
    ml: MlFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        take_steps(log, range(1, 2))
        log.end(1, "stopped")
    row = next(row for row in records(ml) if row["kind"] == "step")
    unknown = ("mfu_full", "mfu_document", "gpu_utilisation", "gpu_memory_utilisation")
    assert [row[name] for name in unknown] == [None] * 4
    assert not [name for name in unknown if name in capsys.readouterr().out]
    assert row["flops_per_s_full"] == pytest.approx(12e12)


def test_a_step_that_was_left_out_has_no_loss_and_every_other_number(ml: MlFolder) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        numbers = StepNumbers(loss=math.nan, grad_norm=math.inf, lr=1e-3)
        log.step(1, numbers, WORK, CPU, replace(STEADY, skipped=1), seconds=0.5, data_wait_s=0.0)
        log.end(1, "stopped")
    row = next(row for row in records(ml) if row["kind"] == "step")
    assert [row[name] for name in ("loss", "perplexity", "bits_per_byte", "grad_norm")] == [None] * 4
    assert (row["tokens_per_s"], row["skipped"]) == (200.0, 1)


def test_every_kind_of_record_has_its_fields_in_the_order_of_the_run(ml: MlFolder) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        log.evaluation("domain", 1, held_out(2.0, 7.389), before=held_out(2.5, 12.18))
        log.sample(0, "The", " café")
        take_steps(log, range(1, 2))
        log.event(1, "export", "writing the model", places=["train/a.jsonl:3"], loss=math.nan)
        log.source(COUNTS)
        log.mix(1, {"train": 70, "replay-a": 30})
        log.end(1, "stopped")
    run, evaluation, sample, step, event, source, mix, end = records(ml)
    assert run.pop("started_at").endswith("+00:00")
    assert run == {
        "kind": "run",
        "schema_version": 1,
        "plan_hash": PLAN.hash,
        "job_name": PLAN.job_name,
        "world_size": 1,
        "device": "cpu",
    }
    assert evaluation == {
        "kind": "eval",
        "set": "domain",
        "step": 1,
        "loss": 2.0,
        "perplexity": 7.389,
        "bits_per_byte": pytest.approx(2 / 3),
        "change_nats": -0.5,
        "tokens": 50,
    }
    assert sample == {"kind": "sample", "step": 0, "prompt": "The", "text": " café"}
    assert step["kind"] == "step"
    said = {"kind": "event", "step": 1, "name": "export", "message": "writing the model"}
    assert event == said | {"places": ["train/a.jsonl:3"], "loss": None}
    assert source == {
        "kind": "source",
        "channel": "train",
        "documents": 5,
        "tokens": 100,
        "rows": 7,
        "cut_documents": 2,
        "cut_tokens": 60,
        "padding_share": 0.11,
        "passes": 1.5,
        "origin": "reused",
        "windows_read": 1,
        "windows": 1,
    }
    assert mix == {"kind": "mix", "step": 1, "tokens": {"train": 70, "replay-a": 30}}
    assert end.pop("seconds") >= 0
    assert end == {"kind": "end", "step": 1, "outcome": "stopped"}


def test_the_jobs_log_gets_lines_that_the_client_can_read(ml: MlFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        log.evaluation("general", 0, held_out(2.0, 7.389), before=None)
        take_steps(log, range(1, 3))
        log.end(2, "stopped")
    first, *steps = capsys.readouterr().out.splitlines()
    assert first == "eval|general|0|2.000000|7.3890| bits_per_byte=0.666667 change_nats=0.000000"
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
        log.evaluation("domain", 0, held_out(2.0, 7.5), before=None)
        take_steps(log, range(1, 3))
        log.end(2, "stopped")
    found = {(tag, step): value for tag, step, value in scalars(ml.tensorboard)}
    assert found["train/loss", 2] == pytest.approx(4.8)
    assert found["train/tokens_per_s", 1] == pytest.approx(200)
    assert found["train/flops_per_s_full", 1] == pytest.approx(12e12)
    assert found["eval/domain_perplexity", 0] == 7.5
    assert found["eval/domain_bits_per_byte", 0] == pytest.approx(2 / 3)
    assert not [tag for tag, _ in found if "mfu" in tag or "course" in tag]


def test_only_an_enabled_log_writes(ml: MlFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with MetricsLog(PLAN, ml, enabled=False) as log:
        log.evaluation("domain", 0, held_out(2.0, 7.4), before=None)
        take_steps(log, range(1, 4))
        log.sample(3, "a", "b")
        log.event(3, "c", "d")
        log.end(3, "completed")
    assert list(ml.root.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_number_that_is_not_finite_is_null_because_json_has_no_other_word(ml: MlFolder) -> None:
    with MetricsLog(PLAN, ml, enabled=True) as log:
        log.evaluation("domain", 0, held_out(900.0, math.inf), before=None)
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
