"""The dropouts of the recipe act in training, rest in evaluation, and sit where they belong, in every class."""

import pytest
import torch
from torch import nn
from transformers import AutoConfig

from cloudcpt.plan.plan import Dropouts, Lora
from cloudcpt.train.architectures import ARCHITECTURES, decoder_layers
from cloudcpt.train.dropout import place_dropouts
from cloudcpt.train.lora import add_lora
from cloudcpt.train.loss import CausalLoss, model_inputs

pytestmark = pytest.mark.train
every_architecture = pytest.mark.parametrize("model_type", ARCHITECTURES)

CPU = torch.device("cpu")
NONE = {"hidden": 0.0, "attention": 0.0, "ffn": 0.0}

LLAMA = ("model.embed_tokens", "model.layers.0.self_attn", "model.layers.0.mlp", "model.layers.0.mlp.down_proj")
POST_NORM = (
    "model.embed_tokens",
    "model.layers.0.post_attention_layernorm",
    "model.layers.0.post_feedforward_layernorm",
    "model.layers.0.mlp.down_proj",
)
PLACES = dict.fromkeys(ARCHITECTURES, LLAMA) | {
    "bloom": (
        "transformer.word_embeddings_layernorm",
        "transformer.h.0.self_attention.dense",
        "transformer.h.0.mlp.dense_4h_to_h",
        "transformer.h.0.mlp.dense_4h_to_h",
    ),
    "gpt2": ("transformer.drop", "transformer.h.0.attn", "transformer.h.0.mlp", "transformer.h.0.mlp.c_proj"),
    "gpt_neox": (
        "gpt_neox.embed_in",
        "gpt_neox.layers.0.attention",
        "gpt_neox.layers.0.mlp",
        "gpt_neox.layers.0.mlp.dense_4h_to_h",
    ),
    "gemma2": POST_NORM,
    "gemma3_text": POST_NORM,
    "olmo2": POST_NORM,
}
"""What enters the stream, from the embedding and both branches of a layer; the map out of the feed-forward block."""


def dropped(model, **probabilities):
    place_dropouts(model, Dropouts(**NONE | probabilities))
    return model


@torch.no_grad()
def loss_of(model, packed):
    return float(CausalLoss(model, chunk_tokens=1024)(**model_inputs(packed, CPU)))


def zeros(tensor):
    return float((tensor == 0).float().mean())


@every_architecture
@pytest.mark.parametrize("name", NONE)
def test_each_dropout_acts_in_training_and_rests_in_evaluation(model_type, name, tiny_model, packed):
    plain = loss_of(tiny_model(model_type).eval(), packed)
    model = dropped(tiny_model(model_type), **{name: 0.5})
    assert loss_of(model.eval(), packed) == plain
    assert loss_of(model.train(), packed) != plain


@every_architecture
def test_dropouts_that_the_base_model_brings_are_off_unless_the_recipe_wants_them(model_type, tiny_model, packed):
    names = ("attention_dropout", "hidden_dropout", "attn_pdrop", "resid_pdrop", "embd_pdrop")
    known = AutoConfig.for_model(model_type).to_dict()
    brought = {name: 0.3 for name in names if name in known}
    assert brought, "every class can bring a dropout of its own"
    model = tiny_model(model_type, **brought)
    assert loss_of(model.train(), packed) != loss_of(model.eval(), packed)
    dropped(model)
    assert loss_of(model.train(), packed) == loss_of(model.eval(), packed)


@every_architecture
def test_hidden_dropout_is_on_what_enters_the_stream(model_type, tiny_model, packed):
    seen, model = {}, dropped(tiny_model(model_type), hidden=0.5).train()
    for name in (places := PLACES[model_type][:3]):
        model.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update(
                {name: output[0] if isinstance(output, tuple) else output}
            )
        )
    loss_of(model, packed)
    assert {name: zeros(output) for name, output in seen.items()} == {
        name: pytest.approx(0.5, abs=0.08) for name in places
    }


@every_architecture
def test_ffn_dropout_is_on_the_input_of_the_map_out_of_the_block(model_type, tiny_model, packed):
    seen, model = [], dropped(tiny_model(model_type), ffn=0.25).train()
    model.get_submodule(PLACES[model_type][3]).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    loss_of(model, packed)
    assert zeros(seen[0]) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "bloom"])
def test_dropouts_stay_in_place_when_adapters_are_put_beside_the_maps(model_type, tiny_model, packed):
    lora = Lora(
        rank=2,
        alpha=4.0,
        dropout=0.0,
        target_modules=("all-linear",),
        rslora=False,
        merge=True,
        bits=0,
        embedding_lr=0.0,
    )
    for name in NONE:
        model = tiny_model(model_type)
        add_lora(model, lora)
        dropped(model, **{name: 0.5})
        assert loss_of(model.train(), packed) != loss_of(model.eval(), packed)


def test_the_dropout_of_adapters_is_left_alone(tiny_model):
    model = tiny_model("llama")
    lora = Lora(
        rank=2, alpha=4.0, dropout=0.3, target_modules=("q_proj",), rslora=False, merge=True, bits=0, embedding_lr=0.0
    )
    add_lora(model, lora)
    dropped(model)
    kept = {module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout) if "lora" in name}
    assert kept == {0.3}


@every_architecture
def test_the_model_has_no_parameter_that_hooks_renamed(model_type, tiny_model):
    plain, model = tiny_model(model_type), dropped(tiny_model(model_type), hidden=0.1, attention=0.1, ffn=0.1)
    assert list(plain.state_dict()) == list(model.state_dict())
    assert len(decoder_layers(model)) == 2
