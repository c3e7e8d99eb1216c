"""The update equals NeMo's, written out by hand in float64."""

import math

import pytest
import torch
from torch import nn

from cloudcpt.plan.plan import Optimizer
from cloudcpt.train.optim import clip_gradients, gradient_norm, make_optimizer, set_learning_rate

pytestmark = pytest.mark.train

RATES = (0.0, 1e-3, 5e-3, 2e-3)


def planned(*, adam_w_mode, eps=1e-6):
    return Optimizer(adam_w_mode=adam_w_mode, beta1=0.9, beta2=0.95, eps=eps, weight_decay=0.1, max_grad_norm=1.0)


def gradients():
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(7, generator=generator) for _ in RATES]


def nemo(start, adam_w_mode, eps):
    """Follow apex's distributed_fused_adam for one tensor: reference/training.md, section 3.1."""
    p, m, v = start.double(), torch.zeros(7).double(), torch.zeros(7).double()
    for t, (lr, gradient) in enumerate(zip(RATES, gradients(), strict=True), 1):
        g = gradient.double() + (0.0 if adam_w_mode else 0.1) * p
        m = 0.9 * m + 0.1 * g
        v = 0.95 * v + 0.05 * g**2
        update = (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + eps)
        p = p - lr * (update + (0.1 if adam_w_mode else 0.0) * p)
    return p


@pytest.mark.parametrize("adam_w_mode", [True, False])
@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_the_update_is_nemos(adam_w_mode, eps):
    start = torch.linspace(-1, 1, 7)
    weight = nn.Parameter(start.clone())
    optimizer = make_optimizer([weight], planned(adam_w_mode=adam_w_mode, eps=eps))
    for lr, gradient in zip(RATES, gradients(), strict=True):
        weight.grad = gradient.clone()
        set_learning_rate(optimizer, lr)
        optimizer.step()
    torch.testing.assert_close(weight.detach().double(), nemo(start, adam_w_mode, eps), atol=1e-7, rtol=1e-6)


def test_l2_and_decoupled_decay_differ():
    start = torch.linspace(-1, 1, 7)
    assert not torch.allclose(nemo(start, True, 1e-8), nemo(start, False, 1e-8), atol=1e-5)


def test_frozen_parameters_have_no_optimizer_state():
    learns, frozen = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = make_optimizer([learns, frozen], planned(adam_w_mode=True))
    assert [group["params"] for group in optimizer.param_groups] == [[learns]]


def two_gradients():
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    return parameters


def test_the_norm_is_over_all_gradients_that_exist():
    assert float(gradient_norm(two_gradients())) == 5.0


@pytest.mark.parametrize(("max_norm", "after"), [(1.0, 1.0), (5.0, 5.0), (7.0, 5.0), (0.0, 5.0)])
def test_clipping_scales_to_the_limit_and_zero_means_none(max_norm, after):
    parameters = two_gradients()
    clip_gradients(parameters, gradient_norm(parameters), max_norm)
    assert math.isclose(float(gradient_norm(parameters)), after, rel_tol=1e-5)
    assert float(parameters[0].grad[0] / parameters[1].grad[0]) == pytest.approx(0.75)
