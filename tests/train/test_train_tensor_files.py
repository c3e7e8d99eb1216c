"""The weight files are those of `save_pretrained`, to the byte, and are written one at a time."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from cloudcpt.train.architectures import ARCHITECTURES
from cloudcpt.train.export import write_model
from cloudcpt.train.tensor_files import TensorFiles

pytestmark = pytest.mark.train

LIMIT = 20_000


def layout_of(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.to("meta") for name, tensor in tensors.items()}


def contents(folder: Path, pattern: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(pattern)}


@pytest.fixture
def written(tiny_job, tmp_path):
    """Write models as an export does, beside what `save_pretrained` makes of them."""

    def write(model, **settings):
        job = tiny_job(model={"dtype": str(settings.pop("dtype", torch.float32)).removeprefix("torch.")})
        job.ml.metrics.parent.mkdir(parents=True)
        job.ml.metrics.write_text("", "utf-8")
        folder, base = tmp_path / "ours", tmp_path / "base"
        base.mkdir(exist_ok=True)
        about = {"base": base, "card": "", "steps": 1, "tokens": 1, "is_main": True, "shard_bytes": LIMIT}
        write_model(folder, model, None, job.plan, job.ml, **about | settings)
        return folder

    return write


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_model_of_every_class_is_written_as_save_pretrained_writes_it(
    model_type, is_tied, tiny_model, written, tmp_path
):
    model = tiny_model(model_type, tie_word_embeddings=is_tied)
    ours = written(model)
    model.save_pretrained(tmp_path / "theirs", max_shard_size=LIMIT)
    weights = contents(ours, "*.safetensors*")
    assert len(weights) > 2
    assert weights == contents(tmp_path / "theirs", "*.safetensors*")
    for name in ("config.json", "generation_config.json"):
        assert json.loads((ours / name).read_text("utf-8")) == json.loads(
            (tmp_path / "theirs" / name).read_text("utf-8")
        )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_narrower_dtype_holds_the_masters_rounded_once(dtype, tiny_model, written):
    model = tiny_model(tie_word_embeddings=False)
    folder = written(model, dtype=dtype, shard_bytes=10**9)
    (path,) = folder.glob("*.safetensors*")
    assert path.name == "model.safetensors"
    for name, weight in load_file(path).items():
        assert torch.equal(weight, model.state_dict()[name].to(dtype))


def test_a_file_is_written_when_its_last_tensor_arrives_in_whatever_order(tmp_path):
    tensors = {name: torch.full((100,), float(number)) for number, name in enumerate("abcd")}
    files = TensorFiles(tmp_path, layout_of(tensors), stem="part", shard_bytes=800)
    assert files.names == ("part-00001-of-00002.safetensors", "part-00002-of-00002.safetensors")
    seen = []
    for name in "adbc":
        files.add(name, tensors[name])
        seen.append(len(list(tmp_path.iterdir())))
    assert seen == [0, 0, 1, 2]
    files.finish()
    index = json.loads((tmp_path / "part.safetensors.index.json").read_text("utf-8"))
    assert index["metadata"] == {"total_parameters": 400, "total_size": 1600}
    read = {name: load_file(tmp_path / file)[name] for name, file in index["weight_map"].items()}
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_what_is_written_already_is_not_kept_in_memory(tmp_path):
    """Only the tensors of the unfinished file are alive: seen from outside, by who still holds their storage."""
    tensors = {name: torch.zeros(100) for name in "abcd"}
    files = TensorFiles(tmp_path, layout_of(tensors), shard_bytes=800)
    alive = []
    for name in "abcd":
        tensor = torch.zeros(100)
        held = torch.multiprocessing.reductions.StorageWeakRef(tensor.untyped_storage())
        files.add(name, tensor)
        del tensor
        alive.append(held)
        assert sum(not one.expired() for one in alive) == len(alive) % 2


def test_a_tensor_that_the_layout_does_not_know_or_that_never_comes_is_our_mistake(tmp_path):
    files = TensorFiles(tmp_path, layout_of({"a": torch.zeros(3), "b": torch.zeros(2)}))
    with pytest.raises(AssertionError, match=r"`a` is torch.float32 \[2\], not torch.float32 \[3\]"):
        files.add("a", torch.zeros(2))
    with pytest.raises(AssertionError, match=r"lack tensors"):
        files.finish()


def test_a_single_file_is_that_of_safetensors_itself(tmp_path):
    tensors = {"b": torch.arange(6.0).view(2, 3), "a": torch.ones(2, dtype=torch.bfloat16)}
    files = TensorFiles(tmp_path, layout_of(tensors))
    for name, tensor in tensors.items():
        files.add(name, tensor)
    files.finish()
    save_file(tensors, tmp_path / "theirs", metadata={"format": "pt"})
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert not (tmp_path / "model.safetensors.index.json").exists()
