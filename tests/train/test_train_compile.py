"""Compiled layers compute what plain ones do, and are compiled for the first batch only."""

import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch._dynamo.utils import counters

from cloudcpt.train.batches import IGNORE
from cloudcpt.train.compile import compile_layers
from cloudcpt.train.failures import failure_of
from cloudcpt.train.likelihood import losses_and_gradient
from cloudcpt.train.loss import CausalLoss, model_inputs

pytestmark = [
    pytest.mark.train,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="the compiler of torch needs a C++ compiler on a CPU"),
]

CPU = torch.device("cpu")


@pytest.fixture
def fresh_compiler():
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def rearranged(packed):
    """Cut the same tokens into other documents, as many and longer."""
    bounds = [0, 11, 16, 18, 19, 25, 32]
    labels = packed.tokens.flatten().roll(-1)
    labels[torch.tensor(bounds[1:]) - 1] = IGNORE
    positions = torch.cat([torch.arange(stop - start) for start, stop in pairwise(bounds)])
    return replace(
        packed,
        labels=labels.view(2, 16),
        positions=positions.view(2, 16),
        cu_seqlens=torch.tensor(bounds, dtype=torch.int32),
    )


def loss_and_gradients(loss_of, batch):
    loss_of.zero_grad()
    loss = loss_of(**model_inputs(batch, CPU))
    loss.backward()
    return [loss.detach(), *(parameter.grad.clone() for parameter in loss_of.parameters())]


def test_compiled_layers_compute_the_same_and_are_compiled_once(tiny_model, packed, fresh_compiler):
    plain = CausalLoss(tiny_model("llama", num_hidden_layers=3), chunk_tokens=16)
    compiled = CausalLoss(tiny_model("llama", num_hidden_layers=3), chunk_tokens=16)
    compiled.load_state_dict(plain.state_dict())
    compile_layers(compiled.model)
    assert [*compiled.state_dict()] == [*plain.state_dict()]
    graphs = []
    for batch in (packed, rearranged(packed), packed):
        for found, expected in zip(loss_and_gradients(compiled, batch), loss_and_gradients(plain, batch), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        graphs.append(counters["stats"]["unique_graphs"])
    assert graphs[0] > 0, "nothing was compiled"
    assert len(set(graphs)) == 1, "another batch was compiled for"


def test_compiled_losses_are_the_same(fresh_compiler):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(12, 40, generator=generator)
    labels = torch.randint(40, (12,), generator=generator)
    labels[[2, 7]] = IGNORE
    compiled = torch.compile(losses_and_gradient, fullgraph=True)
    for cap in (None, 2.0):
        for found, expected in zip(
            compiled(logits, labels, cap), losses_and_gradient(logits, labels, cap), strict=True
        ):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_layer_that_cannot_be_compiled_ends_the_job_with_a_reason(fresh_compiler):
    @torch.compile(fullgraph=True)
    def layer(states):
        torch._dynamo.graph_break()
        return states

    with pytest.raises(Exception, match="graph_break") as caught:
        layer(torch.ones(1))
    failure = failure_of(caught.value)
    assert failure.code == "CPT643"
    assert failure.message.startswith("a decoder layer could not be compiled: ")
    assert "\n" not in failure.message
    assert "Traceback" in failure.detail
