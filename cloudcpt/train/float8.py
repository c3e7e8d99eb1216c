"""Matrix products of the decoder layers in 8 bits, by torchao, and the proof that the loss stays what it was.

Weights, gradients and moments stay float32, and what is exported is the same as ever; only the products of large
matrices are rounded to 8 bits on their way in. That helps where matrices are large and layers compiled, so maps that
torchao found to lose are left alone, and with them the output embedding and everything else outside the layers.

Whether a model bears the rounding nobody knows beforehand. So the loss of the first batches is computed with and
without it, and a job whose loss moves by more than `TOLERANCE` does not begin. Conversion needs a GPU and was not run
on one here; the comparison is tested with stand-ins for torchao's layers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import MethodType

import torch
from torch import nn
from transformers import PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.batches import Batch
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.loss import CausalLoss, model_inputs
from cloudcpt.train.world import World
from cloudcpt.wire import Failure

TOLERANCE = 0.01
"""Largest relative difference of the mean loss: 0.02 nats at a loss of 2, what a bad learning rate costs. Assumed."""

_CAPABILITY = (8, 9)
"""Of the first chips whose tensor cores multiply 8-bit floats."""

_MULTIPLE = 16
"""What the hardware asks of both widths of a matrix."""


def use_float8(model: PreTrainedModel, recipe: str, device: torch.device) -> tuple[nn.Linear, ...]:
    """Let the linear maps of the layers multiply in 8 bits, in place, before layers are compiled and sharded.

    Args:
        model: With or without its numbers.
        recipe: Of torchao: `tensorwise`, `rowwise` or `rowwise_with_gw_hp`.
        device: That will compute.

    Returns:
        The maps that do.

    Raises:
        TrainingFailure: the chip is too old, torchao is not installed, or no map is large enough to gain.
    """
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < _CAPABILITY:
        raise _refusal("CPT641", "this device has no tensor cores for 8-bit floats", "use H100, H200 or B200 GPUs")
    if find_spec("torchao") is None:
        hint = "install it in the image: `pip install 'cloudcpt[float8]'`"
        raise _refusal("CPT641", "`float8` needs torchao, which is not installed", hint)
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    config = Float8LinearConfig.from_recipe_name(recipe)
    wanted = {name for name, module in decoder_layers(model).named_modules() if gains(module, recipe)}
    if not wanted:
        message = "no linear map of the layers is large enough to gain from 8 bits"
        raise _refusal("CPT641", message, "leave `float8` out")
    layers = decoder_layers(model)
    convert_to_float8_training(layers, config=config, module_filter_fn=lambda _module, name: name in wanted)
    return tuple(linear for name in sorted(wanted) if isinstance(linear := layers.get_submodule(name), nn.Linear))


def gains(module: nn.Module, recipe: str) -> bool:
    """Tell whether a module is a linear map that is faster in 8 bits.

    Source: torchao 0.18, float8_linear_utils.py, thresholds from its measurements on H100; the two recipes with a scale
    for each row have one table.
    """
    if not isinstance(module, nn.Linear) or module.in_features % _MULTIPLE or module.out_features % _MULTIPLE:
        return False
    columns, rows = module.in_features, module.out_features
    if recipe == "tensorwise":
        return columns > 4096 or rows > 1024
    return rows > 2048 and columns > 1024 and (rows > 4096 or columns > 2048)


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The mean loss per token of the same batches, in two precisions."""

    plain: float
    float8: float

    @property
    def difference(self) -> float:
        """Of the two, relative to the plain one."""
        return abs(self.float8 - self.plain) / self.plain

    def in_words(self) -> str:
        """Say both numbers."""
        return f"loss {self.float8:.6f} with products in 8 bits, {self.plain:.6f} without: {self.difference:.2%} apart"


@torch.no_grad()
def compare_losses(loss: CausalLoss, converted: Sequence[nn.Linear], batches: Sequence[Batch], world: World) -> Parity:
    """Measure what the rounding does to the loss; every rank calls.

    Args:
        loss: The sharded model; comes back in training mode.
        converted: Its maps that multiply in 8 bits.
        batches: Micro-batches of this rank, as many on each; with labels on one of them at least.
        world: All ranks.

    Raises:
        TrainingFailure: the loss moves by more than `TOLERANCE`, or is not a number.
    """
    loss.eval()
    in_8_bits = _summed(loss, batches, world)
    with _multiplying_plainly(converted):
        plain = _summed(loss, batches, world)
    loss.train()
    *sums, labels = world.sum(plain, in_8_bits, sum(batch.num_labels for batch in batches))
    parity = Parity(plain=sums[0] / labels, float8=sums[1] / labels)
    if not parity.difference <= TOLERANCE:  # also where one is not a number
        message = f"{parity.in_words()}; at most {TOLERANCE:.0%} is allowed"
        raise _refusal("CPT642", message, "set `float8: none`, or try `rowwise_with_gw_hp`")
    return parity


def _summed(loss: CausalLoss, batches: Sequence[Batch], world: World) -> float:
    return sum(float(loss(**model_inputs(batch, world.device))) for batch in batches)


@contextmanager
def _multiplying_plainly(converted: Sequence[nn.Linear]) -> Iterator[None]:
    """Make the maps ordinary ones for a while; uncompiled, because nothing should be compiled for this alone."""
    for linear in converted:
        setattr(linear, "forward", MethodType(nn.Linear.forward, linear))  # noqa: B010 - a method, to mypy
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for linear in converted:
            delattr(linear, "forward")


def _refusal(code: str, message: str, hint: str) -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.USER, message=message, hint=hint))
