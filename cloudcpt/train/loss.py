"""The loss: a sum of token losses in float32, made chunk by chunk so that the logits of a whole batch never exist.

    B rows, T positions, V vocabulary

The sum is divided exactly once, by the step, by the number of labelled tokens over all ranks: means of means would
weigh a token by how much padding its row has. Model and loss are one module because sharded weights are whole only
inside the root module's forward, and the loss reads the output embedding.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from cloudcpt.plan.memory import LOSS_CHUNK_TOKENS
from cloudcpt.train.batches import Batch
from cloudcpt.train.kernels import has_newer_kernel
from cloudcpt.train.likelihood import Judge, logits_of, losses_and_gradient, summed_losses
from cloudcpt.train.softcap import logit_cap

_CHEAP_LOGITS = 2**24
"""Logits that need no thought, 32 MiB or 64: with a small vocabulary a chunk may hold more positions."""


def chunk_tokens(vocab_size: int) -> int:
    """Choose how many positions have logits at one time; at least what the plan's memory estimate counts on."""
    return max(LOSS_CHUNK_TOKENS, _CHEAP_LOGITS // vocab_size)


def model_inputs(batch: Batch, device: torch.device) -> dict[str, Any]:
    """Move a micro-batch to the device, as the arguments of `CausalLoss`."""
    return {
        "tokens": batch.tokens.to(device),
        "positions": batch.positions.to(device),
        "cu_seqlens": batch.cu_seqlens.to(device),
        "labels": batch.labels.to(device),
        "is_whole": batch.is_whole and not has_newer_kernel(),
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
        self.logit_cap = logit_cap(model.config)
        self.judge: Judge = losses_and_gradient

    def forward(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        cu_seqlens: torch.Tensor,
        labels: torch.Tensor | None,
        *,
        is_whole: bool = False,
    ) -> torch.Tensor:
        """Sum the negative log-likelihood of the labels; without labels, predict the token after the last position.

        Args:
            tokens: [B, T] int64.
            positions: [B, T] int64, from 0 in each piece.
            cu_seqlens: [S+1] int32, boundaries over the flattened positions.
            labels: [B, T] int64 with IGNORE where nothing is predicted.
            is_whole: Every row is one piece, and a kernel for whole rows is better.

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
            is_whole=is_whole,
        ).last_hidden_state
        head: nn.Module = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        if labels is None:
            return logits_of(head, hidden[:, -1], cap=self.logit_cap)
        return summed_losses(
            head,
            hidden.flatten(0, 1),
            labels.flatten(),
            cap=self.logit_cap,
            chunk_tokens=self.chunk_tokens,
            judge=self.judge,
        )
