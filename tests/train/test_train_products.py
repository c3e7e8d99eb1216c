"""Products by the faster library are the same products, and a model that uses them is the same model."""

import pytest
import torch
from torch import nn

from cloudcpt.train.products import FastLinear, product, use_fast_products

pytestmark = pytest.mark.train


def numbers(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        (numbers(7, 5), numbers(5, 9)),
        (numbers(5, 7).t(), numbers(9, 5).t()),
        (numbers(7, 30)[:, ::6], numbers(5, 30)[:, 3:12]),
        (numbers(3, 7, 5), numbers(3, 5, 9)),
        (numbers(1, 7, 5), numbers(1, 9, 5).transpose(1, 2)),
        (numbers(7, 3, 5).transpose(0, 1), numbers(5, 3, 9).transpose(0, 1)),
    ],
    ids=["plain", "transposed", "with gaps", "batches", "a batch of one", "batches with gaps"],
)
def test_a_product_is_a_product_however_its_factors_lie_in_memory(left, right, dtype):
    left, right = left.to(dtype), right.to(dtype)
    found = product(left, right)
    assert found.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    torch.testing.assert_close(found.double(), left.double() @ right.double(), atol=tolerance, rtol=tolerance)


def changed(linear):
    linear.__class__ = FastLinear
    return linear


@pytest.mark.parametrize("bias", [True, False])
def test_a_fast_linear_map_has_the_output_and_gradients_of_a_plain_one(bias):
    plain = nn.Linear(6, 4, bias=bias)
    fast = nn.Linear(6, 4, bias=bias)
    fast.load_state_dict(plain.state_dict())
    inputs = [numbers(2, 3, 6).requires_grad_() for _ in range(2)]
    for linear, states in zip((plain, changed(fast)), inputs, strict=True):
        linear(states).square().sum().backward()
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad)
    for one, other in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_a_frozen_fast_linear_map_has_no_gradient_and_hands_one_on():
    linear = changed(nn.Linear(6, 4)).requires_grad_(False)
    states = numbers(3, 6).requires_grad_()
    linear(states).sum().backward()
    assert linear.weight.grad is None
    torch.testing.assert_close(states.grad, linear.weight.sum(0).expand(3, 6))


def test_a_model_keeps_its_modules_and_names(tiny_model):
    model = tiny_model("llama")
    before = [(name, id(module)) for name, module in model.named_modules()], [*model.state_dict()]
    use_fast_products(model)
    assert ([(name, id(module)) for name, module in model.named_modules()], [*model.state_dict()]) == before
    fast = [name for name, module in model.named_modules() if isinstance(module, FastLinear)]
    assert len(fast) == (2 * 7 + 1 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 0)
    assert all(isinstance(model.get_submodule(name), nn.Linear) for name in fast)
