"""Matrix products in float32 on a CPU, by the faster of two libraries.

torch computes them with MKL, which on processors of other makers than Intel leaves AVX-512 unused. oneDNN, which torch
brings as well and uses for bfloat16, does not ask who made the processor: on an AMD EPYC of 2024 it multiplies float32
at 250 GFLOP/s per core where MKL does 110. Both are IEEE float32; sums differ in the order of their terms.

Measured 2026-11, torch 2.13, one thread, [2048, 512] x [512, 1408].
"""

from typing import Any

import torch
from torch import nn


def _has_wide_onednn() -> bool:
    """Is oneDNN here, on a processor with AVX-512; without it there is nothing that MKL would leave unused."""
    is_here: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return is_here and torch.backends.cpu.get_cpu_capability() == "AVX512"


_IS_WIDE = _has_wide_onednn()


def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Multiply two matrices, or two equally long batches of them: [(G,) m, k] by [(G,) k, n] to [(G,) m, n].

    Not differentiable; `FastLinear` and `cloudcpt.train.blocks` say what their gradients are.
    """
    if left.dim() == 3 and len(left) == 1:
        return product(left[0], right[0])[None]  # a batch of one is slower than one product
    # oneDNN would have to be called once for each product of a batch.
    if left.dim() == 3 or left.dtype != torch.float32 or left.device.type != "cpu" or not _IS_WIDE:
        return left @ right
    # The one product of oneDNN that torch offers without changing its precision; inductor calls it, too. It takes the
    # right matrix transposed. One with gaps between its rows or columns would be multiplied a thousand times slower.
    right = right.t()
    if not (right.is_contiguous() or right.t().is_contiguous()):
        right = right.contiguous()
    multiplied: torch.Tensor = torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")  # noqa: SLF001
    return multiplied


@torch.library.custom_op("cloudcpt::multiply", mutates_args=())
def _multiply(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Be `product` of two matrices for the compiler, whose own way to call oneDNN wants weights that never change."""
    return product(left, right)


@_multiply.register_fake
def _(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return left.new_empty(left.shape[0], right.shape[1])


class FastLinear(nn.Linear):
    """A linear map whose three products, one forward and two backward, go through `product`."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Map [..., in] to [..., out]."""
        mapped: torch.Tensor = _Linear.apply(states, self.weight)  # type: ignore[no-untyped-call]
        return mapped if self.bias is None else mapped + self.bias


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:  # Any: torch gives it no type
        ctx.save_for_backward(states, weight)
        mapped: torch.Tensor = _multiply(states.flatten(0, -2), weight.t())
        return mapped.view(*states.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        states, weight = ctx.saved_tensors
        flat = gradient.flatten(0, -2)
        needs_states, needs_weight = ctx.needs_input_grad
        return (
            _multiply(flat, weight).view_as(states) if needs_states else None,
            _multiply(flat.t(), states.flatten(0, -2)) if needs_weight else None,
        )


def use_fast_products(model: nn.Module) -> None:
    """Let the linear maps of a model that computes in float32 on a CPU take the faster library, in place.

    Modules stay what they are for everybody who looks for linear maps, and parameters keep their names.
    """
    for module in model.modules():
        if type(module) is nn.Linear and _IS_WIDE:
            module.__class__ = FastLinear
