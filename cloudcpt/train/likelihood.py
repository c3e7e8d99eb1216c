"""From hidden states to the sum of token losses, chunk by chunk, with the gradients taken on the way.

    N positions, n of one chunk, H hidden size, V vocabulary

At N = 8192 and V = 128,256 the float32 logits of one row are 4.2 GB. Here the logits of a chunk exist, in the dtype of
the model, and float32 numbers of a slice of it. A chunk's gradient is taken while its logits are there, in the forward
pass: the derivative of a sum is known before anything that comes after it. So logits are computed once, neither kept
nor computed again, and the backward pass only scales what is ready. What the output embedding gets from each chunk is
added up in float32.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from cloudcpt.train.batches import IGNORE
from cloudcpt.train.softcap import soft_capped

_SLICE_LOGITS = {"cpu": 2**20, "cuda": 2**26}
"""Logits that are float32 at one time: 4 MiB stay in a cache, 256 MiB keep a GPU busy."""


Judge = Callable[[torch.Tensor, torch.Tensor, float | None], tuple[torch.Tensor, torch.Tensor]]
"""`losses_and_gradient`, or what a compiler has made of it."""


def summed_losses(
    head: nn.Module, hidden: torch.Tensor, labels: torch.Tensor, *, cap: float | None, chunk_tokens: int, judge: Judge
) -> torch.Tensor:
    """Sum the negative log-likelihood of the labels: [N, H], [N] to [] float32.

    Args:
        head: The output embedding, whatever it consists of.
        hidden: What it predicts from.
        labels: IGNORE where nothing is predicted.
        cap: Of the logits; None leaves them.
        chunk_tokens: Positions whose logits exist at one time.
        judge: Takes the losses of a chunk and their gradient.
    """
    if torch.is_grad_enabled():
        learning = [parameter for parameter in head.parameters() if parameter.requires_grad]
        total: torch.Tensor = _Differentiated.apply(  # type: ignore[no-untyped-call]
            head, hidden, labels, cap, chunk_tokens, judge, *learning
        )
        return total
    chunks = zip(torch.split(hidden, chunk_tokens), torch.split(labels, chunk_tokens), strict=True)
    losses = [
        F.cross_entropy(logits_of(head, some, cap=cap), theirs, ignore_index=IGNORE, reduction="sum")
        for some, theirs in chunks
    ]
    return torch.stack(losses).sum()


def logits_of(head: nn.Module, hidden: torch.Tensor, *, cap: float | None) -> torch.Tensor:
    """Predict the next token: [n, H] to [n, V] float32."""
    # float32 before the softmax: a bfloat16 loss has two digits.
    return soft_capped(head(hidden).float(), cap)


class _Differentiated(torch.autograd.Function):
    """The sum of losses over chunks, which comes with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,  # Any: torch gives the context no type
        head: nn.Module,
        hidden: torch.Tensor,
        labels: torch.Tensor,
        cap: float | None,
        chunk_tokens: int,
        judge: Judge,
        *learning: nn.Parameter,
    ) -> torch.Tensor:
        total = torch.zeros((), device=hidden.device)
        of_hidden = torch.empty_like(hidden)
        of_learning = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in learning]
        for start in range(0, len(hidden), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            some = hidden[chunk].detach().requires_grad_()
            with torch.enable_grad():
                logits = head(some)
            loss, of_logits = judge(logits.detach(), labels[chunk], cap)
            total += loss
            of_hidden[chunk], *rest = torch.autograd.grad(logits, (some, *learning), of_logits)
            for summed, one in zip(of_learning, rest, strict=True):
                summed += one
        of_learning = [summed.to(one.dtype) for summed, one in zip(of_learning, learning, strict=True)]
        ctx.save_for_backward(of_hidden, *of_learning)
        return total

    @staticmethod
    def backward(ctx: Any, scale: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # Any: see above
        of_hidden, *of_learning = (scale * one for one in ctx.saved_tensors)
        return None, of_hidden, None, None, None, None, *of_learning


def losses_and_gradient(
    logits: torch.Tensor, labels: torch.Tensor, cap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum the token losses of one chunk and take their gradient by the logits.

    The gradient is the softmax, less one at the label, times the slope of a cap; without a label it is zero.

    Args:
        logits: [n, V], without their cap.
        labels: [n] int64.
        cap: Of the logits; None leaves them.

    Returns:
        The sum, [] float32, and the gradient, [n, V] in the dtype of the logits.
    """
    total = torch.zeros((), device=logits.device)
    gradient = torch.empty_like(logits)
    slices = -(-logits.numel() // _SLICE_LOGITS[logits.device.type])
    for some, theirs, result in zip(*(whole.chunk(slices) for whole in (logits, labels, gradient)), strict=True):
        capped = soft_capped(some.float(), cap)
        likelihoods = torch.log_softmax(capped, dim=-1)
        total += F.nll_loss(likelihoods, theirs, ignore_index=IGNORE, reduction="sum")
        has_label = (theirs != IGNORE)[:, None]
        of_some = likelihoods.exp_()
        if torch.compiler.is_compiling():
            # One pass with everything around it, where writing to single places would be a pass of its own.
            of_some = of_some - (torch.arange(logits.shape[1], device=logits.device) == theirs[:, None]).float()
        else:
            of_some.scatter_add_(-1, theirs[:, None].clamp(min=0), -has_label.float())
        of_some *= has_label
        result.copy_(of_some if cap is None else of_some * (1 - (capped / cap) ** 2))
    return total, gradient
