"""Counts that follow from a model's shape, against the table of the reference and a model that torch built."""

import pytest

from cloudcpt.plan.sizes import STAND_IN_SIZES, Sizes
from cloudcpt.recipe.catalog import find_model


def sizes_of(model_type: str) -> Sizes:
    row = find_model(model_type)
    assert row is not None
    return Sizes(
        parameters=row.parameters,
        layers=row.layers,
        hidden_size=row.hidden_size,
        intermediate_size=row.intermediate_size,
        heads=row.heads,
        kv_heads=row.kv_heads,
        head_dim=row.head_size,
        vocab_size=row.vocab_size,
        tied_embeddings=row.tied_embeddings,
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


def test_a_target_module_with_another_name_counts_as_the_widest():
    sizes = sizes_of("llama-3.1-8b")
    assert sizes.adapter_parameters(1, ("dense_4h_to_h",)) == 32 * 18_432


@pytest.mark.train
def test_the_stand_in_is_the_model_that_the_trainer_builds(tmp_path):
    from cloudcpt.plan.base_model import TRAINABLE_ARCHITECTURES, read_base_model
    from cloudcpt.plan.model_folder import LocalModel
    from cloudcpt.train.architectures import ARCHITECTURES
    from cloudcpt.train.stand_in import build_stand_in

    build_stand_in(tmp_path, seed=1, context_tokens=128)
    assert read_base_model(LocalModel(tmp_path), None).sizes == STAND_IN_SIZES
    assert tuple(sorted(ARCHITECTURES)) == TRAINABLE_ARCHITECTURES
