"""What one step goes through, over all ranks: counts of the data, and the operations that the model needs for it."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

from cloudcpt.train.batches import Batch
from cloudcpt.train.flops import ModelFlops
from cloudcpt.train.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """The work of one step.

    Args:
        labels: Positions with a next token, by which the sum of losses is divided.
        tokens: Of documents, padding not counted.
        text_bytes: UTF-8 bytes of the text, estimated from its tokens.
        flops_full: Operations in the convention `full` of `cloudcpt.train.flops`.
        flops_document: Operations in the convention `document`.
    """

    labels: float
    tokens: float
    text_bytes: float
    flops_full: float
    flops_document: float


def work_of(batches: Sequence[Batch], flops: ModelFlops, world: World) -> Work:
    """Add up the work of all ranks; every rank calls this with its own micro-batches of the step."""
    mine = Work(
        labels=sum(batch.num_labels for batch in batches),
        tokens=sum(batch.num_tokens for batch in batches),
        text_bytes=sum(batch.text_bytes for batch in batches),
        flops_full=sum(flops.full(batch.num_tokens, batch.tokens.shape[1]) for batch in batches),
        flops_document=sum(flops.document(batch.piece_lengths) for batch in batches),
    )
    labels, tokens, text_bytes, flops_full, flops_document = world.sum(*astuple(mine))
    return Work(
        labels=labels, tokens=tokens, text_bytes=text_bytes, flops_full=flops_full, flops_document=flops_document
    )


def bits_per_byte(loss: float, *, tokens: float, text_bytes: float) -> float:
    """Turn a mean loss per token into bits per byte of the text.

    The first token of a piece is trained on but not predicted; it counts as if it cost the mean. So the number is
    the same whether a text is measured in short rows or long ones, up to what the model makes of the context.

    Args:
        loss: Mean over the predicted tokens, in nats.
        tokens: Of the text, boundary tokens included.
        text_bytes: UTF-8 bytes of the same text.
    """
    return loss * tokens / (text_bytes * math.log(2))
