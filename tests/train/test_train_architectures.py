"""Every class that the loop accepts is shown to be trained as the recipe says."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig

from cloudcpt.plan.plan import Dropouts
from cloudcpt.train.architectures import ARCHITECTURES, architecture_of, refuse_stretching_positions
from cloudcpt.train.dropout import place_dropouts
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.loss import CausalLoss, model_inputs

pytestmark = pytest.mark.train
every_architecture = pytest.mark.parametrize("model_type", ARCHITECTURES)

CPU = torch.device("cpu")


def hidden_states(model, batch):
    inputs = model_inputs(batch, CPU)
    return model.base_model(
        input_ids=inputs["tokens"],
        position_ids=inputs["positions"],
        attention_mask=None,
        use_cache=False,
        cu_seqlens=inputs["cu_seqlens"],
        segment_lengths=inputs["segment_lengths"],
    ).last_hidden_state.flatten(0, 1)


def reference_logits(model, batch):
    """Run each document alone through transformers' own eager attention."""
    model.set_attn_implementation("eager")
    pieces = batch.tokens.flatten().split(batch.cu_seqlens.diff().tolist())
    logits = torch.cat([model(input_ids=piece[None], use_cache=False).logits[0] for piece in pieces])
    model.set_attn_implementation("cloudcpt_documents")
    return logits


@every_architecture
@torch.no_grad()
def test_packed_documents_give_the_loss_of_separate_ones(model_type, tiny_model, packed):
    model = tiny_model(model_type).eval()
    reference = F.cross_entropy(reference_logits(model, packed).double(), packed.labels.flatten(), reduction="sum")
    loss = CausalLoss(model, chunk_tokens=1024)(**model_inputs(packed, CPU))
    assert float(loss) == pytest.approx(float(reference), rel=2e-6)


@pytest.mark.parametrize(
    ("model_type", "setting"),
    [
        ("mistral", {"sliding_window": 3}),
        (
            "qwen2",
            {"sliding_window": 3, "use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"]},
        ),
        ("gemma3_text", {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]}),
    ],
)
@torch.no_grad()
def test_a_sliding_window_of_the_base_model_is_kept(model_type, setting, tiny_model, packed):
    windowed, full = tiny_model(model_type, **setting).eval(), tiny_model(model_type).eval()
    reference = F.cross_entropy(reference_logits(windowed, packed).double(), packed.labels.flatten(), reduction="sum")
    loss = float(CausalLoss(windowed, chunk_tokens=1024)(**model_inputs(packed, CPU)))
    assert loss == pytest.approx(float(reference), rel=2e-6)
    assert loss != pytest.approx(float(CausalLoss(full, chunk_tokens=1024)(**model_inputs(packed, CPU))), rel=1e-5)


@every_architecture
@torch.no_grad()
def test_a_changed_document_moves_no_other_document(model_type, tiny_model, packed):
    model = tiny_model(model_type).eval()
    changed_tokens = packed.tokens.clone()
    changed_tokens[0, 5:12] = (changed_tokens[0, 5:12] + 1) % 128
    before, after = hidden_states(model, packed), hidden_states(model, replace(packed, tokens=changed_tokens))
    moved = (before != after).any(dim=-1)
    assert moved[5:12].all()
    assert not moved[:5].any()
    assert not moved[12:].any()


@every_architecture
@pytest.mark.parametrize("name", ["hidden", "attention", "ffn"])
@torch.no_grad()
def test_each_dropout_acts_in_training_and_rests_in_evaluation(model_type, name, tiny_model, packed):
    model = tiny_model(model_type)
    plain = float(CausalLoss(model.eval(), chunk_tokens=1024)(**model_inputs(packed, CPU)))
    place_dropouts(model, Dropouts(**{"hidden": 0.0, "attention": 0.0, "ffn": 0.0} | {name: 0.5}))
    loss_of = CausalLoss(model, chunk_tokens=1024)
    assert float(loss_of.eval()(**model_inputs(packed, CPU))) == plain
    assert float(loss_of.train()(**model_inputs(packed, CPU))) != plain


@every_architecture
@torch.no_grad()
def test_dropouts_that_the_base_model_brings_are_off_unless_the_recipe_wants_them(model_type, tiny_model, packed):
    brought = {"attention_dropout": 0.3, "hidden_dropout": 0.3, "resid_pdrop": 0.3, "embd_pdrop": 0.3}
    known = AutoConfig.for_model(model_type).to_dict()
    model = tiny_model(model_type, **{name: value for name, value in brought.items() if name in known})
    place_dropouts(model, Dropouts(hidden=0.0, attention=0.0, ffn=0.0))
    loss_of = CausalLoss(model, chunk_tokens=1024)
    in_training = float(loss_of.train()(**model_inputs(packed, CPU)))
    assert in_training == float(loss_of.eval()(**model_inputs(packed, CPU)))


def test_hidden_dropout_is_on_the_embedding_and_on_both_branches(tiny_model, packed):
    seen = {}
    model = tiny_model("llama").train()
    place_dropouts(model, Dropouts(hidden=0.5, attention=0.0, ffn=0.0))
    layer = model.base_model.layers[0]
    places = {"embedding": model.get_input_embeddings(), "attention": layer.self_attn, "feed-forward": layer.mlp}
    for name, module in places.items():
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update(
                {name: output[0] if isinstance(output, tuple) else output}
            )
        )
    hidden_states(model, packed)
    zeros = {name: float((output == 0).float().mean()) for name, output in seen.items()}
    assert zeros == {name: pytest.approx(0.5, abs=0.08) for name in places}


def test_ffn_dropout_is_on_the_input_of_the_down_projection(tiny_model, packed):
    seen = []
    model = tiny_model("llama").train()
    place_dropouts(model, Dropouts(hidden=0.0, attention=0.0, ffn=0.25))
    model.base_model.layers[0].mlp.down_proj.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    hidden_states(model, packed)
    assert float((seen[0] == 0).float().mean()) == pytest.approx(0.25, abs=0.05)


def test_a_class_outside_the_list_is_refused_with_the_list():
    with pytest.raises(TrainingFailure, match="CPT601: a model of type `mamba` cannot be trained; known are `gemma`"):
        architecture_of(AutoConfig.for_model("mamba"))


@pytest.mark.parametrize(
    ("model_type", "setting"),
    [
        ("gemma3_text", {"final_logit_softcapping": 30.0}),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}),
        ("llama", {"quantization_config": {"quant_method": "fp8"}}),
    ],
)
def test_a_setting_that_the_loop_does_not_compute_is_refused(model_type, setting):
    with pytest.raises(TrainingFailure, match="CPT602"):
        architecture_of(AutoConfig.for_model(model_type, **setting))


LONGROPE = {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [8.0] * 48}


@pytest.mark.parametrize(
    ("model_type", "setting", "limit"),
    [
        ("phi3", {"original_max_position_embeddings": 16, "rope_scaling": LONGROPE}, 16),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, 64),
        ("gemma3_text", {"rope_parameters": {"full_attention": {"rope_type": "dynamic", "factor": 2.0}}}, 64),
    ],
)
def test_positions_that_depend_on_the_longest_document_of_a_batch_are_refused(model_type, setting, limit):
    config = AutoConfig.for_model(model_type, max_position_embeddings=64, **setting)
    refuse_stretching_positions(config, limit)
    with pytest.raises(TrainingFailure, match=rf"CPT602: .* more than {limit} tokens, and rows have {limit + 1}"):
        refuse_stretching_positions(config, limit + 1)


@every_architecture
def test_ordinary_positions_are_not_refused_whatever_the_length_of_a_row(model_type):
    refuse_stretching_positions(AutoConfig.for_model(model_type), 10**6)


def test_the_model_has_no_parameter_that_hooks_renamed(tiny_model):
    plain, dropped = tiny_model("llama"), tiny_model("llama")
    place_dropouts(dropped, Dropouts(hidden=0.1, attention=0.1, ffn=0.1))
    assert list(plain.state_dict()) == list(dropped.state_dict())
    assert isinstance(dropped.base_model.layers[0].mlp.down_proj, nn.Linear)
