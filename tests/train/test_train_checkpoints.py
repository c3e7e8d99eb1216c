"""Checkpoints on the way are whole models like the final one; the newest few stay, and half of one never counts."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from cloudcpt.plan.plan import Lora
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.room import refuse_no_room
from cloudcpt.train.run import train
from cloudcpt.wire import (
    COMPLETE_FILE,
    MANIFEST_FILE,
    MlFolder,
    checkpoint_folder,
    checkpoint_steps,
    finished_steps,
    model_faults,
    sha256_of,
    step_name,
    step_of,
)
from tests.train.test_train_recovery import copied, stopped_at

pytestmark = pytest.mark.train

LORA = Lora(
    rank=4, alpha=8.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=False, bits=0, embedding_lr=0.0
)


@pytest.fixture(scope="module")
def kept():
    """Hold one job that keeps all of its checkpoints, for all tests that only look."""
    return {}


@pytest.fixture
def keeping(kept, tiny_job, tmp_path_factory):
    if not kept:
        job = tiny_job(checkpoints={"every_steps": 2}, evaluation={"every_steps": 2})
        train(job.plan, job.ml)
        kept["job"] = copied(job, tmp_path_factory.mktemp("keeping") / "job")
    return kept["job"]


def test_each_is_a_sealed_model_that_loads_plainly_with_the_loss_of_its_step(keeping):
    from tests.train.test_train_run import held_out_loss

    assert checkpoint_steps(keeping.ml) == (2, 4)
    measured = {row["step"]: row["loss"] for row in keeping.records("eval") if row["set"] == "domain"}
    for step in (2, 4):
        folder = checkpoint_folder(keeping.ml, step)
        assert model_faults(folder) == []
        manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
        assert (manifest["steps"], manifest["plan_hash"]) == (step, keeping.plan.hash)
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert held_out_loss(model, keeping, "validation") == pytest.approx(measured[step], rel=1e-6)
        assert AutoTokenizer.from_pretrained(folder)("river").input_ids
        assert f"after step {step} of 6" in (folder / "README.md").read_text("utf-8")


def test_the_last_step_is_the_final_model_and_not_written_twice(keeping):
    assert not checkpoint_folder(keeping.ml, 6).exists()
    assert {path.name for path in keeping.ml.checkpoints.iterdir()} == {"step-00000002", "step-00000004"}
    files = {path.name for path in keeping.ml.model.iterdir()}
    assert {path.name for path in checkpoint_folder(keeping.ml, 2).iterdir()} == files
    kept = [row["step"] for row in keeping.records("event") if row["name"] == "checkpoint"]
    assert kept == [2, 4]


def test_the_newest_few_stay(tiny_job):
    job = tiny_job(checkpoints={"every_steps": 1, "keep_last": 2})
    train(job.plan, job.ml)
    assert checkpoint_steps(job.ml) == (4, 5)


def test_an_adapter_alone_is_kept_as_an_adapter(tiny_job):
    job = tiny_job(checkpoints={"every_steps": 4}, lora=LORA)
    train(job.plan, job.ml)
    folder = checkpoint_folder(job.ml, 4)
    assert model_faults(folder) == []
    assert {path.name for path in folder.glob("*.safetensors")} == {"adapter_model.safetensors"}
    final = load_file(job.ml.model / "adapter_model.safetensors")
    then = load_file(folder / "adapter_model.safetensors")
    assert final.keys() == then.keys()
    assert not all(torch.equal(final[name], then[name]) for name in final)


def test_keeping_checkpoints_does_not_change_the_training(keeping, tiny_job):
    plain = tiny_job(evaluation={"every_steps": 2})
    train(plain.plan, plain.ml)
    assert plain.curve("loss") == keeping.curve("loss")
    assert sha256_of(plain.ml.model / "model.safetensors") == sha256_of(keeping.ml.model / "model.safetensors")


def test_what_a_stopped_attempt_has_written_stays_and_half_of_one_is_replaced(tiny_job):
    job = tiny_job(checkpoints={"every_steps": 2, "recovery_every_steps": 3}, geometry={"steps": 6})
    stopped_at(job, "5|")
    whole, broken = checkpoint_folder(job.ml, 2), checkpoint_folder(job.ml, 4)
    written_at = (whole / COMPLETE_FILE).stat().st_mtime_ns
    (broken / COMPLETE_FILE).unlink()
    (broken / "model.safetensors").write_bytes(b"half")
    assert checkpoint_steps(job.ml) == (2,)
    shutil.rmtree(job.ml.checkpoints / ".recovery")
    train(job.plan, job.ml)
    assert checkpoint_steps(job.ml) == (2, 4)
    assert (whole / COMPLETE_FILE).stat().st_mtime_ns == written_at
    assert model_faults(broken) == []


def test_a_checkpoint_that_was_due_when_the_job_was_killed_is_written_when_it_goes_on(tiny_job):
    job = tiny_job(checkpoints={"every_steps": 4, "recovery_every_steps": 2})
    stopped_at(job, "4|")
    shutil.rmtree(checkpoint_folder(job.ml, 4))
    train(job.plan, job.ml)
    assert checkpoint_steps(job.ml) == (4,)
    assert model_faults(checkpoint_folder(job.ml, 4)) == []


@pytest.mark.parametrize(
    ("checkpoints", "counts"),
    [
        ({"every_steps": 1, "keep_last": 0}, "5 checkpoints and 0 recovery states"),
        ({"every_steps": 1, "keep_last": 2}, "3 checkpoints and 0 recovery states"),
        ({"recovery_every_steps": 2}, "0 checkpoints and 2 recovery states"),
    ],
)
def test_a_disk_that_cannot_hold_them_is_refused_before_training(checkpoints, counts, tiny_job):
    enormous = torch.nn.Linear(10**7, 10**8, bias=False, device="meta")
    job = tiny_job(checkpoints=checkpoints)
    job.ml.scratch.mkdir(parents=True)
    with pytest.raises(TrainingFailure, match=rf"CPT664: {counts} need [\d.]+ GB with the final model"):
        refuse_no_room(job.plan, job.ml, enormous)
    refuse_no_room(tiny_job().plan, job.ml, enormous)


def test_names_of_steps_are_read_back_and_nothing_else_is():
    assert [step_of(step_name(step)) for step in (1, 500, 10**8)] == [1, 500, 10**8]
    for name in ("step-500", "step-00000005.partial", "step-0000000x", "step-000000000005", "lost+found"):
        assert step_of(name) is None


def test_what_is_finished_is_told_by_names_as_by_folders(keeping, tmp_path):
    ml = MlFolder(tmp_path)
    for name in ("step-00000002/COMPLETE", "step-00000004/config.json", ".recovery/step-00000003/COMPLETE", "COMPLETE"):
        (ml.checkpoints / name).parent.mkdir(parents=True, exist_ok=True)
        (ml.checkpoints / name).touch()
    names = [path.relative_to(ml.checkpoints).as_posix() for path in ml.checkpoints.rglob("*")]
    assert finished_steps(names) == ((2,), (3,))
    assert checkpoint_steps(ml) == (2,)
