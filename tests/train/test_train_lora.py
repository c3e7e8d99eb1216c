"""Adapters: only they learn, and merging them changes nothing but the file."""

import pytest
import torch
from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import save_file

from cloudcpt.plan.plan import Lora
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.lora import adapter_weights, add_lora, merged_weights, relative_rates
from cloudcpt.train.loss import CausalLoss, model_inputs

pytestmark = pytest.mark.train

CPU = torch.device("cpu")


def lora(**changes):
    settings = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "target_modules": ("q_proj", "v_proj"), "rslora": False}
    return Lora(**settings | {"merge": True, "bits": 0, "embedding_lr": 0.0} | changes)


def with_random_adapters(model, settings):
    adapted = add_lora(model, settings)
    torch.manual_seed(2)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=1.0)
    return adapted


@torch.no_grad()
def loss_of(model, packed):
    return float(CausalLoss(model.eval(), chunk_tokens=1024)(**model_inputs(packed, CPU)))


def test_only_adapters_learn(tiny_model):
    model = tiny_model("llama")
    add_lora(model, lora())
    learning = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(learning) == 2 * 2 * 2
    assert all(".lora_" in name for name in learning)


def test_a_fresh_adapter_changes_nothing(tiny_model, packed):
    plain, adapted = tiny_model("llama"), tiny_model("llama")
    add_lora(adapted, lora(target_modules=("all-linear",)))
    assert loss_of(adapted, packed) == loss_of(plain, packed)


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("llama", lora()),
        ("llama", lora(target_modules=("all-linear",))),
        ("llama", lora(rslora=True, alpha=3.0)),
        ("llama", lora(target_modules=("down_proj",), dropout=0.5)),
        ("llama", lora(rank=64, alpha=128.0)),  # more than the width of the model
        ("gpt2", lora(target_modules=("c_attn",))),  # keeps its weights transposed
        ("gpt2", lora(target_modules=("all-linear",))),
        ("gpt_neox", lora(target_modules=("query_key_value",))),
    ],
)
def test_merged_weights_equal_base_and_adapter(model_type, settings, tiny_model, packed):
    model, fresh, plain = (tiny_model(model_type) for _ in range(3))
    with_random_adapters(model, settings)
    merged = merged_weights(model, model.state_dict(), torch.float32)
    assert list(merged) == list(fresh.state_dict())
    fresh.load_state_dict(merged)
    assert loss_of(fresh, packed) == pytest.approx(loss_of(model, packed), rel=1e-6)
    assert loss_of(fresh, packed) != pytest.approx(loss_of(plain, packed), rel=1e-3)


@pytest.mark.parametrize(("rslora", "scale"), [(False, 8.0 / 4), (True, 8.0 / 2)])
def test_the_scale_is_alpha_over_the_rank_or_its_root(rslora, scale, tiny_model):
    model = tiny_model("llama")
    with_random_adapters(model, lora(rslora=rslora))
    weights = {name: tensor for name, tensor in model.state_dict().items() if ".layers.0.self_attn.q_proj." in name}
    (name, merged), *_ = merged_weights(model, weights, torch.float64).items()
    assert name == "model.layers.0.self_attn.q_proj.weight"
    up, down = (next(weights[key] for key in weights if f"lora_{side}" in key) for side in ("B", "A"))
    base = next(weights[key] for key in weights if "base_layer" in key)
    torch.testing.assert_close(merged, base.double() + scale * (up.double() @ down.double()), atol=1e-6, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft 0.21 on transformers 5.23
def test_an_exported_adapter_is_the_trained_one(tiny_model, packed):
    model, fresh = tiny_model("llama"), tiny_model("llama")
    adapted = with_random_adapters(model, lora())
    exported = adapter_weights(adapted, model.state_dict())
    assert all(name.startswith("base_model.model.model.layers.") and ".lora_" in name for name in exported)
    again = PeftModel(fresh, adapted.peft_config["default"])
    set_peft_model_state_dict(again, exported)
    assert loss_of(fresh, packed) == pytest.approx(loss_of(model, packed), rel=1e-6)


def test_adapters_of_a_bfloat16_base_are_float32(tiny_model):
    model = tiny_model("llama").to(torch.bfloat16)
    add_lora(model, lora())
    dtypes = {(parameter.requires_grad, parameter.dtype) for parameter in model.parameters()}
    assert dtypes == {(True, torch.float32), (False, torch.bfloat16)}


@pytest.mark.parametrize(
    ("targets", "reason"),
    [(("query",), "no module of the base model is called `query`"), (("embed_tokens",), "is not a linear map")],
)
def test_targets_that_cannot_take_an_adapter_are_refused(targets, reason, tiny_model):
    with pytest.raises(TrainingFailure, match=f"CPT607: .*{reason}"):
        add_lora(tiny_model("llama"), lora(target_modules=targets))


def test_an_output_embedding_takes_an_adapter_only_where_it_has_a_weight_of_its_own(tiny_model, packed):
    head = lora(target_modules=("q_proj", "lm_head"))
    with pytest.raises(TrainingFailure, match="CPT607: `lm_head` shares its weight with the input embedding"):
        add_lora(tiny_model("llama", tie_word_embeddings=True), head)
    model, fresh = (tiny_model("llama", tie_word_embeddings=False) for _ in range(2))
    with_random_adapters(model, head)
    fresh.load_state_dict(merged_weights(model, model.state_dict(), torch.float32))
    assert loss_of(fresh, packed) == pytest.approx(loss_of(model, packed), rel=1e-6)


# --- embeddings that learn beside the adapters ---------------------------------------------------------------------


def learning(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad and ".lora_" not in name}


@pytest.mark.parametrize(
    ("tied", "embeddings"),
    [(False, {"model.embed_tokens.weight", "lm_head.weight"}), (True, {"model.embed_tokens.weight"})],
)
def test_with_a_rate_of_their_own_both_embeddings_learn_and_a_tied_one_once(tied, embeddings, tiny_model, tiny_job):
    model = tiny_model("llama", tie_word_embeddings=tied)
    settings = lora(embedding_lr=5e-5)
    add_lora(model, settings)
    assert learning(model) == embeddings
    job = tiny_job(lora=settings, schedule={"lr": 1e-3})
    rates = relative_rates(model, job.plan)
    assert {name for name, parameter in model.named_parameters() if parameter in rates} == embeddings
    assert set(rates.values()) == {5e-5 / 1e-3}


def test_without_one_they_are_frozen_and_every_parameter_has_the_rate_of_the_schedule(tiny_model, tiny_job):
    model = tiny_model("llama")
    add_lora(model, lora())
    assert learning(model) == set()
    assert relative_rates(model, tiny_job(lora=lora()).plan) == relative_rates(model, tiny_job().plan) == {}


def test_an_output_embedding_that_learns_takes_no_adapter_beside(tiny_model):
    settings = lora(target_modules=("q_proj", "lm_head"), embedding_lr=5e-5)
    with pytest.raises(TrainingFailure, match="CPT607: `lm_head` learns as a whole, by `embedding_lr`"):
        add_lora(tiny_model("llama", tie_word_embeddings=False), settings)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft 0.21 on transformers 5.23
@pytest.mark.parametrize("tied", [False, True])
def test_an_exported_adapter_brings_the_embeddings_that_learnt(tied, tiny_model, packed, tmp_path):
    model, fresh, merged = (tiny_model("llama", tie_word_embeddings=tied) for _ in range(3))
    adapted = with_random_adapters(model, lora(embedding_lr=5e-5))
    exported = adapter_weights(adapted, model.state_dict())
    assert sum(".lora_" not in name for name in exported) == (1 if tied else 2)
    adapted.peft_config["default"].save_pretrained(str(tmp_path))
    save_file({name: tensor.contiguous() for name, tensor in exported.items()}, tmp_path / "adapter_model.safetensors")
    again = PeftModel.from_pretrained(fresh, tmp_path)
    assert loss_of(again.get_base_model(), packed) == pytest.approx(loss_of(model, packed), rel=1e-6)
    assert (fresh.lm_head.weight is fresh.model.embed_tokens.weight) is tied
    merged.load_state_dict(merged_weights(model, model.state_dict(), torch.float32))
    assert loss_of(merged, packed) == pytest.approx(loss_of(model, packed), rel=1e-6)
