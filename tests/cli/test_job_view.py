"""What is said of a job beyond its state: what it measured, and what its monitor found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.job_view import evaluation_words, progress_words, result_pairs
from cloudcpt.jobs.ports import JobState, JobStatus, Phase
from cloudcpt.local.engine import LocalEngine
from cloudcpt.wire import Course, Evaluation, Progress
from tests.fakes import small_plan
from tests.local.engines import end_all, fake_engine, wait_for

STEP = Progress(
    step=40, loss=2.25, tokens_per_s=81234.5, total_steps=500, lr=1e-5, grad_norm=0.75, tokens=7_864, eta_s=3600.0
)


def status(*evaluations: Evaluation, state: JobState = JobState.TRAINING, **progress: Any) -> JobStatus:
    return JobStatus(
        name="demo-0123456789",
        target="local",
        plan_hash="ab" * 32,
        phases=(Phase(state=state, at=0.0),),
        failure=None,
        progress=replace(STEP, **progress),
        evaluations=evaluations,
        files="",
        is_rehearsal=False,
        model=None,
    )


def measured(set_name: str, step: int, loss: float, bits: float | None = None) -> Evaluation:
    return Evaluation(set_name=set_name, step=step, loss=loss, perplexity=2.71**loss, bits_per_byte=bits)


def test_forgetting_is_the_rise_of_the_general_loss() -> None:
    pairs = dict(result_pairs(status(measured("general", 0, 2.0), measured("general", 500, 2.125))))
    assert pairs["forgetting"].startswith("+0.125 nats per token")


def test_one_measurement_alone_says_nothing_of_forgetting() -> None:
    assert "forgetting" not in dict(result_pairs(status(measured("general", 0, 2.0), measured("domain", 0, 2.0))))


def test_bits_per_byte_are_shown_where_every_measurement_has_them() -> None:
    both = (measured("domain", 0, 2.0, 0.8125), measured("domain", 9, 1.9, 0.75))
    assert dict(result_pairs(status(*both)))["domain bits/byte"] == "0.812 -> 0.750"
    old = (measured("domain", 0, 2.0), measured("domain", 9, 1.9, 0.75))
    assert "domain bits/byte" not in dict(result_pairs(status(*old)))


def test_a_steady_job_has_nothing_to_be_said_of() -> None:
    assert result_pairs(status()) == []


def test_what_the_monitor_found_is_said() -> None:
    pairs = dict(result_pairs(status(course=Course.DIVERGING, spikes=3, skipped=1)))
    assert "divergence" in pairs["course"]
    assert pairs["spikes"].startswith("3 of the loss")
    assert pairs["left out"] == "1 step, because not finite"


@pytest.mark.parametrize(("state", "is_told"), [(JobState.TRAINING, True), (JobState.COMPLETED, False)])
def test_an_early_rise_is_of_interest_until_the_job_ends(state: JobState, is_told: bool) -> None:
    assert ("course" in dict(result_pairs(status(state=state, course=Course.BUMP)))) is is_told


def test_mfu_is_part_of_the_progress_where_it_is_known() -> None:
    assert ", MFU 61%, " in progress_words(replace(STEP, mfu_full=0.614))
    assert "MFU" not in progress_words(STEP)


def test_a_later_measurement_says_how_far_the_loss_has_moved() -> None:
    later = replace(measured("general", 80, 2.0), change_nats=0.012)
    assert evaluation_words(later).endswith("loss 2.000 (+0.012 since step 0)")
    assert evaluation_words(replace(later, step=0, change_nats=0.0)).endswith("loss 2.000")


def test_metrics_draws_what_was_measured_and_leaves_out_what_was_not(
    cloudcpt: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDCPT_STATE_DIR", str(tmp_path / "state"))
    engine = fake_engine(tmp_path / "state")
    name = engine.create(small_plan(tmp_path / "train.jsonl")).name
    wait_for(engine, name)
    end_all(engine)
    metrics = LocalEngine(tmp_path / "state").folder(name).ml.metrics
    metrics.parent.mkdir(parents=True, exist_ok=True)
    step = (
        '{"kind": "step", "step": %d, "loss": 2.0, "mfu_full": 0.6, "data_wait_share": 0.01, "gpu_utilisation": null}'
    )
    rows = [step % number for number in (1, 2)]
    rows.append('{"kind": "event", "step": 2, "name": "spike", "message": "m", "loss": 9.0}')
    metrics.write_text("\n".join(rows) + "\n", "utf-8")
    shown = cloudcpt("metrics").out
    assert "MFU, full      60.0% -> 60.0%" in shown
    assert "data wait      1.0% -> 1.0%" in shown
    assert "GPU busy" not in shown
    assert "gradient norm  not a number" in shown
    assert "jumped once" in shown
