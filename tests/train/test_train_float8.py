"""Products in 8 bits are used only where they gain, and only when the loss stays what it was."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.float8 import compare_losses, gains, use_float8
from cloudcpt.train.loss import CausalLoss
from cloudcpt.train.world import joined_world

pytestmark = pytest.mark.train


class RoundedLinear(nn.Linear):
    """Stands in for torchao's layer: its product is off by a factor."""

    off = 1.0

    def forward(self, inputs):
        return super().forward(inputs) * self.off


def rounded(model, off):
    """Convert the maps of the layers, as torchao does: in place, names and weights as they were."""
    found = [module for module in decoder_layers(model).modules() if type(module) is nn.Linear]
    for module in found:
        module.__class__ = RoundedLinear
        module.off = off
    return tuple(found)


@pytest.fixture
def world(tiny_job):
    with joined_world(tiny_job().plan.world) as world:
        yield world


@pytest.fixture
def compared(tiny_model, packed, world):
    def compare(off):
        loss = CausalLoss(tiny_model("llama"), chunk_tokens=1024)
        loss.model.lm_head.weight.data *= 20  # a model with opinions, whose loss depends on its layers
        converted = rounded(loss.model, off)
        parity = compare_losses(loss, converted, [packed, packed], world)
        assert loss.training
        assert not any("forward" in vars(module) for module in converted)
        return parity

    return compare


def test_a_loss_that_stays_is_reported_with_both_numbers(compared):
    parity = compared(1.01)
    assert 0 < parity.difference < 0.01
    assert parity.plain == compared(1.0).plain == compared(1.0).float8
    assert f"{parity.plain:.6f} without" in parity.in_words()
    assert f"loss {parity.float8:.6f} with" in parity.in_words()


@pytest.mark.parametrize("off", [30.0, float("nan")])
def test_a_loss_that_moves_is_refused_with_both_numbers(off, compared):
    with pytest.raises(
        TrainingFailure, match=r"CPT642: loss .* with products in 8 bits, \d.* without: .* 1% is allowed"
    ):
        compared(off)


def test_nothing_is_compiled_for_the_reference(tiny_model, packed, world):
    torch.compiler.reset()
    loss, for_reference = CausalLoss(tiny_model("llama"), chunk_tokens=1024), []
    converted = rounded(loss.model, 1.01)

    def backend(graph, _inputs):
        for_reference.append("forward" in vars(converted[0]))
        return graph.forward

    for layer in decoder_layers(loss.model):
        layer.compile(backend=backend)
    parity = compare_losses(loss, converted, [packed], world)
    assert for_reference
    assert not any(for_reference)
    assert parity.plain != parity.float8


@pytest.mark.parametrize(
    ("columns", "rows", "tensorwise", "rowwise"),
    [
        (4096, 14336, True, True),  # gate and up of an 8B Llama
        (14336, 4096, True, True),  # down
        (4096, 4096, True, True),  # query and output
        (4096, 1024, False, False),  # key and value
        (2048, 4096, True, False),
        (4096, 14330, False, False),
        (4090, 14336, False, False),
    ],
)
def test_only_large_matrices_of_the_hardware_s_sizes_gain(columns, rows, tensorwise, rowwise):
    linear = nn.Linear(columns, rows, bias=False, device="meta")
    assert gains(linear, "tensorwise") is tensorwise
    assert gains(linear, "rowwise") is gains(linear, "rowwise_with_gw_hp") is rowwise


def test_what_is_not_a_linear_map_stays():
    assert not gains(nn.Embedding(4096, 4096, device="meta"), "tensorwise")


def test_a_device_without_such_products_is_refused(tiny_model):
    with pytest.raises(TrainingFailure, match="CPT641: this device has no tensor cores for 8-bit floats"):
        use_float8(tiny_model("llama"), "tensorwise", torch.device("cpu"))


def test_a_job_without_float8_never_imports_torchao(tmp_path):
    (tmp_path / "torchao").mkdir()
    (tmp_path / "torchao" / "__init__.py").write_text("raise SystemExit('it was imported')")
    (tmp_path / "torchao-9.9.dist-info").mkdir()
    (tmp_path / "torchao-9.9.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torchao\nVersion: 9.9\n")
    look = "from transformers.utils import is_torchao_available as there; print(there())"
    hidden = f"from cloudcpt.train.worker import hide_torchao as hide; hide(); {look}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    for program, said in ((look, "True\n"), (hidden, "False\n")):
        ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert ended.stdout == said, ended.stderr
