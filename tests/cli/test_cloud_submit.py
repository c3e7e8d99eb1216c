"""`submit` for the cloud: looked at, asked, uploaded, created, once each; cut off anywhere it says how to go on."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.cli.places import Places
from cloudcpt.errors import TransientError, error
from cloudcpt.jobs.checks import failed, not_checked, passed
from cloudcpt.jobs.limits import request_faults
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.engine import LocalEngine
from tests.cli.clouds import FakeRegion, Shown, nobody_asks, places_with, run

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/cloudcpt@sha256:" + "ab" * 32
RECIPE = f"""\
run:
  name: demo
  model_type: hf
  model_name_or_path: base
  replicas: 1
  data_s3_path: d.jsonl
  output_s3_path: s3://my-bucket/runs
training_config:
  max_length: 64
  global_batch_size: 32
  trainer:
    max_epochs: 1
  optim:
    lr: 1e-5
    sched:
      warmup_steps: 1
      min_lr: 1e-6
launch:
  target: sagemaker
  region: us-east-1
  instance_type: ml.m5.xlarge
  role: arn:aws:iam::123456789012:role/cloudcpt
  image: {IMAGE}
  max_runtime_hours: 1
"""
NOVA = """\
run:
  name: demo
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 8
  data_s3_path: d.jsonl
  output_s3_path: s3://my-bucket/runs
training_config:
  max_length: 64
  global_batch_size: 32
  trainer: {max_epochs: 1}
  model:
    optim: {lr: 1e-5, sched: {warmup_steps: 1, min_lr: 1e-6}}
"""


@pytest.fixture
def region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRegion:
    monkeypatch.chdir(tmp_path)
    Path("d.jsonl").write_text("".join(f'{{"text": "document {n} says {n * 7919}"}}\n' for n in range(2000)))
    Path("r.yaml").write_text(RECIPE)
    return FakeRegion(tmp_path / "state")


def submit(places: Places | FakeRegion, *arguments: str) -> Shown:
    """Rehearse, so that no base model is needed."""
    return run(
        places if isinstance(places, Places) else places_with(places), "submit", "r.yaml", "--stand-in", *arguments
    )


def nobody(region: FakeRegion) -> Places:
    return Places(LocalEngine(region.jobs.state), connect=nobody_asks)


def test_it_looks_shows_the_cost_uploads_and_starts_the_job(region: FakeRegion) -> None:
    shown = submit(region, "--yes")
    (name,) = region.jobs.names()
    assert (shown.code, shown.out) == (0, f"{name}: started\n")
    for words in ("4 of 4 free", "at most", "1 file", "in s3://my-bucket/runs/cloudcpt", f"cloudcpt logs -f {name}"):
        assert words in shown.err
    assert region.jobs.calls[0] == f"create {name}"
    assert region.opened == [("my-bucket", "", "")]
    plan_hash = region.jobs.records.read(name).plan_hash
    papers = {key for key in region.objects.objects if "/plans/" in key}
    folder = f"runs/cloudcpt/plans/{plan_hash}"
    assert papers == {f"{folder}/plan.json", f"{folder}/plan.manifest", f"{folder}/train.manifest"}
    (data,) = set(region.objects.objects) - papers
    assert region.objects.objects[data] == Path("d.jsonl").read_bytes()


def test_submitting_again_finds_the_job_and_neither_asks_nor_sends(region: FakeRegion) -> None:
    region.jobs.jobs.hold = JobState.TRAINING
    submit(region, "--yes")
    before = dict(region.objects.objects)
    region.objects.put = None  # would be called to send anything
    again = submit(region)
    assert (again.code, "found, it is" in again.out) == (0, True)
    assert (region.preflights, region.objects.objects) == (1, before)


def test_without_yes_and_without_a_terminal_nothing_is_spent_or_sent(region: FakeRegion) -> None:
    shown = submit(region)
    assert (shown.code, shown.codes) == (2, ("CPT716",))
    assert (region.jobs.names(), region.objects.objects) == ((), {})


def test_a_certain_failure_of_pre_flight_stops_before_the_upload(region: FakeRegion) -> None:
    region.checks = (passed("identity", "you"), failed("quota", "CPT419", "the quota is 0"))
    shown = submit(region, "--yes")
    assert (shown.code, shown.codes) == (4, ("CPT419",))
    assert (region.jobs.names(), region.objects.objects) == ((), {})
    assert "you" in shown.err


def test_what_could_not_be_looked_at_stops_nothing(region: FakeRegion) -> None:
    region.checks = (not_checked("quota", "nobody may look"), failed("public access", "CPT703", "somebody can read"))
    shown = submit(region, "--yes")
    assert shown.code == 0
    assert "nobody may look" in shown.err
    assert "somebody can read" in shown.err


def test_json_is_one_document(region: FakeRegion) -> None:
    started = json.loads(submit(region, "--yes", "--output", "json").out)
    assert (started["schema_version"], started["adopted"], started["target"]) == (1, False, "sagemaker")


def test_following_goes_to_the_end(region: FakeRegion) -> None:
    shown = submit(region, "--yes", "--follow")
    assert shown.code == 0
    assert "first\nsecond" in shown.err
    assert shown.out.startswith(f"{region.jobs.names()[0]}: completed\n")


def test_a_failed_job_starts_over_only_with_force_and_is_asked_about_again(region: FakeRegion) -> None:
    region.jobs.jobs.end = JobState.FAILED
    assert submit(region, "--yes", "--follow").code == 6
    refused = submit(region, "--yes")
    assert (refused.code, refused.codes, region.preflights) == (6, ("CPT604", "CPT456"), 1)
    assert "the earlier job stays" in refused.err
    assert submit(region, "--force").codes == ("CPT716",)
    region.jobs.jobs.hold = JobState.TRAINING
    region.jobs.records.write(region.jobs.remember(region_plan(region)))
    assert submit(region, "--force", "--yes").code == 0
    assert region.preflights == 3


def region_plan(region: FakeRegion):
    (job,) = region.jobs.jobs.jobs.values()
    return job.plan


def test_force_does_not_ask_about_a_job_that_runs(region: FakeRegion) -> None:
    region.jobs.jobs.hold = JobState.TRAINING
    submit(region, "--yes")
    again = submit(region, "--force")
    assert (again.code, region.preflights) == (0, 1)
    assert "`--force` starts over what failed or was stopped; this job is training" in again.err


def test_a_record_that_nobody_confirmed_is_no_job(region: FakeRegion) -> None:
    submit(region, "--yes")
    region.jobs.remember(region_plan(region), is_confirmed=False)
    submit(region, "--yes")
    assert region.preflights == 2


# --- dry run ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_exact_request_and_asks_nobody(region: FakeRegion) -> None:
    shown = submit(nobody(region), "--dry-run")
    document = json.loads(shown.out)
    assert shown.code == 0
    assert document["request"]["TrainingJobName"] == document["job_name"]
    assert document["request"]["HyperParameters"] == {"plan_hash": document["plan_hash"]}
    assert request_faults(document["request"]) == ()
    (upload,) = document["uploads"]
    assert (upload["path"], upload["size_bytes"]) == (str(Path("d.jsonl").absolute()), Path("d.jsonl").stat().st_size)
    assert upload["uri"].startswith("s3://my-bucket/runs/cloudcpt/objects/")
    assert [uri.rpartition("/")[2] for uri in document["documents"]] == ["plan.json", "plan.manifest", "train.manifest"]
    assert document["known"] is None
    assert not region.jobs.state.exists()


def test_a_dry_run_prints_what_is_sent_then(region: FakeRegion) -> None:
    document = json.loads(submit(region, "--dry-run").out)
    submit(region, "--yes")
    assert region.jobs.names() == (document["job_name"],)
    assert set(region.objects.objects) == {
        uri.removeprefix("s3://my-bucket/")
        for uri in (*document["documents"], *(row["uri"] for row in document["uploads"]))
    }
    assert json.loads(submit(region, "--dry-run").out)["known"] == {"name": document["job_name"], "state": None}


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--yes",)])
def test_what_is_missing_is_said_before_anybody_is_asked(region: FakeRegion, arguments: tuple[str, ...]) -> None:
    Path("r.yaml").write_text(RECIPE.replace(f"  image: {IMAGE}\n", "").replace("  role: arn", "  # role: arn"))
    shown = submit(nobody(region), *arguments)
    assert (shown.code, shown.codes) == (1, ("CPT580", "CPT580"))


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--yes",)])
def test_a_request_outside_the_limits_is_not_sent(region: FakeRegion, arguments: tuple[str, ...]) -> None:
    tags = "\n".join(f"    key-{n}: value" for n in range(50))
    Path("r.yaml").write_text(RECIPE + f"  tags:\n{tags}\n")
    shown = submit(nobody(region), *arguments)
    assert shown.code == 1
    assert "Tags" in shown.err or "tags" in shown.err


# --- a saved plan ----------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(region: FakeRegion) -> Path:
    document = json.loads(submit(region, "--dry-run").out)
    Path("plan.json").write_text(json.dumps(document["plan"]))
    return Path("plan.json")


def test_a_saved_plan_that_is_still_so_is_started(region: FakeRegion, saved: Path) -> None:
    assert submit(region, "--plan", str(saved), "--yes").code == 0


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        (lambda: Path("r.yaml").write_text(RECIPE.replace("1e-5", "2e-5")), "`schedule`"),
        (lambda: Path("d.jsonl").write_text(Path("d.jsonl").read_text() + '{"text": "one more"}\n'), "`sources`"),
        (
            lambda: Path("plan.json").write_text(Path("plan.json").read_text().replace('"seed": 42', '"seed": 43')),
            "`seed`",
        ),
    ],
    ids=["recipe", "data", "edited"],
)
def test_a_saved_plan_that_is_not_so_any_more_is_refused(
    region: FakeRegion, saved: Path, change: Callable[[], object], differs: str
) -> None:
    change()
    shown = submit(nobody(region), "--plan", str(saved), "--yes")
    assert (shown.code, shown.codes) == (1, ("CPT761",))
    assert differs in shown.err
    assert "`geometry`" not in shown.err or differs == "`sources`"


@pytest.mark.parametrize(("text", "code"), [("{", "CPT501"), ("{}", "CPT502"), (None, "CPT501")])
def test_a_file_that_is_no_plan_is_refused(region: FakeRegion, text: str | None, code: str) -> None:
    if text is not None:
        Path("plan.json").write_text(text)
    shown = submit(nobody(region), "--plan", "plan.json")
    assert shown.codes == (code,)
    assert ("there is no file `plan.json`" in shown.err) == (text is None)


# --- other targets ---------------------------------------------------------------------------------------------------


def test_another_target_is_answered_with_what_to_do(region: FakeRegion) -> None:
    shown = submit(nobody(region), "--target", "hyperpod")
    assert (shown.code, shown.codes) == (3, ("CPT474",))
    assert "cloudcpt render r.yaml --target hyperpod" in shown.err


def test_nova_without_an_image_is_sent_to_hyperpod_before_the_data_is_read(region: FakeRegion) -> None:
    Path("r.yaml").write_text(NOVA)
    Path("d.jsonl").unlink()
    shown = run(nobody(region), "submit", "r.yaml", "--target", "sagemaker")
    assert (shown.code, shown.codes) == (1, ("CPT580",))
    assert "cloudcpt render r.yaml --target hyperpod" in shown.err


# --- cut off ---------------------------------------------------------------------------------------------------------


def test_a_store_out_of_reach_says_how_to_go_on(region: FakeRegion) -> None:
    busy = TransientError(error("CPT407", "busy"))

    def refuse(*_: object, **__: object) -> None:
        raise busy

    put, region.objects.put = region.objects.put, refuse
    shown = submit(region, "--yes")
    assert (shown.code, shown.codes) == (5, ("CPT407", "CPT418"))
    assert "cloudcpt submit r.yaml --stand-in --yes" in shown.err
    assert region.jobs.names() == ()
    region.objects.put = put
    assert submit(region, "--yes").code == 0


def test_ctrl_c_while_uploading_says_how_to_go_on(region: FakeRegion) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    region.objects.head = interrupt
    shown = submit(region, "--yes")
    assert shown.code == 130
    assert "go on: cloudcpt submit r.yaml --stand-in --yes" in shown.err
    assert "no job was started" in shown.err
    assert region.jobs.names() == ()


def test_ctrl_c_while_starting_does_not_say_that_nothing_runs(region: FakeRegion) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    region.jobs.create = interrupt
    shown = submit(region, "--yes")
    assert shown.code == 130
    assert "it may be under way, and cost\nfind it, or start it: cloudcpt submit r.yaml --stand-in --yes" in shown.err


def test_a_damaged_record_of_another_job_does_not_keep_this_one_from_starting(region: FakeRegion) -> None:
    damaged = region.jobs.records.folder("other-0123456789") / "record.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    assert submit(region, "--dry-run").code == 0
    assert submit(region, "--yes").code == 0


def test_another_paper_in_the_place_of_the_plan_is_refused(region: FakeRegion) -> None:
    document = json.loads(submit(region, "--dry-run").out)
    key = document["documents"][0].removeprefix("s3://my-bucket/")
    region.objects.objects[key] = b"{}"
    shown = submit(region, "--yes")
    assert (shown.code, shown.codes) == (3, ("CPT760", "CPT418"))
    assert region.jobs.names() == ()
