"""The loss: a sum of token losses in float32, made chunk by chunk so that the logits of a whole batch never exist.

    B rows, T positions, N = B*T positions flattened, H hidden size, V vocabulary

The sum is divided exactly once, by the step, by the number of labelled tokens over all ranks: means of means would
weigh a token by how much padding its row has. Model and loss are one module because sharded weights are whole only
inside the root module's forward, and the loss reads the output embedding.

At T = 8192 and V = 128,256 the float32 logits of one row are 4.2 GB, of one chunk 0.5 GB. Where there is more than one
chunk, logits are computed again in the backward pass instead of kept: one extra product with the output embedding.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from cloudcpt.plan.memory import LOSS_CHUNK_TOKENS
from cloudcpt.train.batches import IGNORE, Batch

_CHEAP_LOGITS = 2**24
"""Float32 logits that need no thought, 64 MiB: with a small vocabulary a chunk may hold more positions."""


def chunk_tokens(vocab_size: int) -> int:
    """Choose how many positions have logits at one time; at least what the plan's memory estimate counts on."""
    return max(LOSS_CHUNK_TOKENS, _CHEAP_LOGITS // vocab_size)


def model_inputs(batch: Batch, device: torch.device) -> dict[str, Any]:
    """Move a micro-batch to the device, as the arguments of `CausalLoss`."""
    return {
        "tokens": batch.tokens.to(device),
        "positions": batch.positions.to(device),
        "cu_seqlens": batch.cu_seqlens.to(device),
        "segment_lengths": tuple(batch.cu_seqlens.diff().tolist()),
        "labels": batch.labels.to(device),
    }


class CausalLoss(nn.Module):
    """A causal language model that returns its loss.

    Args:
        model: Any supported class; its own loss and its cache are not used.
        chunk_tokens: Positions whose logits exist at one time.
    """

    def __init__(self, model: PreTrainedModel, *, chunk_tokens: int) -> None:
        super().__init__()
        self.model = model
        self.chunk_tokens = chunk_tokens

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        cu_seqlens: torch.Tensor,
        segment_lengths: Sequence[int],
        labels: torch.Tensor | None,
    ) -> torch.Tensor:
        """Sum the negative log-likelihood of the labels; without labels, predict the token after the last position.

        Args:
            tokens: [B, T] int64.
            positions: [B, T] int64, from 0 in each piece.
            cu_seqlens: [S+1] int32, boundaries over the flattened positions.
            segment_lengths: The same boundaries as S lengths.
            labels: [B, T] int64 with IGNORE where nothing is predicted.

        Returns:
            The sum in nats, [] float32; or logits [B, V] float32.
        """
        # With a cache, or any mask, transformers would let documents see each other.
        hidden = self.model.base_model(
            input_ids=tokens,
            position_ids=positions,
            attention_mask=None,
            use_cache=False,
            cu_seqlens=cu_seqlens,
            segment_lengths=segment_lengths,
        ).last_hidden_state
        head: nn.Module = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if labels is None:
            logits: torch.Tensor = head(hidden[:, -1]).float()
            return logits
        return _chunked(head, hidden.flatten(0, 1), labels.flatten(), self.chunk_tokens)


def _chunked(head: nn.Module, hidden: torch.Tensor, labels: torch.Tensor, chunk_tokens: int) -> torch.Tensor:
    """Sum the loss over chunks of positions: [N, H], [N] to [] float32."""
    chunks = list(zip(torch.split(hidden, chunk_tokens), torch.split(labels, chunk_tokens), strict=True))
    if len(chunks) == 1 or not torch.is_grad_enabled():
        losses = [_token_losses(head, *chunk) for chunk in chunks]
    else:
        losses = [checkpoint(_token_losses, head, *chunk, use_reentrant=False) for chunk in chunks]
    return torch.stack(losses).sum()


def _token_losses(head: nn.Module, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # float32 before the softmax: a bfloat16 loss has two digits.
    return F.cross_entropy(head(hidden).float(), labels, ignore_index=IGNORE, reduction="sum")
