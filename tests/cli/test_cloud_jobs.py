"""The commands about jobs in the cloud: what is on which stream, who is asked, and the exit code."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.cli.places import Places
from cloudcpt.errors import CloudcptError, SetupError, TransientError, error
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.engine import LocalEngine
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import Progress, complete_model, evaluation_line
from tests.cli.clouds import FakeRegion, nobody_asks, places_with, run
from tests.jobs.cloud_plans import cloud_launch, cloud_plan

BUSY = TransientError(error("CPT407", "the service could not look at job `x`, tried 10 times"))
EXPIRED = SetupError(error("CPT401", "the AWS credentials have expired", hint="sign in again"))


def progress(step: int) -> str:
    return Progress(
        step=step,
        loss=3.0 / step,
        tokens_per_s=64.0,
        total_steps=3,
        lr=1e-4,
        grad_norm=1.0,
        tokens=32 * step,
        eta_s=1.0,
    ).line()


LINES = (
    evaluation_line("domain", 0, 3.0, 20.09),
    progress(1),
    progress(2),
    progress(3),
    evaluation_line("domain", 3, 1.0, 2.72),
)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return cloud_plan(tmp_path)


Start = Callable[..., FakeRegion]


@pytest.fixture
def start(tmp_path: Path, plan: Plan) -> Start:
    """Start the plan's job in a region that behaves as told, and bring it to its end unless it holds."""

    def region(**behaviour: object) -> FakeRegion:
        made = FakeRegion(tmp_path / "state", lines=LINES, **behaviour)
        made.jobs.create(plan)
        while "hold" not in behaviour and not made.jobs.status(plan.job_name).state.is_final:
            pass
        made.jobs.calls.clear()
        return made

    return region


# --- list --------------------------------------------------------------------------------------------------------


def test_list_asks_about_live_jobs_only(start: Start, plan: Plan, tmp_path: Path) -> None:
    region = start()
    live = cloud_plan(tmp_path, cloud_launch(budget_usd=5.0))
    region.jobs.jobs.hold = JobState.TRAINING
    region.jobs.create(live)
    region.jobs.calls.clear()
    listed = run(places_with(region), "list")
    assert listed.code == 0
    assert region.jobs.calls == [f"status {live.job_name}"]
    header, first, second = (line.split() for line in listed.out.splitlines())
    assert header == ["job", "target", "state", "steps", "loss", "created"]
    assert first[:3] == [live.job_name, "sagemaker", "preparing"]
    assert second[:3] == [plan.job_name, "sagemaker", "completed"]


def test_list_of_ended_jobs_asks_nobody(start: Start, plan: Plan) -> None:
    state = start().jobs.state
    listed = run(Places(LocalEngine(state), connect=nobody_asks), "list", "--output", "json")
    (job,) = json.loads(listed.out)["jobs"]
    assert (listed.code, job["name"], job["state"], job["cost_usd"]) == (0, plan.job_name, "completed", 12.5)


@pytest.mark.parametrize("trouble", [BUSY, EXPIRED], ids=["busy", "expired"])
def test_list_survives_a_cloud_that_cannot_be_reached(
    start: Start, tmp_path: Path, plan: Plan, trouble: CloudcptError
) -> None:
    region = start(hold=JobState.TRAINING)
    other = cloud_plan(tmp_path, cloud_launch(budget_usd=5.0))
    region.jobs.create(other)
    region.jobs.calls.clear()
    region.jobs.trouble = [trouble] * 5
    listed = run(places_with(region), "list")
    assert listed.code == 0
    assert [line.split()[2] for line in listed.out.splitlines()[1:]] == ["unknown", "unknown"]
    assert trouble.diagnostics[0].message in listed.err
    assert len(region.jobs.calls) == 1  # the second job of a region that does not answer is not worth the wait
    region.jobs.trouble = [trouble] * 5
    jobs = json.loads(run(places_with(region), "list", "--output", "json").out)["jobs"]
    assert [(job["name"], job["state"]) for job in jobs] == [(other.job_name, None), (plan.job_name, None)]


def test_list_shows_the_others_beside_a_damaged_record(start: Start, plan: Plan, tmp_path: Path) -> None:
    region = start()
    folder = tmp_path / "state" / "cloud" / "broken-0123456789"
    folder.mkdir()
    (folder / "record.json").write_text("{")
    listed = run(places_with(region), "list")
    assert (listed.code, plan.job_name in listed.out) == (0, True)
    assert "CPT459" in listed.err


# --- status, stop, fetch -------------------------------------------------------------------------------------------


def test_status_shows_the_services_own_words_the_cost_and_the_link(start: Start, plan: Plan) -> None:
    shown = run(places_with(start(hold=JobState.TRAINING)), "status", plan.job_name)
    assert shown.code == 0
    for words in ("preparing  Preparing", "$12.50 so far", f"https://console/{plan.job_name}", "sagemaker"):
        assert words in shown.out
    assert "local time" in shown.out
    assert f"next: cloudcpt logs -f {plan.job_name}" in shown.err, "`status` does not advise `status`"


def test_status_of_a_failed_job_gives_the_reason_first(start: Start, plan: Plan) -> None:
    shown = run(places_with(start(end=JobState.FAILED)), "status")
    assert shown.code == 6
    assert shown.err.startswith("error[CPT604] loss is not finite")
    assert "in all" in shown.out
    assert run(places_with(start(end=JobState.STOPPED)), "status").code == 7


def test_stop_waits_for_the_end(start: Start, plan: Plan) -> None:
    region = start(hold=JobState.TRAINING)
    assert run(places_with(region), "stop", "--wait").out == f"{plan.job_name}: stopped\n"
    assert run(places_with(region), "stop").out == f"{plan.job_name}: already stopped\n"


def test_fetch_verifies_what_it_brings(start: Start, plan: Plan, tmp_path: Path) -> None:
    region = start()
    fetched = run(places_with(region), "fetch", plan.job_name, tmp_path / "model")
    assert (fetched.code, fetched.out) == (0, f"{tmp_path / 'model'}: complete, every file verified\n")


def test_verifying_in_the_account_says_what_was_not_looked_at(start: Start, plan: Plan) -> None:
    verified = run(places_with(start()), "fetch", "--verify-only")
    assert verified.code == 0
    assert "names and sizes" in verified.out
    document = json.loads(run(places_with(start()), "fetch", "--verify-only", "--output", "json").out)
    assert (document["verified"], document["verified_by"]) == (True, "names and sizes")


# --- logs ----------------------------------------------------------------------------------------------------------


def test_a_busy_service_does_not_end_the_watch(start: Start, plan: Plan) -> None:
    region = start()
    region.jobs.records.write(region.jobs.remember(plan))
    region.jobs.trouble = [BUSY]
    followed = run(places_with(region), "logs", "-f")
    assert followed.code == 0
    assert [line for line in followed.out.splitlines() if line] == list(LINES)
    assert "looking again in 2" in followed.err


def test_expired_credentials_end_the_watch_with_the_way_back(start: Start, plan: Plan) -> None:
    region = start(hold=JobState.TRAINING)
    region.jobs.trouble = [EXPIRED]
    followed = run(places_with(region), "logs", "-f")
    assert (followed.code, followed.codes) == (3, ("CPT401", "CPT765"))


# --- metrics, report -------------------------------------------------------------------------------------------------


def test_metrics_of_a_running_job_come_from_its_log(start: Start, plan: Plan) -> None:
    region = start(hold=JobState.TRAINING)
    region.jobs.logs.shown = len(LINES)
    shown = run(places_with(region), "metrics")
    assert shown.code == 0
    assert "step 1 to 3 of 3" in shown.out
    assert "loss           3.000 -> 1.000, lowest 1.000, highest 3.000" in shown.out
    assert "domain perplexity   20.09 -> 2.72" in shown.out
    assert any("\u2801" <= char <= "\u28ff" for char in shown.out)
    document = json.loads(run(places_with(region), "metrics", "--output", "json").out)
    assert [(row["step"], row["seconds"]) for row in document["steps"]] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert document["steps"][0]["memory_bytes"] is None


def test_metrics_before_the_first_step_are_none(start: Start) -> None:
    region = start(hold=JobState.PREPARING)
    region.jobs.logs.lines = ()
    shown = run(places_with(region), "metrics")
    assert (shown.code, shown.out) == (0, "")
    assert "nothing was measured yet" in shown.err


@pytest.fixture
def finished(start: Start, plan: Plan, tmp_path: Path) -> FakeRegion:
    """A job whose results the service has saved."""
    region = start()
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    complete_model(folder, plan_hash=plan.hash, job_name=plan.job_name, steps=3, tokens=96)
    output = f"cpt/output/{plan.job_name}/output"
    for name in ("manifest.json", "COMPLETE"):
        region.objects.objects[f"{output}/model/{name}"] = (folder / name).read_bytes()
    steps = [
        {"kind": "step", "step": n, "loss": 5.0 / n, "lr": 1e-4, "tokens": 32 * n, "tokens_per_s": 9.0} for n in (1, 2)
    ]
    text = "".join(json.dumps(row) + "\n" for row in steps)
    region.objects.objects[f"{output}/data/metrics.jsonl"] = text.encode()
    return region


def test_metrics_of_a_finished_job_are_those_it_saved(finished: FakeRegion) -> None:
    document = json.loads(run(places_with(finished), "metrics", "--output", "json").out)
    assert [row["loss"] for row in document["steps"]] == [5.0, 2.5]
    assert finished.opened == [("my-bucket", "123456789012", "")]
    assert not any(call.startswith("read") for call in finished.jobs.calls)


def test_report_brings_small_files_only_and_keeps_the_page_beside_the_record(finished: FakeRegion, plan: Plan) -> None:
    shown = run(places_with(finished), "report")
    page = finished.jobs.state / "cloud" / plan.job_name / "report.html"
    assert (shown.code, shown.out) == (0, f"{page}\n")
    text = page.read_text("utf-8")
    assert "model.safetensors" in text
    assert "not a whole model" not in text


def test_report_says_when_the_marker_does_not_seal_the_manifest(finished: FakeRegion, plan: Plan) -> None:
    key = f"cpt/output/{plan.job_name}/output/model/manifest.json"
    finished.objects.objects[key] += b" "
    run(places_with(finished), "report")
    page = finished.jobs.state / "cloud" / plan.job_name / "report.html"
    assert "not a whole model" in page.read_text("utf-8")


# --- describe, open, delete ------------------------------------------------------------------------------------------


def test_describe_has_status_plan_request_record_and_the_services_answer(start: Start, plan: Plan) -> None:
    region = start(hold=JobState.TRAINING)
    document = json.loads(run(places_with(region), "describe", "--output", "json").out)
    assert document["name"] == plan.job_name
    assert document["status"]["state"] == "preparing"
    assert document["plan"] == json.loads(plan.to_json())
    assert document["request"]["HyperParameters"] == {"plan_hash": plan.hash}
    assert document["record"]["region"] == "us-east-1"
    assert document["service"] == {"TrainingJobName": plan.job_name, "CreationTime": "2026-11-21T00:00:00+00:00"}
    text = run(places_with(region), "describe").out
    for words in ("request", "record", "service", '"TrainingJobName"', plan.hash, "$12.50"):
        assert words in text


def test_open_prints_the_page_without_asking_anybody(start: Start, plan: Plan) -> None:
    places = Places(LocalEngine(start().jobs.state), connect=nobody_asks)
    shown = run(places, "open", "--print")
    assert (
        shown.out == f"https://us-east-1.console.aws.amazon.com/sagemaker/home?region=us-east-1#/jobs/{plan.job_name}\n"
    )


def test_open_is_refused_where_no_console_has_a_page(start: Start, plan: Plan) -> None:
    region = start()
    region.jobs.remember(plan, region="us-iso-east-1")
    assert run(places_with(region), "open").codes == ("CPT764",)


def test_delete_forgets_here_and_says_what_stays(start: Start, plan: Plan) -> None:
    region = start()
    deleted = run(places_with(region), "delete", plan.job_name, "--yes")
    assert (deleted.code, deleted.out) == (0, f"{plan.job_name}: forgotten on this machine\n")
    for words in (f"s3://my-bucket/cpt/output/{plan.job_name}/", "s3://my-bucket/cpt/cloudcpt/", "/aws/sagemaker/"):
        assert words in deleted.err
    assert region.jobs.names() == ()
    assert plan.job_name in region.jobs.jobs.jobs


@pytest.mark.parametrize(("arguments", "code"), [([], "CPT476"), (["--yes", "--with-model"], "CPT762")])
def test_delete_refuses_what_it_must_not_do(start: Start, plan: Plan, arguments: list[str], code: str) -> None:
    region = start()
    refused = run(places_with(region), "delete", plan.job_name, *arguments)
    assert (refused.code, refused.codes) == (2, (code,))
    assert region.jobs.names() == (plan.job_name,)


def test_delete_refuses_a_job_that_goes_on_and_forgets_one_that_is_gone(start: Start, plan: Plan) -> None:
    region = start(hold=JobState.TRAINING)
    assert run(places_with(region), "delete", plan.job_name, "--yes").codes == ("CPT467",)
    del region.jobs.jobs.jobs[plan.job_name]
    assert run(places_with(region), "delete", plan.job_name, "--yes").code == 0
