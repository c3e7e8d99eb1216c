"""Inputs that lie under the hash of their content train the same model, to the bit, as files under their own names."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.local.layout import lay_out
from cloudcpt.plan.keys import object_key
from cloudcpt.plan.plan import DataFile, Plan
from cloudcpt.train.model import gather_model, model_folder
from cloudcpt.train.run import train
from cloudcpt.wire import MODEL_CHANNEL, MlFolder, model_faults

pytestmark = pytest.mark.train


def whole_plan(job) -> Plan:
    """Name the files of a job by absolute path, those of its base model too."""
    model = tuple(file_at(path) for path in sorted(job.ml.channel(MODEL_CHANNEL).iterdir()))
    sources = tuple(
        replace(one, files=tuple(file_at(job.ml.channel(one.channel) / file.name) for file in one.files))
        for one in job.plan.sources
    )
    return replace(job.plan, target="local", model=replace(job.plan.model, files=model), sources=sources)


def file_at(path: Path) -> DataFile:
    content = path.read_bytes()
    return DataFile(name=path.name, uri=str(path), size_bytes=len(content), blake3=blake3(content).hexdigest())


def stored(plan: Plan, store: Path) -> Plan:
    """Copy every input to where an upload would put it, and say so in the plan."""

    def put(file: DataFile) -> DataFile:
        path = store / object_key("cloudcpt", blake3=file.blake3, name=file.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.uri, path)
        return replace(file, uri=str(path))

    return replace(
        plan,
        model=replace(plan.model, files=tuple(put(file) for file in plan.model.files)),
        sources=tuple(replace(one, files=tuple(put(file) for file in one.files)) for one in plan.sources),
    )


def trained(plan: Plan, root: Path) -> dict[str, bytes]:
    """Run a plan in a folder of its own; give the files of the model that follow from the training alone."""
    ml = MlFolder(root)
    lay_out(ml, plan)
    assert train(plan, ml) == "completed"
    assert model_faults(ml.model) == []
    names = [path.name for path in ml.model.iterdir() if path.suffix in (".json", ".safetensors")]
    return {name: (ml.model / name).read_bytes() for name in names if name != "manifest.json"}


@pytest.mark.slow
def test_a_job_with_inputs_under_their_hashes_trains_the_same_model_to_the_bit(tiny_job, tmp_path):
    plan = whole_plan(tiny_job(geometry={"steps": 2}))
    addressed = stored(plan, tmp_path / "store")
    assert all(file.placed != file.name for file in addressed.model.files)
    plain = trained(plan, tmp_path / "plain")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= plain.keys()
    assert trained(addressed, tmp_path / "addressed") == plain


def test_a_scattered_model_is_gathered_anew_under_its_own_names(tiny_job, tmp_path):
    plan = stored(whole_plan(tiny_job()), tmp_path / "store")
    ml = MlFolder(tmp_path / "job")
    lay_out(ml, plan)
    left_over = model_folder(plan, ml) / "left-over.safetensors"
    left_over.parent.mkdir(parents=True)
    left_over.write_text("of an earlier attempt")
    gather_model(plan, ml)
    gathered = {path.name: blake3(path.read_bytes()).hexdigest() for path in model_folder(plan, ml).iterdir()}
    assert gathered == {file.name: file.blake3 for file in plan.model.files}


def test_a_model_under_its_own_names_is_used_where_it_is(tiny_job):
    job = tiny_job()
    plan = whole_plan(job)
    gather_model(plan, job.ml)
    assert model_folder(plan, job.ml) == job.ml.channel(MODEL_CHANNEL)
    assert not job.ml.scratch.exists()
