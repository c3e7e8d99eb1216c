"""Adapters: only they learn, and merging them changes nothing but the file."""

import pytest
import torch
from peft import PeftModel, set_peft_model_state_dict

from cloudcpt.plan.plan import Lora
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.lora import adapter_weights, add_lora, merged_weights
from cloudcpt.train.loss import CausalLoss, model_inputs

pytestmark = pytest.mark.train

CPU = torch.device("cpu")


def lora(**changes):
    settings = {"rank": 4, "alpha": 8.0, "dropout": 0.0, "target_modules": ("q_proj", "v_proj"), "rslora": False}
    return Lora(**settings | {"merge": True} | changes)


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
    "settings",
    [lora(), lora(target_modules=("all-linear",)), lora(rslora=True, alpha=3.0), lora(target_modules=("down_proj",))],
)
def test_merged_weights_equal_base_and_adapter(settings, tiny_model, packed):
    model, fresh = tiny_model("llama"), tiny_model("llama")
    with_random_adapters(model, settings)
    merged = merged_weights(model, model.state_dict(), torch.float32)
    assert list(merged) == list(fresh.state_dict())
    fresh.load_state_dict(merged)
    assert loss_of(fresh, packed) == pytest.approx(loss_of(model, packed), rel=1e-6)
    assert loss_of(fresh, packed) != pytest.approx(loss_of(tiny_model("llama"), packed), rel=1e-3)


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
