"""Attention in blocks equals its definition, forward and backward, whatever the documents."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.train.blocks import attend

pytestmark = pytest.mark.train

NO_SEED = torch.zeros((), dtype=torch.int64)


def definition(query, key, value, lengths, *, scaling, window=None, softcap=None):
    """Attend with one explicit mask, in the dtype of the arguments: [N, H, D], [N, G, D] to [N, H, D]."""
    document = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    place = torch.arange(len(query))
    allowed = (document[:, None] == document) & (place[:, None] >= place)
    if window is not None:
        allowed &= place[:, None] - place < window
    groups = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(groups, 1) for states in (key, value))
    scores = torch.einsum("qhd,khd->hqk", query, key) * scaling
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~allowed, -torch.inf).softmax(-1), value)


def states(positions, heads, seed, size=8):
    return torch.randn(positions, heads, size, generator=torch.Generator().manual_seed(seed))


def both_passes(attention, *inputs):
    """Give the output and the gradients of query, key and value, for one random gradient of the output."""
    inputs = [one.detach().requires_grad_() for one in inputs]
    mixed = attention(*inputs)
    gradient = states(*mixed.shape[:2], seed=9, size=mixed.shape[2]).to(mixed.dtype)
    return [mixed.detach(), *torch.autograd.grad(mixed, inputs, gradient)]


def bounds(lengths, *, empty=0):
    return torch.tensor([0, *lengths] + [0] * empty).cumsum(0).to(torch.int32)


@given(
    lengths=st.lists(st.integers(1, 200), min_size=1, max_size=8),
    groups=st.sampled_from([1, 2, 4]),
    window=st.sampled_from([None, 1, 50, 150]),
    softcap=st.sampled_from([None, 2.0]),
)
@settings(max_examples=12)
def test_output_and_gradients_are_those_of_the_definition(lengths, groups, window, softcap):
    positions = sum(lengths)
    inputs = states(positions, 4, 1), states(positions, groups, 2), states(positions, groups, 3) + 1
    cu_seqlens = bounds(lengths, empty=3)
    found = both_passes(lambda *qkv: attend(*qkv, cu_seqlens, NO_SEED, 0.5, 0.0, window, softcap), *inputs)
    exact = both_passes(
        lambda *qkv: definition(*qkv, lengths, scaling=0.5, window=window, softcap=softcap),
        *(one.double() for one in inputs),
    )
    for one, expected in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), expected, atol=2e-5, rtol=1e-4)


def test_bfloat16_is_as_close_as_its_digits_allow():
    lengths = [300, 212]
    inputs = [one.bfloat16() for one in (states(512, 4, 1, 32), states(512, 2, 2, 32), states(512, 2, 3, 32))]
    found = both_passes(lambda *qkv: attend(*qkv, bounds(lengths), NO_SEED, 32**-0.5, 0.0, None, None), *inputs)
    exact = both_passes(lambda *qkv: definition(*qkv, lengths, scaling=32**-0.5), *(one.double() for one in inputs))
    for one, expected in zip(found, exact, strict=True):
        assert one.dtype == torch.bfloat16
        assert float((one.double() - expected).norm() / expected.norm()) < 6e-3


def test_scores_of_hundreds_are_told_apart_in_bfloat16():
    """Rounded to bfloat16, scores of 400 and 401 would be one number."""
    query = torch.full((2, 1, 8), 20.0).bfloat16()
    key = torch.full((2, 1, 8), 20.0).bfloat16()
    key[1, 0, 0] += 0.125
    value = torch.tensor([0.0, 1.0]).view(2, 1, 1).expand(2, 1, 8).bfloat16()
    mixed = attend(query, key, value, bounds([2]), NO_SEED, 0.125, 0.0, None, None)
    expected = torch.tensor([400.0, 400.3125]).softmax(0)[1]
    assert float(mixed[1, 0, 0]) == pytest.approx(float(expected), rel=1e-2)


def test_dropout_drops_the_same_weights_in_both_passes():
    lengths, seed = [140, 60], torch.tensor(5)
    inputs = states(200, 2, 1), states(200, 1, 2), states(200, 1, 3)

    def dropped(*qkv):
        return attend(*qkv, bounds(lengths), seed, 0.5, 0.3, None, None)

    mixed, *gradients = both_passes(dropped, *inputs)
    assert not torch.allclose(mixed, both_passes(lambda *qkv: definition(*qkv, lengths, scaling=0.5), *inputs)[0])
    assert torch.equal(mixed, both_passes(dropped, *inputs)[0])
    # Along any direction, the output moves as the gradients say.
    gradient = states(*mixed.shape[:2], seed=9, size=mixed.shape[2])
    for number, found in enumerate(gradients):
        step = [torch.zeros_like(one) for one in inputs]
        step[number] = states(*inputs[number].shape[:2], seed=4) * 1e-2
        after, before = (
            (dropped(*(one + sign * by for one, by in zip(inputs, step, strict=True))) * gradient).sum().double()
            for sign in (1, -1)
        )
        assert float(after - before) / 2 == pytest.approx(float((found * step[number]).sum()), rel=1e-3, abs=1e-4)


def test_another_seed_drops_other_weights_and_the_mean_stays():
    query, value = torch.zeros(100, 1, 4), torch.ones(100, 1, 4)
    mixed = torch.stack(
        [attend(query, query, value, bounds([100]), torch.tensor(seed), 1.0, 0.3, None, None) for seed in range(50)]
    )
    assert float(mixed.std()) > 0.05
    assert float(mixed.mean()) == pytest.approx(1.0, abs=0.01)
