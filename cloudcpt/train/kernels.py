"""Which attention kernel this GPU has: FlashAttention 2 comes with torch, 3 and 4 are faster where they are installed.

torch names its kernels and switches between them for the whole process. One that is there is tried on two documents of
the model's shape, forward and backward, and taken only if its numbers are those of `cloudcpt.train.blocks`: a package
built for another chip, or a head size that it does not know, then costs a line in the log and not the job.

Nothing is timed: the same machine chooses the same kernel every time, so a resumed job goes on to the bit.
Needs a GPU to do anything; not covered by CPU tests beyond the refusals.
"""

import torch
from torch.nn import attention as switch
from transformers import PreTrainedConfig

from cloudcpt.plan.architectures import ARCHITECTURES
from cloudcpt.train.attention import document_attention

_BY_CHIP = {9: ("FA3", "FA4"), 10: ("FA4",)}
"""Kernels to try, best first, by major compute capability: 9 is Hopper, 10 is Blackwell.

Source: FA4 equals FA3 on Hopper (ecmwf/anemoi-core PR 959), is younger there, and FA3 knows no other chip."""

_CAN_SWITCH = hasattr(switch, "restore_flash_attention_impl")  # torch 2.13 can; the first that could is not known

_BOUNDS = (0, 300, 512)
"""Two documents in a row of 512 positions."""

_TOLERANCE = 2e-2
"""Largest error of output or gradients, as a share of their norm; bfloat16 makes about 0.004 of it."""


def use_best_kernel(config: PreTrainedConfig, device: torch.device) -> str:
    """Switch to the fastest kernel that works for a model on a GPU, and say which one it is.

    Args:
        config: Of the model.
        device: Of this process.
    """
    torch.cuda.set_device(device)
    chip, _ = torch.cuda.get_device_capability(device)
    # What ALiBi adds to every head makes a size that only the kernel of torch is known to take.
    names = _BY_CHIP.get(chip, ()) if ARCHITECTURES[config.model_type].positions != "alibi" else ()
    passed_over: list[str] = []
    for name in names:
        if not _CAN_SWITCH or name not in switch.list_flash_attention_impls():
            continue
        try:
            switch.activate_flash_attention_impl(name)
            error = _largest_error(config, device)
        except Exception as exc:  # noqa: BLE001 - a foreign package may fail in any way, and none of them is our end
            reason = f"{type(exc).__name__}: {exc}".splitlines()[0]
        else:
            if error <= _TOLERANCE:
                return f"kernel {name}{_but(passed_over)}"
            reason = f"its numbers are off by {error:.2g}"
        switch.restore_flash_attention_impl(_raise_warn=False)
        passed_over.append(f"{name} ({reason})")
    return f"kernel FA2 of torch{_but(passed_over)}"


def _but(passed_over: list[str]) -> str:
    return f", not {', '.join(passed_over)}" if passed_over else ""


def has_newer_kernel() -> bool:
    """Tell whether a kernel newer than FlashAttention 2 is in use."""
    return _CAN_SWITCH and switch.current_flash_attention_impl() is not None


def _largest_error(config: PreTrainedConfig, device: torch.device) -> float:
    """Compare output and gradients of the active kernel with those of float32."""
    heads = int(config.num_attention_heads)
    groups = int(getattr(config, "num_key_value_heads", None) or heads)
    size = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    chance = torch.Generator(device).manual_seed(0)
    query, key, value = (
        torch.randn(1, count, _BOUNDS[-1], size, device=device, generator=chance) for count in (heads, groups, groups)
    )
    gradient = torch.randn(1, _BOUNDS[-1], heads, size, device=device, generator=chance)
    exact, rounded = (_attended(dtype, query, key, value, gradient) for dtype in (torch.float32, torch.bfloat16))
    errors = [float((one - other).norm() / other.norm()) for one, other in zip(rounded, exact, strict=True)]
    return max(errors)


def _attended(
    dtype: torch.dtype, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, gradient: torch.Tensor
) -> list[torch.Tensor]:
    """Attend in a dtype and go back: the output and the three gradients, in float32."""
    query, key, value = (states.to(dtype).requires_grad_() for states in (query, key, value))
    bounds = torch.tensor(_BOUNDS, dtype=torch.int32, device=query.device)
    mixed, _ = document_attention(torch.nn.Identity(), query, key, value, None, cu_seqlens=bounds)
    gradients = torch.autograd.grad(mixed, (query, key, value), gradient.to(dtype))
    return [one.detach().float() for one in (mixed, *gradients)]
