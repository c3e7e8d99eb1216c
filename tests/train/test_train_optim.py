"""The update equals NeMo's, written out by hand in float64."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from cloudcpt.plan.plan import Optimizer, Schedule
from cloudcpt.plan.schedule import learning_rate
from cloudcpt.train.optim import clip_gradients, gradient_norm, make_optimizer, set_learning_rate

pytestmark = pytest.mark.train

RATES = (0.0, 1e-3, 5e-3, 2e-3)


def planned(*, adam_w_mode, eps=1e-6):
    return Optimizer(
        adam_w_mode=adam_w_mode,
        beta1=0.9,
        beta2=0.95,
        eps=eps,
        weight_decay=0.1,
        max_grad_norm=1.0,
        max_skipped_steps=0,
    )


def gradients():
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(7, generator=generator) for _ in RATES]


def nemo(start, adam_w_mode, eps, relative_rate=1.0):
    """Follow apex's distributed_fused_adam for one tensor: reference/training.md, section 3.1."""
    p, m, v = start.double(), torch.zeros(7).double(), torch.zeros(7).double()
    for t, (lr, gradient) in enumerate(zip(RATES, gradients(), strict=True), 1):
        g = gradient.double() + (0.0 if adam_w_mode else 0.1) * p
        m = 0.9 * m + 0.1 * g
        v = 0.95 * v + 0.05 * g**2
        update = (m / (1 - 0.9**t)) / ((v / (1 - 0.95**t)).sqrt() + eps)
        p = p - lr * relative_rate * (update + (0.1 if adam_w_mode else 0.0) * p)
    return p


@pytest.mark.parametrize("adam_w_mode", [True, False])
@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_the_update_is_nemos_in_every_group_at_its_own_rate(adam_w_mode, eps):
    start, rates = torch.linspace(-1, 1, 7), (1.0, 0.125, 0.125)
    weights = [nn.Parameter(start.clone()) for _ in rates]
    relative = {weights[1]: 0.125, weights[2]: 0.125}
    optimizer = make_optimizer(weights, planned(adam_w_mode=adam_w_mode, eps=eps), relative)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 2]
    for lr, gradient in zip(RATES, gradients(), strict=True):
        for weight in weights:
            weight.grad = gradient.clone()
        set_learning_rate(optimizer, lr)
        optimizer.step()
    for weight, rate in zip(weights, rates, strict=True):
        expected = nemo(start, adam_w_mode, eps, rate)
        torch.testing.assert_close(weight.detach().double(), expected, atol=1e-7, rtol=1e-6)


def test_a_group_follows_the_schedule_at_its_multiple_of_it():
    one, other = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    optimizer = make_optimizer([one, other], planned(adam_w_mode=True), {other: 5e-5 / 1e-3})
    shape = Schedule(name="cosine", lr=1e-3, min_lr=1e-4, warmup_steps=3, constant_steps=0, steps=20)
    scaled = replace(shape, lr=5e-5, min_lr=5e-6)  # the same shape, peak and floor a twentieth
    for completed in range(21):
        set_learning_rate(optimizer, learning_rate(shape, completed))
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates[0] == learning_rate(shape, completed)
        assert rates[1] == pytest.approx(learning_rate(scaled, completed), rel=1e-14)


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
