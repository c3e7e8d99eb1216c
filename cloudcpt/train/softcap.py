"""Soft-capped logits, as Gemma 2 has them: `cap * tanh(logit / cap)`. Of attention scores, `blocks` does the same."""

import torch
from transformers import PreTrainedConfig

from cloudcpt.plan.architectures import ARCHITECTURES, LOGIT_CAP


def logit_cap(config: PreTrainedConfig) -> float | None:
    """Read the cap of the logits, of a class that computes one; None for any other."""
    if LOGIT_CAP not in ARCHITECTURES[config.model_type].soft_caps:
        return None
    cap: float | None = getattr(config, LOGIT_CAP)
    return cap


def soft_capped(numbers: torch.Tensor, cap: float | None) -> torch.Tensor:
    """Keep numbers between `-cap` and `cap`, smoothly; None leaves them as they are."""
    return numbers if cap is None else cap * torch.tanh(numbers / cap)
