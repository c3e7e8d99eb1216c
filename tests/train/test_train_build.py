"""A model read in parts is the model that transformers reads whole: every number, every buffer, every refusal."""

import json
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.testing._internal.distributed.fake_pg import FakeStore

from cloudcpt.plan.plan import Lora
from cloudcpt.train.architectures import ARCHITECTURES, decoder_layers
from cloudcpt.train.build import build_model
from cloudcpt.train.lora import add_lora
from cloudcpt.train.loss import CausalLoss
from cloudcpt.train.model import load_model, open_model
from cloudcpt.train.shard import fill, local_rows, shard, sharding_mesh
from cloudcpt.train.stand_in import build_stand_in
from cloudcpt.train.weights import StoredTensor, read_rows, stored_tensors
from cloudcpt.train.world import World, joined_world, seed_alike

pytestmark = pytest.mark.train

LORA = Lora(
    rank=4, alpha=8.0, dropout=0.1, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)


@pytest.fixture
def world(tiny_job) -> Iterator[World]:
    with joined_world(tiny_job().plan.world) as world:
        yield world


@pytest.fixture
def built(tiny_job, world):
    """Build the model of a folder as a job would."""

    def build(folder, **changes):
        plan = tiny_job(**changes).plan
        return build_model(open_model(folder), plan, world, sharding_mesh(plan, world))

    return build


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def assert_same_numbers(built, folder):
    expected = load_model(folder)
    found = {name: whole(tensor) for name, tensor in built.model.state_dict().items()}
    assert found.keys() == expected.state_dict().keys()
    for name, tensor in expected.state_dict().items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], tensor.float()), name
    for (name, buffer), (same_name, other) in zip(built.model.named_buffers(), expected.named_buffers(), strict=True):
        assert (name, buffer.dtype) == (same_name, other.dtype)
        assert torch.equal(buffer, other), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_every_number_and_buffer_is_that_of_from_pretrained(model_type, dtype, tiny_model, tmp_path, built):
    tiny_model(model_type).to(dtype).save_pretrained(tmp_path, max_shard_size="20KB")
    assert open_model(tmp_path).weights is not None
    assert_same_numbers(built(tmp_path), tmp_path)


@pytest.mark.parametrize("tied", [True, False])
def test_tied_embeddings_stay_one_parameter(tied, tiny_model, tmp_path, built):
    tiny_model("llama", tie_word_embeddings=tied).save_pretrained(tmp_path)
    model = built(tmp_path).model
    assert (model.lm_head.weight is model.model.embed_tokens.weight) is tied
    assert_same_numbers(built(tmp_path), tmp_path)


def renamed(folder, rename):
    weights = load_file(folder / "model.safetensors")
    save_file({rename(name): weight for name, weight in weights.items()}, folder / "model.safetensors")


@pytest.mark.parametrize("model_type", ["gpt2", "bloom", "llama", "gpt_neox"])
def test_weights_saved_without_the_prefix_of_the_base_model_are_read_in_parts(model_type, tiny_model, tmp_path, built):
    model = tiny_model(model_type, tie_word_embeddings=True)
    model.save_pretrained(tmp_path)
    renamed(tmp_path, lambda name: name.removeprefix(f"{model.base_model_prefix}."))
    assert open_model(tmp_path).weights is not None
    assert_same_numbers(built(tmp_path), tmp_path)


def test_tables_that_old_files_hold_beside_their_weights_are_left_behind(tiny_model, tmp_path, built):
    tiny_model("gpt2").save_pretrained(tmp_path)
    masks = {f"transformer.h.{layer}.attn.bias": torch.ones(1, 1, 64, 64) for layer in range(2)}
    save_file(load_file(tmp_path / "model.safetensors") | masks, tmp_path / "model.safetensors")
    assert open_model(tmp_path).weights is not None
    assert_same_numbers(built(tmp_path), tmp_path)


def test_a_tied_embedding_may_be_stored_under_either_name(tiny_model, tmp_path, built):
    tiny_model("llama", tie_word_embeddings=True).save_pretrained(tmp_path)
    renamed(tmp_path, lambda name: name.replace("model.embed_tokens", "lm_head"))
    assert open_model(tmp_path).weights is not None
    assert_same_numbers(built(tmp_path), tmp_path)


@pytest.mark.parametrize("same", [True, False])
def test_two_stored_embeddings_are_one_where_they_are_equal_and_else_transformers_decides(
    same, tiny_model, tmp_path, built
):
    tiny_model("llama", tie_word_embeddings=False).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    if same:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"tie_word_embeddings": True}), "utf-8")
    assert (open_model(tmp_path).weights is not None) is same
    assert_same_numbers(built(tmp_path), tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_adapters_start_with_the_numbers_that_peft_draws(model_type, dtype, tiny_model, tmp_path, built):
    tiny_model(model_type).to(dtype).save_pretrained(tmp_path)
    found = dict(built(tmp_path, lora=LORA, seed=5).model.named_parameters())
    expected = load_model(tmp_path)
    seed_alike(5)
    add_lora(expected, LORA)
    for name, parameter in expected.named_parameters():
        assert found[name].requires_grad == parameter.requires_grad
        assert found[name].dtype == parameter.dtype == (torch.float32 if parameter.requires_grad else dtype)
        assert torch.equal(whole(found[name]), parameter), name


def test_frozen_weights_stay_as_each_is_stored(tiny_model, tmp_path, built):
    model = tiny_model("llama").to(torch.bfloat16)
    model.model.norm.float()
    model.save_pretrained(tmp_path)
    found = dict(built(tmp_path, lora=LORA).model.named_parameters())
    assert found["model.norm.weight"].dtype == torch.float32
    assert found["model.embed_tokens.weight"].dtype == torch.bfloat16


def test_opening_draws_no_random_number_and_holds_no_weight(tiny_model, tmp_path):
    tiny_model("llama").save_pretrained(tmp_path)
    before = torch.get_rng_state()
    model = open_model(tmp_path).model
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert not any(buffer.is_meta for buffer in model.buffers())


def test_rows_are_read_from_whichever_file_holds_them(tiny_model, tmp_path):
    tiny_model("llama").save_pretrained(tmp_path, max_shard_size="10KB")
    stored = stored_tensors(tmp_path)
    assert len({tensor.path for tensor in stored.values()}) > 2
    assert all(isinstance(tensor, StoredTensor) for tensor in stored.values())
    expected = load_model(tmp_path).state_dict()
    for part in (slice(0, 5), slice(30, 1000), slice(7, 7)):
        for name, rows in read_rows(stored, lambda _name, part=part: part):
            assert torch.equal(rows, expected[name][part])


def test_every_layer_is_a_unit_and_fetches_the_next_one_ahead(tiny_model, tmp_path, built):
    tiny_model("llama", num_hidden_layers=3).save_pretrained(tmp_path)
    layers = list(decoder_layers(built(tmp_path).model))
    states = [layer._get_fsdp_state() for layer in layers]
    ahead = [[states.index(state) for state in one._states_to_forward_prefetch] for one in states]
    assert ahead == [[1], [2], []]


def test_weights_are_divided_over_the_last_axis_of_a_mesh_of_replicas(tiny_model, tmp_path, tiny_job, world):
    tiny_model("llama").save_pretrained(tmp_path)
    mesh = init_device_mesh("cpu", (1, 1), mesh_dim_names=("replicate", "shard"))
    model = build_model(open_model(tmp_path), tiny_job().plan, world, mesh).model
    assert all(parameter.placements == (Replicate(), Shard(0)) for parameter in model.parameters())


@pytest.mark.parametrize("rank", [0, 128, 256, 299])
def test_a_rank_without_a_row_keeps_nothing_of_a_parameter(rank, tmp_path):
    """The 257 rows of the embedding are one for each of the first 257 ranks; a matrix of 64 rows runs out sooner."""
    build_stand_in(tmp_path, seed=1, context_tokens=32)
    expected = load_model(tmp_path).get_input_embeddings().weight
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=300)
    try:
        loss = CausalLoss(open_model(tmp_path).model, chunk_tokens=1024)
        shard(loss, init_device_mesh("cpu", (300,), mesh_dim_names=("shard",)), torch.float32)
        parts = {name: local_rows(parameter) for name, parameter in loss.model.named_parameters()}
        rows = read_rows(open_model(tmp_path).weights, parts.__getitem__)
        fill(loss, ((f"model.{name}", tensor) for name, tensor in rows), torch.device("cpu"))
        local = {name: parameter.to_local() for name, parameter in loss.model.named_parameters()}
    finally:
        torch.distributed.destroy_process_group()
    assert torch.equal(local["model.embed_tokens.weight"], expected[rank : rank + 1])
    assert len(local["model.layers.0.self_attn.q_proj.weight"]) == (1 if rank < 64 else 0)
