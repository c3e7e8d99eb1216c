"""Base models are read whole or refused with a reason; the stand-in is the same every time."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import AutoModelForCausalLM, AutoTokenizer

from cloudcpt.dataset.tokens import load_tokenizer
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.model import load_model, model_folder, open_model
from cloudcpt.train.stand_in import build_stand_in
from cloudcpt.wire import sha256_of

pytestmark = pytest.mark.train


by_either_way = pytest.mark.parametrize("read", [load_model, open_model])


@pytest.fixture
def saved(tiny_model, tmp_path):
    tiny_model("llama").save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("claimed", ["float32", "bfloat16", None])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_weights_keep_the_dtype_in_which_they_are_stored_whatever_the_config_claims(
    stored, claimed, tiny_model, tmp_path
):
    tiny_model("llama").to(stored).save_pretrained(tmp_path, max_shard_size="10KB")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"dtype": claimed}), "utf-8")
    model = load_model(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {stored}
    assert model.config._attn_implementation == "cloudcpt_documents"


@by_either_way
def test_weights_without_safetensors_are_refused(saved, read):
    torch.save(load_file(saved / "model.safetensors"), saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    with pytest.raises(TrainingFailure, match="CPT600"):
        read(saved)


@by_either_way
def test_missing_weights_are_refused_rather_than_made_up(saved, read):
    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingFailure, match=r"CPT600: .*lacks 1 of its weights, such as `model.layers.1.mlp.up_proj"):
        read(saved)


@by_either_way
def test_weights_that_the_class_would_leave_out_are_refused(saved, read):
    weights = load_file(saved / "model.safetensors") | {"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingFailure, match=r"CPT600: config.json has no place for 1 .* `model.layers.0.self_attn.q"):
        read(saved)


@pytest.mark.parametrize("claimed", [True, False])
@pytest.mark.parametrize("is_one", [True, False])
def test_tied_embeddings_are_tied_only_where_config_and_weights_agree(is_one, claimed, tiny_model, tmp_path):
    tiny_model("llama", tie_word_embeddings=False).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    if is_one:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"tie_word_embeddings": claimed}), "utf-8")
    model = load_model(tmp_path)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) is model.config.tie_word_embeddings
    assert model.config.tie_word_embeddings is (is_one and claimed)
    assert torch.equal(model.lm_head.weight, weights["lm_head.weight"])


@by_either_way
def test_weights_of_another_shape_are_refused(saved, read):
    weights = load_file(saved / "model.safetensors")
    weights["model.norm.weight"] = torch.ones(31)
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainingFailure, match="CPT600"):
        read(saved)


@pytest.mark.parametrize("damage", ["", "{", '{"model_type": "nothing-like-it"}'])
@by_either_way
def test_an_unreadable_config_is_refused(saved, damage, read):
    (saved / "config.json").write_text(damage, "utf-8")
    with pytest.raises(TrainingFailure, match="CPT600"):
        read(saved)


@pytest.mark.parametrize("setting", [{"hidden_size": "32"}, {"num_attention_heads": 5}, {"layer_types": 3}])
@by_either_way
def test_a_config_that_makes_no_sense_is_refused(setting, saved, read):
    path = saved / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | setting), "utf-8")
    with pytest.raises(TrainingFailure, match="CPT600"):
        read(saved)


@by_either_way
def test_truncated_weights_are_refused(saved, read):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TrainingFailure, match="CPT600"):
        read(saved)


@by_either_way
def test_code_that_a_model_brings_is_never_run(saved, read):
    config = json.loads((saved / "config.json").read_text("utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}}
    (saved / "config.json").write_text(json.dumps(config), "utf-8")
    (saved / "mine.py").write_text(f"open({str(saved / 'ran')!r}, 'w')\n", "utf-8")
    with pytest.raises(TrainingFailure, match="CPT600"):
        read(saved)
    assert not (saved / "ran").exists()


def test_code_is_refused_also_where_the_class_is_known_without_it(saved):
    config = json.loads((saved / "config.json").read_text("utf-8"))
    config |= {"auto_map": {"AutoModelForCausalLM": "mine.Model"}}
    (saved / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(TrainingFailure, match="CPT600: the base model needs code of its own"):
        open_model(saved)


@pytest.mark.parametrize(
    ("name", "words"),
    [("pytorch_model.bin", "as pickle"), ("m.gguf", "as GGUF"), ("m.tar.gz", "in an archive"), ("m.enc", "encrypted")],
)
def test_weights_of_another_kind_are_refused_for_what_they_are(saved, name, words):
    (saved / "model.safetensors").rename(saved / name)
    with pytest.raises(TrainingFailure, match=f"CPT600: the base model has its weights only {words}"):
        open_model(saved)


def test_a_stand_in_is_the_same_for_the_same_seed_and_reads_any_text(tmp_path):
    first, again, other = tmp_path / "first", tmp_path / "again", tmp_path / "other"
    for folder, seed in ((first, 1), (again, 1), (other, 2)):
        build_stand_in(folder, seed=seed, context_tokens=32)
    hashes = [sha256_of(folder / "model.safetensors") for folder in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    tokenizer = load_tokenizer(first)
    text = "héllo, 世界\n\x00<|endoftext|>"
    (ids,) = tokenizer.encode([text])
    assert len(ids) == len(text.encode()) + 1
    assert ids[-1] == tokenizer.boundary_id == AutoTokenizer.from_pretrained(first).eos_token_id
    assert ids.count(tokenizer.boundary_id) == 1
    assert AutoModelForCausalLM.from_pretrained(first).config.vocab_size == tokenizer.vocab_size


def test_a_stand_in_is_written_by_whichever_process_makes_it(tmp_path):
    """Every machine makes its own, and of all ranks transformers lets only the first one save a model."""
    build_stand_in(tmp_path / "alone", seed=1, context_tokens=32)
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    try:
        build_stand_in(tmp_path / "second", seed=1, context_tokens=32)
    finally:
        torch.distributed.destroy_process_group()
    for path in (tmp_path / "alone").iterdir():
        assert (tmp_path / "second" / path.name).read_bytes() == path.read_bytes()


def test_a_stand_in_lives_in_scratch_and_a_real_model_in_its_channel(tiny_job):
    job = tiny_job()
    rehearsal = tiny_job(model={"stand_in": True})
    assert model_folder(job.plan, job.ml) == job.ml.channel("model")
    assert model_folder(rehearsal.plan, rehearsal.ml).is_relative_to(rehearsal.ml.scratch)
