"""Every class that the loop accepts trains as transformers' own class would, document by document."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from transformers import AutoConfig, AutoModelForCausalLM

from cloudcpt.plan.architectures import TRAINABLE_ARCHITECTURES
from cloudcpt.train.architectures import ARCHITECTURES, architecture_of, decoder_layers, refuse_long_rows
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.loss import CausalLoss, model_inputs

pytestmark = pytest.mark.train
every_architecture = pytest.mark.parametrize("model_type", ARCHITECTURES)

CPU = torch.device("cpu")


def hidden_states(model, batch):
    return model.base_model(
        input_ids=batch.tokens,
        position_ids=batch.positions,
        attention_mask=None,
        use_cache=False,
        cu_seqlens=batch.cu_seqlens,
    ).last_hidden_state.flatten(0, 1)


def stock(model):
    """Make transformers' own class, with its own eager attention and the same weights."""
    plain = AutoModelForCausalLM.from_config(copy.deepcopy(model.config), attn_implementation="eager").eval()
    plain.load_state_dict(model.state_dict())
    return plain


def reference_loss(plain, batch):
    """Run each document alone."""
    pieces = batch.tokens.flatten().split(batch.cu_seqlens.diff().tolist())
    logits = torch.cat([plain(input_ids=piece[None], use_cache=False).logits[0] for piece in pieces])
    return F.cross_entropy(logits.double(), batch.labels.flatten(), reduction="sum")


def loss_of(model, batch, chunk_tokens=1024):
    return CausalLoss(model, chunk_tokens=chunk_tokens)(**model_inputs(batch, CPU))


@torch.no_grad()
def sharpened(model):
    """Make the weights large enough for attention to matter; freshly drawn ones hardly look at the other tokens."""
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            parameter.mul_(12 if "q_" in name or "k_" in name or "query" in name or "c_attn" in name else 3)
        elif name.endswith("bias"):
            parameter.normal_(std=0.3)
    return model


@every_architecture
@pytest.mark.parametrize("chunk_tokens", [5, 1024])
def test_packed_documents_give_loss_and_gradients_of_separate_ones(model_type, chunk_tokens, tiny_model, packed):
    model = sharpened(tiny_model(model_type)).eval()
    plain = stock(model)
    reference, loss = reference_loss(plain, packed), loss_of(model, packed, chunk_tokens)
    assert loss.item() == pytest.approx(reference.item(), rel=2e-6)
    reference.backward()
    loss.backward()
    for (name, parameter), expected in zip(model.named_parameters(), plain.parameters(), strict=True):
        assert expected.grad.abs().sum() > 0, f"{name} does not learn"
        scale = float(expected.grad.abs().max())
        torch.testing.assert_close(parameter.grad, expected.grad, atol=2e-5 * scale, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("model_type", "setting"),
    [
        ("mistral", {"sliding_window": 3}),
        (
            "qwen2",
            {"sliding_window": 3, "use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"]},
        ),
        ("gemma2", {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]}),
        ("gemma3_text", {"sliding_window": 3, "layer_types": ["sliding_attention", "full_attention"]}),
        ("gemma2", {"attn_logit_softcapping": 0.5}),
        ("gemma2", {"final_logit_softcapping": 0.5}),
        ("gemma3_text", {"final_logit_softcapping": 0.5}),
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
        ("gpt_neox", {"use_parallel_residual": False}),
        ("bloom", {"apply_residual_connection_post_layernorm": True}),
        ("bloom", {"n_head": 6, "hidden_size": 48}),
    ],
)
@torch.no_grad()
def test_a_setting_of_the_base_model_is_kept(model_type, setting, tiny_model, packed):
    chosen, usual = (sharpened(tiny_model(model_type, **changes)).eval() for changes in (setting, {}))
    loss = float(loss_of(chosen, packed))
    assert loss == pytest.approx(float(reference_loss(stock(chosen), packed)), rel=2e-6)
    assert loss != pytest.approx(float(loss_of(usual, packed)), rel=1e-5)


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
def test_layers_are_those_of_the_config(model_type, tiny_model):
    assert len(decoder_layers(tiny_model(model_type))) == 2


def test_plan_and_trainer_know_the_same_classes():
    assert tuple(ARCHITECTURES) == TRAINABLE_ARCHITECTURES == tuple(sorted(ARCHITECTURES))


def test_a_class_outside_the_list_is_refused_with_the_list():
    with pytest.raises(TrainingFailure, match="CPT601: a model of type `mamba` cannot be trained; known are `bloom`"):
        architecture_of(AutoConfig.for_model("mamba"))


@pytest.mark.parametrize(
    ("model_type", "setting"),
    [
        ("gemma", {"use_bidirectional_attention": True}),
        ("gemma3_text", {"attn_logit_softcapping": 50.0}),  # which the class itself leaves out
        ("gpt2", {"add_cross_attention": True}),
        ("bloom", {"slow_but_exact": True}),
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
    refuse_long_rows(config, limit)
    with pytest.raises(TrainingFailure, match=rf"CPT602: .* more than {limit} tokens, and rows have {limit + 1}"):
        refuse_long_rows(config, limit + 1)


def test_rows_behind_the_end_of_a_table_of_positions_are_refused():
    config = AutoConfig.for_model("gpt2", n_positions=64)
    refuse_long_rows(config, 64)
    with pytest.raises(TrainingFailure, match=r"CPT602: .* positions for 64 tokens and no others, and rows have 65"):
        refuse_long_rows(config, 65)


@pytest.mark.parametrize("model_type", sorted(set(ARCHITECTURES) - {"gpt2"}))
def test_ordinary_positions_are_not_refused_whatever_the_length_of_a_row(model_type):
    refuse_long_rows(AutoConfig.for_model(model_type), 10**6)
