"""Held-out measurement: mean negative log-likelihood per token, over all ranks, dropout off.

Token-weighted: the sum over all tokens is divided once, so the result does not depend on how rows fall on ranks.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from cloudcpt.errors import Blame
from cloudcpt.train.batches import Batch
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.loss import CausalLoss, model_inputs
from cloudcpt.train.work import bits_per_byte
from cloudcpt.train.world import World
from cloudcpt.wire import Failure, perplexity_of


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """What a model makes of text that it was not trained on.

    Args:
        loss: Mean negative log-likelihood per token, in nats.
        perplexity: exp(loss).
        bits_per_byte: Loss per UTF-8 byte of the text, in bits; does not depend on the tokenizer.
        tokens: Tokens predicted.
    """

    loss: float
    perplexity: float
    bits_per_byte: float
    tokens: int


def evaluate(
    model: CausalLoss, name: str, batches: Iterable[Batch], world: World, pause: Callable[[], None]
) -> HeldOut:
    """Measure one held-out set.

    Args:
        model: The sharded model; comes back in training mode.
        name: Of the set, for messages.
        batches: This rank's share. Every rank has the same number of batches, empty ones where it has fewer rows,
            because sharded weights are gathered by all ranks together.
        world: All ranks.
        pause: Called between batches; raises when the job is to stop.

    Raises:
        TrainingFailure: the set holds no token to predict, or the loss is not finite.
    """
    model.eval()
    total, labels, tokens, text_bytes = torch.zeros((), dtype=torch.float64), 0, 0, 0.0
    with torch.no_grad():
        for batch in batches:
            pause()
            total += model(**model_inputs(batch, world.device)).cpu()
            labels += batch.num_labels
            tokens += batch.num_tokens
            text_bytes += batch.text_bytes
    model.train()
    loss_sum, all_labels, all_tokens, all_bytes = world.sum(float(total), labels, tokens, text_bytes)
    if all_labels == 0:
        raise _failure(
            "CPT608", f"the held-out set `{name}` has no token to predict", "give it documents of two tokens or more"
        )
    loss = loss_sum / all_labels
    if not math.isfinite(loss):
        raise _failure("CPT609", f"the loss on the held-out set `{name}` is `{loss}`", "check the base model's weights")
    return HeldOut(
        loss=loss,
        perplexity=perplexity_of(loss),
        bits_per_byte=bits_per_byte(loss, tokens=all_tokens, text_bytes=all_bytes),
        tokens=int(all_labels),
    )


def _failure(code: str, message: str, hint: str) -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.USER, message=message, hint=hint))
