"""A base model that an earlier job wrote: whole or refused, its line kept, and the same data noticed."""

import json
import shutil

import pytest

from cloudcpt.errors import PlanError, Severity
from cloudcpt.plan.model_folder import LocalModel
from cloudcpt.plan.schedule import learning_rate
from cloudcpt.plan.warm_start import find_earlier_output
from cloudcpt.wire import complete_model

FROM_OUTPUT = {"run": {"model_name_or_path": "output", "data_s3_path": "new.jsonl"}}


def write_output(desk, plan, *, base="base", folder="output"):
    """Write what a job leaves: the base's files under a manifest, with the plan that it executed."""
    path = desk.folder / folder
    shutil.copytree(desk.folder / base, path)
    for name in ("manifest.json", "COMPLETE"):
        (path / name).unlink(missing_ok=True)
    shutil.rmtree(path / "provenance", ignore_errors=True)
    (path / "provenance").mkdir()
    (path / "provenance" / "plan.json").write_text(plan.to_json(), "utf-8")
    complete_model(path, plan_hash=plan.hash, job_name=plan.job_name, steps=plan.geometry.steps, tokens=1234567)
    return path


@pytest.fixture
def output(desk):
    desk.write_data("new.jsonl", [f"{'h g f e' if number % 2 else 'a c'} " * 3 for number in range(100)])
    plan, _ = desk.plan(desk.recipe())
    write_output(desk, plan)
    return plan


def found_in(findings, *codes):
    return {found.code: found for found in findings if found.code in codes}


def test_a_warm_start_is_noted_and_the_line_of_jobs_is_kept(desk, output):
    plan, findings = desk.plan(desk.recipe(FROM_OUTPUT))
    (ancestor,) = plan.model.lineage
    assert (ancestor.job_name, ancestor.plan_hash) == (output.job_name, output.hash)
    assert (ancestor.steps, ancestor.tokens) == (20, 1234567)
    noted = found_in(findings, "CPT547", "CPT548")
    assert noted.keys() == {"CPT547"}
    assert noted["CPT547"].severity is Severity.NOTE
    assert f"job `{output.job_name}` (20 steps, 1,234,567 tokens): weights only" in noted["CPT547"].message


def test_the_line_grows_with_every_job(desk, output):
    second, _ = desk.plan(desk.recipe(FROM_OUTPUT))
    write_output(desk, second, base="output", folder="output-2")
    third, _ = desk.plan(desk.recipe({"run": {**FROM_OUTPUT["run"], "model_name_or_path": "output-2"}}))
    assert [one.plan_hash for one in third.model.lineage] == [output.hash, second.hash]


def test_a_model_from_elsewhere_is_no_warm_start(desk):
    (desk.folder / "base" / "manifest.json").write_text('{"files": ["of another program"]}', "utf-8")
    plan, findings = desk.plan(desk.recipe())
    assert plan.model.lineage == ()
    assert not found_in(findings, "CPT547", "CPT548")


def test_a_rehearsal_starts_from_nothing(desk, output):
    plan, findings = desk.plan(desk.recipe(FROM_OUTPUT), stand_in=True)
    assert plan.model.lineage == ()
    assert not found_in(findings, "CPT547", "CPT548")


# --- the same data again --------------------------------------------------------------------------------------------


SAME_DATA = {"run": {"model_name_or_path": "output", "data_s3_path": "train.jsonl"}}


def schedule(**changes):
    return {"training_config": {"model": {"optim": {"lr": changes.pop("lr", 1e-5), "sched": changes}}}}


def test_warming_up_again_on_the_same_data_is_warned_of_with_both_rates(desk, output):
    _, findings = desk.plan(desk.recipe(SAME_DATA))
    warned = found_in(findings, "CPT548")["CPT548"]
    last = learning_rate(output.schedule, 19)
    assert warned.severity is Severity.WARNING
    assert "1 of 1 training files" in warned.message
    assert f"ended at learning rate {last:.3g}; warming up to 1e-05" in warned.message
    assert warned.hint is not None
    assert f"`lr: {last:.3g}`" in warned.hint


@pytest.mark.parametrize(("above", "is_warned"), [(1.0, False), (1.001, True)])
def test_staying_at_the_rate_where_the_earlier_job_ended_is_not(above, is_warned, desk, output):
    low = learning_rate(output.schedule, 19) * above
    constant = schedule(lr=low, name="constant", warmup_steps=1, min_lr=0)
    _, findings = desk.plan(desk.recipe({**SAME_DATA, **constant}))
    assert ("CPT548" in found_in(findings, "CPT548")) is is_warned


def test_a_name_is_not_what_makes_data_the_same(desk, output):
    desk.write_data("train.jsonl", ["a b c d"] * 100)
    _, findings = desk.plan(desk.recipe(SAME_DATA))
    assert not found_in(findings, "CPT548")


def test_an_earlier_plan_that_this_version_cannot_read_costs_only_the_comparison(desk, output):
    folder = desk.folder / "output"
    (folder / "provenance" / "plan.json").write_text('{"of": "another version"}', "utf-8")
    for name in ("manifest.json", "COMPLETE"):
        (folder / name).unlink()
    complete_model(folder, plan_hash=output.hash, job_name=output.job_name, steps=20, tokens=5)
    plan, findings = desk.plan(desk.recipe(SAME_DATA))
    assert [one.plan_hash for one in plan.model.lineage] == [output.hash]
    assert found_in(findings, "CPT547", "CPT548").keys() == {"CPT547"}


# --- outputs that are not whole -------------------------------------------------------------------------------------


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def change_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def change_manifest(folder):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokens": 1}), "utf-8")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "COMPLETE").unlink(), "`COMPLETE` is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "`manifest.json` is missing or unreadable"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "`manifest.json` is missing or unreadable"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "`tokenizer.json` is missing"),
        (change_manifest, "`manifest.json` is not the one that `COMPLETE` sealed"),
        (cut_weights, r"`model.safetensors` has \d+ bytes, not \d+"),
        (change_weights, "`model.safetensors` has changed"),
    ],
)
def test_an_output_that_is_not_whole_is_refused(damage, reason, desk, output):
    damage(desk.folder / "output")
    with pytest.raises(PlanError, match=f"CPT546: .*{reason}"):
        desk.plan(desk.recipe(FROM_OUTPUT))


def test_one_that_was_changed_on_purpose_is_a_model_without_its_seal(desk, output):
    folder = desk.folder / "output"
    change_weights(folder)
    for name in ("manifest.json", "COMPLETE"):
        (folder / name).unlink()
    assert desk.plan(desk.recipe(FROM_OUTPUT))[0].model.lineage == ()


def test_an_adapter_alone_is_refused_with_the_way_out(desk, output):
    folder = desk.folder / "output"
    for name in ("config.json", "model.safetensors", "manifest.json", "COMPLETE"):
        (folder / name).unlink()
    (folder / "adapter_config.json").write_text("{}", "utf-8")
    complete_model(folder, plan_hash=output.hash, job_name=output.job_name, steps=20, tokens=5)
    with pytest.raises(PlanError, match="CPT542") as caught:
        desk.plan(desk.recipe(FROM_OUTPUT))
    assert "`peft.merge: true`" in (caught.value.diagnostics[0].hint or "")


def test_a_file_is_no_output(desk):
    (desk.folder / "model.gguf").write_bytes(b"")
    assert find_earlier_output(LocalModel(desk.folder / "model.gguf"), None) is None
    assert find_earlier_output(LocalModel(desk.folder / "nothing"), None) is None
