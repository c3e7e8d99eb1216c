"""Frozen linear maps held in 4 or 8 bits (QLoRA): quantised once, sharded as bytes, whole again for each product.

    R outputs, C inputs, B blocks of a row: C / 64, rounded up

A map becomes one matrix of bytes, [R, B * (8 * bits + 4)] uint8: the codes of a row, then the float32 scale of each of
its blocks. A row needs nothing from outside it, so FSDP cuts, gathers and exports it like any other weight. A code
names a level between -1 and 1, one of the 16 of NormalFloat or of 255 evenly spaced ones; level times scale is the
weight. That is 4.5 or 8.5 bits for a weight. The product is in the dtype of its input, and so is its gradient; the
whole weight is made again in the backward pass rather than kept.

Codes and scales of 4 bits are those of bitsandbytes, bit for bit, without its second quantisation, of the scales. Its
own layers do not get through FSDP2: the scales of the 4-bit one are an attribute of a parameter that FSDP replaces, and
the 8-bit one does not shard at all. See docs/decisions/0006.

Here this runs on CPUs, on one process and on two; on a GPU it has not been run.

Source: NF4 and blocks of 64 from Dettmers et al., arXiv 2305.14314, levels in appendix E.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.train.architectures import decoder_layers
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure

Bits = Literal[4, 8]

BLOCK_WEIGHTS = 64
"""Weights of one row that share a scale."""

_SCALE_BYTES = 4

_NORMAL_FLOAT = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip


def quantise_layers(model: PreTrainedModel, bits: Bits) -> None:
    """Put a `QuantisedLinear` in the place of every frozen linear map of the decoder layers, in place.

    Call it when adapters are in, before anything is sharded. Embeddings, norms and biases stay as they are stored.
    Weights without storage get a place of the right shape, and their codes from `quantised_rows`.

    Raises:
        TrainingFailure: there is no linear map to quantise.
    """
    layers = decoder_layers(model)
    frozen = [
        (parent, name, child)
        for parent in layers.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) and not child.weight.requires_grad
    ]
    if not frozen:
        message = f"`bits: {bits}` finds no linear map in the layers of a model of type `{model.config.model_type}`"
        hint = "leave `peft.bits` out, or choose another base model"
        raise TrainingFailure(Failure(code="CPT620", blame=Blame.USER, message=message, hint=hint))
    for parent, name, child in frozen:
        setattr(parent, name, QuantisedLinear(child, bits))


def quantised_rows(
    module: nn.Module, numbers: Iterable[tuple[str, torch.Tensor]], device: torch.device
) -> Iterator[tuple[str, torch.Tensor]]:
    """Turn rows of quantised weights into codes, and hand on all others as they are.

    Args:
        module: Holds the quantised maps, anywhere.
        numbers: Names of parameters of `module`, each with some of its rows as they are stored in the base model.
        device: On which to quantise.
    """
    maps = {f"{name}.weight": one for name, one in module.named_modules() if isinstance(one, QuantisedLinear)}
    for name, rows in numbers:
        yield name, _quantised(rows.to(device), maps[name].bits) if name in maps else rows


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Count parameters, all and those that learn; codes count as the weights that they stand for."""
    maps = {one.weight: one for one in module.modules() if isinstance(one, QuantisedLinear)}
    sizes = {
        parameter: maps[parameter].in_features * maps[parameter].out_features
        if parameter in maps
        else parameter.numel()
        for parameter in module.parameters()
    }
    return sum(sizes.values()), sum(size for parameter, size in sizes.items() if parameter.requires_grad)


class QuantisedLinear(nn.Module):
    """A linear map that cannot learn, in few bits.

    Args:
        linear: What it stands for; its bias is kept.
        bits: Of a code.
    """

    def __init__(self, linear: nn.Linear, bits: Bits) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self.bits = bits
        self.weight = nn.Parameter(_quantised(linear.weight.detach(), bits), requires_grad=False)
        self.bias = linear.bias
        # A weight may be without storage yet; this table is the same in every map and never is.
        self.register_buffer("levels", _levels_of_byte(bits), persistent=False)
        self.levels: torch.Tensor

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Multiply: [..., C] to [..., R], in the dtype of the inputs."""
        product: torch.Tensor = _Product.apply(inputs, self.weight, self.levels)  # type: ignore[no-untyped-call]
        return product if self.bias is None else product + self.bias

    def whole(self, stored: torch.Tensor) -> torch.Tensor:
        """Make the weight, [R, C] float32.

        Args:
            stored: All rows of `weight`, gathered, on any device.
        """
        return _whole(stored, self.levels.to(stored.device), self.in_features)

    def extra_repr(self) -> str:
        """Describe it in a printed model."""
        return f"{self.in_features}, {self.out_features}, bits={self.bits}"


class _Product(torch.autograd.Function):
    """`inputs @ weight.T` that remembers bytes for its backward pass instead of a weight.

    `ctx` is Any because torch gives it whatever attributes it is given.
    """

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, stored: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(stored, levels)
        ctx.columns = inputs.shape[-1]
        return F.linear(inputs, _whole(stored, levels, ctx.columns).to(inputs.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        stored, levels = ctx.saved_tensors
        return gradient @ _whole(stored, levels, ctx.columns).to(gradient.dtype), None, None


def _levels(bits: Bits) -> torch.Tensor:
    """List the levels that a code can name, ascending, [16] or [255] float32."""
    return torch.tensor(_NORMAL_FLOAT) if bits == 4 else torch.arange(-127, 128) / 127


def _levels_of_byte(bits: Bits) -> torch.Tensor:
    """List what each byte stands for, [256, 2] levels of 4-bit codes or [256, 1]; the high half comes first."""
    levels, bytes_ = _levels(bits), torch.arange(256)
    if bits == 4:
        return torch.stack([levels[bytes_ >> 4], levels[bytes_ & 15]], dim=1)
    return levels[bytes_.clamp(max=254)][:, None]


def _quantised(weight: torch.Tensor, bits: Bits) -> torch.Tensor:
    """Round every weight to the nearest level of its block: [R, C] to [R, B * (8 * bits + 4)] uint8."""
    rows, columns = weight.shape
    num_blocks = -(-columns // BLOCK_WEIGHTS)
    padded = F.pad(weight.float(), (0, num_blocks * BLOCK_WEIGHTS - columns))
    blocks = padded.view(rows, num_blocks, BLOCK_WEIGHTS)
    scales = blocks.abs().amax(2)  # [R, B]
    levels = _levels(bits).to(weight.device)
    # A block of zeros has scale 0, and its codes do not matter.
    shares = blocks / scales.clamp(min=torch.finfo(torch.float32).tiny)[..., None]
    codes = torch.bucketize(shares, (levels[1:] + levels[:-1]) / 2).to(torch.uint8).flatten(1)
    if bits == 4:
        codes = (codes[:, ::2] << 4) | codes[:, 1::2]
    return torch.cat([codes, scales.view(torch.uint8)], dim=1)


def _whole(stored: torch.Tensor, levels: torch.Tensor, columns: int) -> torch.Tensor:
    """Undo `_quantised`, [R, C] float32."""
    # FSDP of torch 2.11 gathers bytes as numbers in the compute dtype, 2.13 as they are; any dtype holds 255 exactly.
    stored = stored.to(torch.uint8)
    rows, num_blocks = len(stored), -(-columns // BLOCK_WEIGHTS)
    end = stored.shape[1] - num_blocks * _SCALE_BYTES
    shares = F.embedding(stored[:, :end].int(), levels).view(rows, num_blocks, BLOCK_WEIGHTS)
    scales = stored[:, end:].contiguous().view(torch.float32)
    return (shares * scales[..., None]).flatten(1)[:, :columns]
