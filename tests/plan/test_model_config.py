"""config.json as it is published and as transformers writes it: the same limits are found in both."""

import pytest

from cloudcpt.plan.model_config import position_limit, uncomputed_settings, whole

OLD_PHI = {"type": "longrope", "short_factor": [1.0], "long_factor": [8.0]}


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"model_type": "llama", "max_position_embeddings": 64}, None),
        ({"model_type": "llama", "rope_scaling": None}, None),
        ({"model_type": "llama", "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, None),
        ({"model_type": "llama", "rope_scaling": "odd"}, None),
        ({"model_type": "llama", "rope_scaling": {"type": "dynamic"}, "max_position_embeddings": 64}, 64),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "dynamic"}, "max_position_embeddings": 64}, 64),
        ({"model_type": "phi3", "rope_scaling": OLD_PHI, "original_max_position_embeddings": 16}, 16),
        (
            {
                "model_type": "phi3",
                "max_position_embeddings": 64,
                "rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": 16},
            },
            16,
        ),
        (
            {
                "model_type": "gemma3_text",
                "max_position_embeddings": 64,
                "rope_parameters": {
                    "sliding_attention": {"rope_type": "default"},
                    "full_attention": {"rope_type": "dynamic"},
                },
            },
            64,
        ),
        ({"model_type": "gpt2", "n_positions": 32}, 32),
        ({"model_type": "bloom", "seq_length": 32}, None),
    ],
)
def test_rows_have_an_end_where_positions_have_one(config, tokens):
    limit = position_limit(config)
    assert (limit.tokens if limit else None) == tokens


@pytest.mark.parametrize("value", [0, -1, True, 2.0, "8", None, [8]])
def test_what_does_not_count_is_no_number(value):
    assert whole({"hidden_size": value}, "hidden_size") == 0


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"model_type": "gemma2", "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}, {}),
        ({"model_type": "gemma3_text", "final_logit_softcapping": 30.0}, {}),
        ({"model_type": "gemma3_text", "attn_logit_softcapping": 50.0}, {"attn_logit_softcapping": 50.0}),
        ({"model_type": "llama", "final_logit_softcapping": 30.0}, {"final_logit_softcapping": 30.0}),
        ({"model_type": "llama", "logit_scale": 1.0, "logits_scaling": None, "add_cross_attention": False}, {}),
        ({"model_type": "bloom", "slow_but_exact": True, "pretraining_tp": 4}, {"slow_but_exact": True}),
    ],
)
def test_settings_that_change_the_model_are_listed_unless_the_class_computes_them(config, found):
    assert uncomputed_settings(config) == found
