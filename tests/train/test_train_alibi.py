"""ALiBi as added dimensions: the same scores as the bias itself, to the last digit that the dtype holds."""

import pytest
import torch
from transformers.models.bloom.modeling_bloom import _get_alibi_slopes

from cloudcpt.train.alibi import LONGEST, alibi_slopes, make_alibi, with_alibi

pytestmark = pytest.mark.train

CPU = torch.device("cpu")


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16, 25, 32, 40, 71, 112])
def test_slopes_are_those_of_the_class_in_transformers(heads):
    torch.testing.assert_close(torch.tensor(alibi_slopes(heads)), _get_alibi_slopes(heads, CPU), rtol=1e-5, atol=0)


def test_slopes_of_eight_heads_are_those_of_the_paper():
    assert alibi_slopes(8) == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]


def bias(positions, *, heads, scaling, dtype):
    """Multiply the added dimensions as a kernel does, with float32 sums: [H, positions]."""
    alibi = make_alibi(positions[None], heads=heads, scaling=scaling, dtype=dtype)
    assert alibi.query.dtype == alibi.key.dtype == dtype
    return scaling * torch.einsum("he,te->ht", alibi.query.float(), alibi.key[0].float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("heads", [8, 71])
def test_the_bias_is_slope_times_position_in_every_dtype(dtype, heads):
    positions = torch.tensor([0, 1, 2, 255, 256, 257, 1000, 2047, 8191, LONGEST - 1])
    expected = torch.tensor(alibi_slopes(heads), dtype=torch.float64)[:, None] * positions
    found = bias(positions, heads=heads, scaling=64**-0.5, dtype=dtype)
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-7)


def test_queries_and_keys_carry_the_bias_and_values_are_left_alone():
    generator = torch.Generator().manual_seed(5)
    query, key, value = (torch.randn(2, 4, 6, 8, generator=generator) for _ in range(3))
    positions = torch.tensor([[0, 1, 2, 3, 0, 1], [0, 1, 2, 3, 4, 5]])
    scaling = 8**-0.5
    longer = with_alibi(query, key, value, make_alibi(positions, heads=4, scaling=scaling, dtype=torch.float32))
    scores = scaling * (longer[0] @ longer[1].mT)
    slopes = torch.tensor(alibi_slopes(4))
    expected = scaling * (query @ key.mT) + slopes[None, :, None, None] * positions[:, None, None, :]
    torch.testing.assert_close(scores, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(longer[2][..., :8], value)
    assert not longer[2][..., 8:].any()
    assert all(states.shape[-1] % 8 == 0 for states in longer)


def test_long_documents_of_a_bloom_model_in_bfloat16_are_as_near_to_float64_as_the_stock_class(tiny_model):
    """Positions far beyond 256, where bfloat16 cannot count."""
    from transformers import AutoModelForCausalLM

    from cloudcpt.train.bloom import keep_documents_apart

    tokens = torch.randint(1, 128, (1, 700), generator=torch.Generator().manual_seed(1))
    model = tiny_model("bloom")
    stock = AutoModelForCausalLM.from_config(model.config, attn_implementation="eager")
    for parameter in stock.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.load_state_dict(stock.state_dict())
    keep_documents_apart(model.bfloat16())
    with torch.no_grad():
        exact = stock.double()(input_ids=tokens, use_cache=False).logits
        theirs = stock.bfloat16()(input_ids=tokens, use_cache=False).logits
        hidden = model.base_model(
            input_ids=tokens,
            position_ids=torch.arange(700)[None],
            attention_mask=None,
            use_cache=False,
            cu_seqlens=torch.tensor([0, 700], dtype=torch.int32),
        ).last_hidden_state
        ours = model.lm_head(hidden)
    errors = [float((logits.double() - exact).square().mean().sqrt()) for logits in (ours, theirs)]
    assert errors[0] < 1.1 * errors[1]
    assert errors[0] < 0.02 * float(exact.std())


def test_a_layer_of_bloom_is_compiled_once_whatever_the_documents(tiny_model, packed):
    """Its forwards are ours; `eager` is the compiler without the code generation, which takes half a minute."""
    from cloudcpt.train.architectures import decoder_layers

    model, plain = tiny_model("bloom").eval(), tiny_model("bloom").eval()
    for layer in decoder_layers(model):
        layer.compile(fullgraph=True, backend="eager")
    with torch._dynamo.config.patch(error_on_recompile=True), torch.no_grad():
        for bounds in ([0, 5, 12, 16, 25, 28, 32], [0, 16, 32, 32, 32, 32, 32]):
            inputs = {
                "input_ids": packed.tokens,
                "position_ids": packed.positions,
                "attention_mask": None,
                "use_cache": False,
                "cu_seqlens": torch.tensor(bounds, dtype=torch.int32),
            }
            found, expected = (one.base_model(**inputs).last_hidden_state for one in (model, plain))
            torch.testing.assert_close(found, expected)
