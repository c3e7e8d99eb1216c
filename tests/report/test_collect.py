import json
import math
from dataclasses import replace

import pytest

from cloudcpt.errors import Blame, PlanError
from cloudcpt.jobs.ports import JobState, JobStatus, Phase
from cloudcpt.report.collect import collect, step_seconds
from cloudcpt.wire import Failure, MlFolder


def status_of(plan, state: JobState, failure: Failure | None = None) -> JobStatus:
    return JobStatus(
        name=plan.job_name,
        target="local",
        plan_hash=plan.hash,
        phases=(Phase(state=state, at=0.0),),
        failure=failure,
        progress=None,
        evaluations=(),
        files="",
        is_rehearsal=False,
        model=None,
    )


def test_a_completed_run_is_read_in_full(completed, plan):
    report = collect(completed)
    assert report.outcome == "completed"
    assert report.plan == plan
    assert [point.step for point in report.steps] == list(range(1, 81))
    assert [point.step for point in report.curve("general")] == [0, 20, 40, 60, 80]
    assert report.seconds == 41.5
    assert report.trained_tokens == {"train": 318_000, "replay-stdlib": 322_000}
    assert [file.name for file in report.model_files] == ["config.json", "model.safetensors"]
    assert (report.failure, report.model_faults, report.remarks) == (None, (), ())


def test_before_is_step_zero_and_after_is_the_last_measurement(completed):
    report = collect(completed)
    assert report.before("domain").loss == 5.87
    assert (report.after("domain").step, report.after("domain").loss) == (80, 4.56)


def test_a_sample_pairs_the_first_and_the_last_continuation(completed):
    (sample,) = collect(completed).samples
    assert (sample.prompt, sample.before, sample.after) == (
        "The try statement",
        " of the given graph.",
        " is used to catch.",
    )


def test_a_prompt_that_was_never_sampled_is_still_shown(tell, plan):
    (sample,) = collect(tell(plan, [])).samples
    assert (sample.before, sample.after) == (None, None)


def test_a_run_that_only_has_a_plan_makes_an_empty_report(tell, plan):
    report = collect(tell(plan, []))
    assert report.outcome == "unfinished"
    assert report.steps_done == 0
    assert report.before("domain") is None
    assert report.after("domain") is None
    assert report.seconds == 0


def test_a_folder_without_a_plan_is_refused(tmp_path):
    with pytest.raises(PlanError):
        collect(MlFolder(tmp_path))


def test_a_run_that_was_killed_keeps_what_it_said_before_the_half_line(tell, plan, story):
    ml = tell(plan, story(plan, 33))
    with ml.metrics.open("a", encoding="utf-8") as file:
        file.write('{"kind": "step", "step": 34, "lo')
    report = collect(ml)
    assert report.outcome == "unfinished"
    assert report.steps_done == 33
    assert report.remarks == ("1 line of `metrics.jsonl` cannot be read",)
    assert report.seconds == pytest.approx(33 * 0.45)


def test_a_failure_file_makes_the_run_a_failed_one(tell, plan, story):
    report = collect(tell(plan, story(plan, 33), failure="CPT604 [user] loss is not finite; hint: lower the rate\n"))
    assert report.outcome == "failed"
    assert (report.failure.code, report.failure.blame) == ("CPT604", Blame.USER)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (JobState.TRAINING, "running"),
        (JobState.STOPPING, "running"),
        (JobState.FAILED, "failed"),
        (JobState.STOPPED, "stopped"),
    ],
)
def test_the_place_where_it_runs_knows_what_a_killed_trainer_could_not_say(tell, plan, story, state, outcome):
    killed = Failure(code="CPT451", blame=Blame.PLATFORM, message="the trainer was killed")
    report = collect(tell(plan, story(plan, 33)), status_of(plan, state, killed if state.is_final else None))
    assert report.outcome == outcome
    assert report.failure == (killed if state.is_final else None)


def test_a_number_that_was_not_finite_is_not_a_number_and_not_a_crash(tell, plan, story):
    records = story(plan, 3)
    for row in records:
        if row["kind"] == "step" and row["step"] == 2:
            row |= {"loss": None, "grad_norm": None}
    report = collect(tell(plan, records))
    assert [math.isnan(point.loss) for point in report.steps] == [False, True, False]


@pytest.mark.parametrize(
    "line", ["[]", "7", '"step"', "{}", '{"kind": "step"}', '{"kind": "step", "step": "2"}', '{"kind": "eval"}', "\x00"]
)
def test_a_record_of_another_shape_is_counted_and_left_out(tell, plan, story, line):
    ml = tell(plan, story(plan, 3))
    ml.metrics.write_text(ml.metrics.read_text("utf-8") + line + "\n", "utf-8")
    report = collect(ml)
    assert report.steps_done == 3
    assert report.remarks == ("1 line of `metrics.jsonl` cannot be read",)


def test_metrics_of_another_plan_are_pointed_out(tell, plan, story):
    other = replace(plan, seed=43)
    (remark,) = collect(tell(plan, story(other, 3))).remarks
    assert other.hash[:10] in remark


def test_a_model_that_was_altered_after_the_run_is_not_listed_as_whole(completed):
    (completed.model / "model.safetensors").write_bytes(b"w3ights")
    report = collect(completed)
    assert report.model_files == ()
    assert "SHA-256" in report.model_faults[0]


def test_the_time_of_unlogged_steps_is_counted(tell, plan, story):
    records = [row for row in story(plan, 30) if row["kind"] != "step" or row["step"] % 10 == 0]
    assert step_seconds(collect(tell(plan, records)).steps) == pytest.approx(30 * 0.45)


def test_records_out_of_order_are_put_in_order(tell, plan, story):
    report = collect(tell(plan, list(reversed(story(plan, 40)))))
    assert [point.step for point in report.steps] == list(range(1, 41))
    assert json.dumps([point.step for point in report.curve("domain")]) == "[0, 20, 40]"


def test_a_set_that_was_only_measured_at_step_zero_has_no_after(tell, plan, story):
    report = collect(tell(plan, story(plan, 10)))
    assert report.before("domain") is not None
    assert report.after("domain") is None


def test_of_a_running_count_the_last_one_counts(tell, plan):
    records = [{"kind": "mix", "tokens": {"train": count}} for count in (10, 20)]
    assert collect(tell(plan, records)).trained_tokens == {"train": 20}
