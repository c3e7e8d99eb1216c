"""Counts that follow from a model's shape, against the table of the reference and a model that torch built."""

from typing import Any

import pytest

from cloudcpt.plan.architectures import TRAINABLE_ARCHITECTURES
from cloudcpt.plan.sizes import STAND_IN_SIZES, Sizes
from cloudcpt.recipe.catalog import find_model


def sizes_of(model_type: str) -> Sizes:
    row = find_model(model_type)
    assert row is not None
    return Sizes(
        architecture=row.architecture,
        parameters=row.parameters,
        layers=row.layers,
        hidden_size=row.hidden_size,
        intermediate_size=row.intermediate_size,
        heads=row.heads,
        kv_heads=row.kv_heads,
        head_dim=row.head_size,
        vocab_size=row.vocab_size,
        tied_embeddings=row.tied_embeddings,
        position_rows=row.context if row.architecture == "gpt2" else 0,
    )


@pytest.mark.parametrize(
    ("model_type", "flops"),
    [
        ("llama-3.1-8b", "5.791e+10"),
        ("qwen3-8b", "5.991e+10"),
        ("llama-3.2-1b", "1.064e+10"),
        ("qwen3-1.7b", "1.596e+10"),
        ("qwen3-0.6b", "9.213e+09"),
        ("qwen3-32b", "2.434e+11"),
        ("llama-3.1-70b", "4.814e+11"),
    ],
)
def test_flops_per_token_at_8192_are_those_of_the_reference_table(model_type, flops):
    assert f"{sizes_of(model_type).flops_per_token(8192):.3e}" == flops


def test_a_frozen_base_saves_the_weight_gradients_only():
    sizes = sizes_of("llama-3.1-8b")
    saved = sizes.flops_per_token(8192) - sizes.flops_per_token(8192, frozen_base=True)
    assert saved == 2 * sizes.matmul_parameters


def test_adapters_on_all_linear_modules_are_rank_times_in_plus_out():
    """One layer of Llama-3.1-8B: q and o 8192, k and v 5120, gate, up and down 18432, together 81,920 per rank."""
    sizes = sizes_of("llama-3.1-8b")
    assert sizes.adapter_parameters(16, ("all-linear",)) == 16 * 32 * 81_920
    assert sizes.adapter_parameters(16, ("q_proj", "v_proj")) == 16 * 32 * (8192 + 5120)


@pytest.mark.parametrize(
    ("model_type", "modules", "per_layer"),
    [
        ("bloomz-560m", ("query_key_value",), 1024 + 3072),
        ("bloomz-560m", ("all-linear",), 4 * 1024 + 2048 + 2 * 5120),
        ("pythia-410m", ("dense_h_to_4h", "dense_4h_to_h"), 2 * 5120),
        ("gpt2", ("c_attn",), 768 + 2304),
        ("gpt2", ("c_proj",), 2 * 768 + 3072 + 768),  # peft finds the name in both blocks
        ("gpt2", ("all-linear",), 768 + 2304 + 2 * 768 + 2 * (768 + 3072)),
    ],
)
def test_adapters_of_other_families_are_counted_by_their_own_names(model_type, modules, per_layer):
    sizes = sizes_of(model_type)
    assert sizes.adapter_parameters(8, modules) == 8 * sizes.layers * per_layer


def test_a_target_module_with_another_name_counts_as_the_widest():
    sizes = sizes_of("llama-3.1-8b")
    assert sizes.adapter_parameters(1, ("dense_4h_to_h",)) == 32 * 18_432
    assert sizes_of("gpt2").adapter_parameters(1, ("q_proj", "c_attn")) == 12 * (3840 + 3072)


def test_a_table_of_positions_costs_no_time():
    """GPT-2 small: 124,439,808 parameters, of which 1024 x 768 are positions; 6 N and 12 L H Q T per token."""
    sizes = sizes_of("gpt2")
    assert sizes.flops_per_token(1024) == 6 * (124_439_808 - 1024 * 768) + 12 * 12 * 768 * 1024
    assert sizes.layer_parameters == (124_439_808 - 1024 * 768 - 50_257 * 768) // 12


@pytest.mark.train
@pytest.mark.parametrize("model_type", TRAINABLE_ARCHITECTURES)
def test_saved_bytes_are_those_that_autograd_keeps_of_one_more_layer(model_type):
    """Counted in bf16, with our attention, on a layer whose widths differ in every way that the class allows."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from cloudcpt.plan.model_config import whole
    from cloudcpt.train.attention import IMPLEMENTATION
    from cloudcpt.train.bloom import keep_documents_apart

    shape = {"hidden_size": 128, "intermediate_size": 448, "num_attention_heads": 4, "num_key_value_heads": 2}
    shape |= {"head_dim": 32, "vocab_size": 32, "pad_token_id": None, "bos_token_id": None, "eos_token_id": 0}
    shape |= {"n_embd": 128, "n_inner": 448, "n_head": 4, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    positions = 64

    def config_of(layers: int) -> Any:
        sizes = shape | {"num_hidden_layers": layers, "n_layer": layers}
        known = AutoConfig.for_model(model_type).to_dict()
        return AutoConfig.for_model(model_type, **{name: size for name, size in sizes.items() if name in known})

    def saved_bytes(layers: int) -> int:
        model = AutoModelForCausalLM.from_config(config_of(layers), attn_implementation=IMPLEMENTATION)
        keep_documents_apart(model.to(torch.bfloat16).train())
        known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            held.append(tensor)  # or its memory could be given to another one
            return tensor

        held: list[torch.Tensor] = []
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model.base_model(
                input_ids=torch.zeros(1, positions, dtype=torch.long),
                position_ids=torch.arange(positions)[None],
                attention_mask=None,
                use_cache=False,
                cu_seqlens=torch.tensor([0, positions], dtype=torch.int32),
            )
        return sum(size for at, size in kept.items() if at not in known)

    config = config_of(1).to_dict()
    heads = whole(config, "num_attention_heads")
    sizes = Sizes(
        architecture=model_type,
        parameters=1_000_000,
        layers=1,
        hidden_size=128,
        intermediate_size=whole(config, "intermediate_size"),
        heads=heads,
        kv_heads=whole(config, "num_key_value_heads") or heads,
        head_dim=32,
        vocab_size=32,
        tied_embeddings=True,
    )
    measured = (saved_bytes(3) - saved_bytes(1)) / 2 / positions
    assert 0.85 * sizes.saved_bytes_per_position() < measured <= 1.02 * sizes.saved_bytes_per_position()


@pytest.mark.train
def test_the_stand_in_is_the_model_that_the_trainer_builds(tmp_path):
    from cloudcpt.plan.base_model import read_base_model
    from cloudcpt.plan.model_folder import LocalModel
    from cloudcpt.train.stand_in import build_stand_in

    build_stand_in(tmp_path, seed=1, context_tokens=128)
    assert read_base_model(LocalModel(tmp_path), None).sizes == STAND_IN_SIZES
