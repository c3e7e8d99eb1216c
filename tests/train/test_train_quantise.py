"""Weights in few bits: the published codes, products and gradients of the weights they stand for, and nothing else."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cloudcpt.plan.plan import Lora
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.lora import add_lora
from cloudcpt.train.quantise import QuantisedLinear, quantise_layers, quantised_rows

pytestmark = pytest.mark.train

CPU = torch.device("cpu")
LORA = Lora(
    rank=4, alpha=8.0, dropout=0.0, target_modules=("q_proj",), rslora=False, merge=True, bits=4, embedding_lr=0.0
)
NORMAL_FLOAT = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
LEVELS = {4: NORMAL_FLOAT, 8: [step / 127 for step in range(-127, 128)]}

CODES_OF_BITSANDBYTES = [
    "04c16e29f3b05d17e29f3c05d18e2af4c16e18e3b05d17e29f3b05d18e2af4c1",
    "6d18e3b04c17e29f3b05d17e2af4c06d18e2a04c16e29f3b05d17e29f3c05d18",
]
"""Written by `quantize_4bit(..., blocksize=64, quant_type="nf4")` of bitsandbytes 0.50.2 for the weight below."""


def quantised(weight, bits, bias=None):
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight.data = weight
    if bias is not None:
        linear.bias.data = bias
    return QuantisedLinear(linear.requires_grad_(False), bits)


def random_weight(rows=5, columns=150):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(2)) * 0.02


def test_codes_and_scales_of_four_bits_are_those_of_bitsandbytes():
    weight = ((torch.arange(128) * 37 % 101) - 50).float().view(2, 64) * torch.tensor([[0.5], [1.0]])
    stored = quantised(weight, 4).weight
    assert [bytes(row[:32].tolist()).hex() for row in stored] == CODES_OF_BITSANDBYTES
    assert stored[:, 32:].contiguous().view(torch.float32).flatten().tolist() == [25.0, 50.0]


@pytest.mark.parametrize("bits", [4, 8])
def test_every_weight_becomes_the_nearest_level_of_its_block(bits):
    weight = random_weight()
    weight[1, :64] = 0.0
    whole = quantised(weight, bits).whole(quantised(weight, bits).weight)
    levels = torch.tensor(LEVELS[bits], dtype=torch.float64)
    for row in range(5):
        for start in (0, 64, 128):
            block = weight[row, start : start + 64].double()
            scaled = levels * block.abs().max()
            nearest = (block[:, None] - scaled).abs().min(1).values
            error = (block - whole[row, start : start + 64].double()).abs()
            torch.testing.assert_close(error, nearest, atol=1e-8, rtol=1e-4)


@pytest.mark.parametrize(("bits", "bytes_per_weight"), [(4, 0.5625), (8, 1.0625)])
def test_a_weight_takes_its_bits_and_half_a_bit_of_scale(bits, bytes_per_weight):
    stored = quantised(random_weight(columns=128), bits).weight
    assert (stored.dtype, stored.numel() / (5 * 128)) == (torch.uint8, bytes_per_weight)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_product_and_gradient_are_those_of_the_whole_weight(bits, dtype):
    weight, bias = random_weight(), torch.linspace(-1, 1, 5).to(dtype)
    small = quantised(weight, bits, bias)
    inputs = [torch.randn(2, 3, 150, generator=torch.Generator().manual_seed(5)).to(dtype) for _ in range(2)]
    products = []
    for given, weights in zip(inputs, (None, small.whole(small.weight).to(dtype)), strict=True):
        given.requires_grad_()
        products.append(small(given) if weights is None else F.linear(given, weights) + bias)
        products[-1].square().sum().backward()
    assert torch.equal(*products)
    assert torch.equal(inputs[0].grad, inputs[1].grad)


def test_the_backward_pass_keeps_bytes_and_no_weight():
    saved = []
    small = quantised(random_weight(rows=64, columns=64), 4)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        small(torch.ones(1, 64, requires_grad=True))
    assert {(tensor.dtype, tensor.numel()) for tensor in saved} == {(torch.uint8, 64 * 36), (torch.float32, 512)}


@pytest.mark.parametrize("bits", [4, 8])
def test_bytes_that_arrive_as_numbers_of_the_compute_dtype_say_the_same(bits):
    """FSDP of torch 2.11 casts frozen bytes like any other parameter; 2.13 leaves them alone."""
    small, inputs = quantised(random_weight(), bits), torch.ones(1, 150)
    expected = small(inputs)
    small.weight = nn.Parameter(small.weight.to(torch.bfloat16), requires_grad=False)
    assert torch.equal(small(inputs), expected)


@pytest.mark.parametrize("bits", [4, 8])
def test_rows_are_quantised_apart_from_each_other(bits):
    whole = quantised(random_weight(), bits)
    holder = nn.ModuleDict({"down": whole})
    numbers = [("down.weight", random_weight()[2:4]), ("down.weight", random_weight()[5:]), ("norm", torch.ones(3))]
    (_, rows), (_, none), (_, norm) = quantised_rows(holder, numbers, CPU)
    assert torch.equal(rows, whole.weight[2:4])
    assert none.shape == (0, whole.weight.shape[1])  # a rank of a large world may keep no row
    assert norm is numbers[2][1]


def test_frozen_linear_maps_of_the_layers_are_quantised_and_nothing_else(tiny_model):
    model = tiny_model("qwen2")
    add_lora(model, LORA)
    before = {name: parameter for name, parameter in model.named_parameters() if not name.endswith("proj.weight")}
    quantise_layers(model, 4)
    small = [name for name, parameter in model.named_parameters() if parameter.dtype == torch.uint8]
    assert len(small) == 2 * 7
    assert sum("q_proj.base_layer.weight" in name for name in small) == 2
    after = dict(model.named_parameters())
    kept = [name for name in before if "base_layer.weight" not in name]
    assert all(after[name] is before[name] for name in kept)
    assert {"lm_head.weight", "model.embed_tokens.weight", "model.layers.0.self_attn.k_proj.bias"} <= set(kept)


def test_a_map_without_storage_gets_a_place_of_the_right_shape_and_levels_that_exist():
    with torch.device("meta"):
        linear = nn.Linear(150, 5).requires_grad_(False)
    small = QuantisedLinear(linear, 4)
    assert small.weight.is_meta
    assert small.weight.shape == quantised(random_weight(), 4).weight.shape
    assert not small.levels.is_meta


def test_a_model_without_linear_maps_is_refused(tiny_model):
    model = tiny_model("gpt2", n_embd=32, n_layer=2, n_head=4)
    with pytest.raises(TrainingFailure, match=r"CPT620: `bits: 4` finds no linear map .* type `gpt2`"):
        quantise_layers(model, 4)


@pytest.mark.parametrize("bits", [4, 8])
def test_a_map_compiles_as_one_graph_both_ways(bits):
    small = quantised(random_weight(), bits)
    compiled = torch.compile(small, fullgraph=True, backend="aot_eager")
    inputs = [torch.ones(2, 150, requires_grad=True) for _ in range(2)]
    for given, product in zip(inputs, (small, compiled), strict=True):
        product(given).square().sum().backward()
    assert torch.equal(small(inputs[0]), compiled(inputs[0]))
    assert torch.equal(inputs[0].grad, inputs[1].grad)
