"""How many floating-point operations the model needs for what a step trains: the numerator of MFU, in two conventions.

    N parameters that a token is multiplied with, L layers, H query heads of size Q, T positions of a row

    full        6 N + 12 L H Q T  per token: every position attends to a whole row, forward and backward
    document    6 N per token + 12 H Q p  per layer and piece of a document, p the pairs of positions that attend:
                half the square of the piece's length, less where a sliding window cuts it

N is all parameters except embeddings that are only looked up; a tied embedding counts, as the output layer it is.
A frozen parameter counts 4 instead of 6: it needs no gradient of its own. Recomputed activations do not count in
either: MFU is about what the model needs, not what the machine does. Padding does not count.

For one document per row, `document` is 6 N + 6 L H Q T, the causal convention of Megatron-LM; with documents shorter
than the row, `full` credits work that nobody does, and only `document` can be compared between corpora.

Source: PaLM, arXiv 2204.02311 appendix B, with N as in pytorch/torchtitan `get_nparams_and_flops`; halved attention as
in NVIDIA/Megatron-LM `num_floating_point_operations`; squares of lengths as in VeOmni's FLOPs counter. All of 2026.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from cloudcpt.train.quantise import QuantisedLinear


@dataclass(frozen=True, kw_only=True)
class ModelFlops:
    """What one model costs.

    Args:
        learning: Parameters that a token is multiplied with and that learn.
        frozen: Those that do not.
        attention_width: H times Q, of one layer.
        windows: Layers by their sliding window in positions; None for layers that see all of a document.
    """

    learning: int
    frozen: int
    attention_width: int
    windows: Mapping[int | None, int]

    def full(self, tokens: int, seq_len: int) -> int:
        """Count a step in the convention `full`.

        Args:
            tokens: Trained, padding not counted.
            seq_len: Positions of a row.
        """
        attention = 12 * sum(self.windows.values()) * self.attention_width * seq_len
        return tokens * (6 * self.learning + 4 * self.frozen + attention)

    def document(self, piece_lengths: npt.NDArray[np.int64]) -> float:
        """Count a step in the convention `document`.

        Args:
            piece_lengths: [P] tokens of each piece of a document.
        """
        tokens = int(piece_lengths.sum())
        pairs = sum(layers * _pairs(piece_lengths, window) for window, layers in self.windows.items())
        return tokens * (6 * self.learning + 4 * self.frozen) + 12 * self.attention_width * pairs


def _pairs(lengths: npt.NDArray[np.int64], window: int | None) -> float:
    """Count the pairs of positions that attend, as half the square: the diagonal counts half."""
    seen = lengths if window is None else np.minimum(lengths, window)
    return float((seen * (lengths - seen / 2)).sum())


def count_flops(model: PreTrainedModel) -> ModelFlops:
    """Look at a model, adapters included, whole or sharded."""
    counted: Counter[bool] = Counter()
    head = model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
    seen = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            is_looked_up = isinstance(module, nn.Embedding) and parameter is not head
            if not is_looked_up and parameter not in seen:
                seen.add(parameter)
                counted[parameter.requires_grad] += _elements(module, name, parameter)
    config = model.config
    return ModelFlops(
        learning=counted[True],
        frozen=counted[False],
        attention_width=_attention_width(config),
        windows=_windows(config),
    )


def _elements(module: nn.Module, name: str, parameter: nn.Parameter) -> int:
    """Count the numbers of a parameter; a quantised weight is bytes, several numbers in one or one in several."""
    if isinstance(module, QuantisedLinear) and name == "weight":
        return module.in_features * module.out_features
    return parameter.numel()


def _attention_width(config: PreTrainedConfig) -> int:
    heads = int(config.num_attention_heads)
    return heads * int(getattr(config, "head_dim", None) or config.hidden_size // heads)


def _windows(config: PreTrainedConfig) -> Counter[int | None]:
    """Count the layers of each sliding window."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"] * int(config.num_hidden_layers)
    return Counter(window if kind == "sliding_attention" else None for kind in kinds)
