"""The classes of model that can be trained, as far as a plan has to know them: shapes, memory, positions.

`cloudcpt.train.architectures` knows the same classes from inside; a test keeps the two lists equal.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

ATTENTION_CAP, LOGIT_CAP = "attn_logit_softcapping", "final_logit_softcapping"
"""Settings of config.json with which scores or logits go through `cap * tanh(x / cap)`."""

Width = Literal["hidden", "query", "kv", "inner"]
"""A width that config.json gives: residual stream, all query heads, all key (or value) heads, feed-forward block."""


class Linear(NamedTuple):
    """A linear map of a decoder layer: its name, its input width, and the widths that its output is made of."""

    name: str
    inputs: Width
    outputs: tuple[Width, ...]


class SavedBytes(NamedTuple):
    """What one layer keeps of one position for the backward pass, in bf16: bytes for each unit of three widths.

    `query_and_kv` counts the width of the queries plus that of the keys.
    """

    hidden: int
    query_and_kv: int
    inner: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What all models of one `model_type` have in common.

    Args:
        linears: Linear maps of one layer, by the names that LoRA uses; one name may stand for two of them.
        saved_bytes: Source: saved tensors counted with `torch.autograd.graph.saved_tensors_hooks` for the layers of
            transformers 5.23 with our attention on the CPU, torch 2.13, November 2026.
        compiled_bytes: The same of a compiled layer, which fuses what it would otherwise keep. Source: bytes that
            malloc had handed out after the forward pass of three layers, less those of one, with
            `scaled_dot_product_attention`, same versions; assumed equal to `saved_bytes` for `bloom` and `gpt2` and to
            `gemma3_text` for `gemma2`.
        positions: How the model knows the order of tokens; `learned` is a table with an end.
        soft_caps: Which of the two caps the class in transformers computes.
    """

    linears: tuple[Linear, ...]
    saved_bytes: SavedBytes
    compiled_bytes: SavedBytes
    positions: Literal["rotary", "alibi", "learned"] = "rotary"
    soft_caps: frozenset[str] = frozenset()


_OUT = Linear("o_proj", "query", ("hidden",))
_DOWN = Linear("down_proj", "inner", ("hidden",))
_GATED = (
    Linear("q_proj", "hidden", ("query",)),
    Linear("k_proj", "hidden", ("kv",)),
    Linear("v_proj", "hidden", ("kv",)),
    _OUT,
    Linear("gate_proj", "hidden", ("inner",)),
    Linear("up_proj", "hidden", ("inner",)),
    _DOWN,
)
_GATED_AND_FUSED = (
    Linear("qkv_proj", "hidden", ("query", "kv", "kv")),
    _OUT,
    Linear("gate_up_proj", "hidden", ("inner", "inner")),
    _DOWN,
)
_UNGATED = (
    Linear("query_key_value", "hidden", ("query", "kv", "kv")),
    Linear("dense", "query", ("hidden",)),
    Linear("dense_h_to_4h", "hidden", ("inner",)),
    Linear("dense_4h_to_h", "inner", ("hidden",)),
)
_GPT2 = (
    Linear("c_attn", "hidden", ("query", "kv", "kv")),
    Linear("c_proj", "query", ("hidden",)),
    Linear("c_fc", "hidden", ("inner",)),
    Linear("c_proj", "inner", ("hidden",)),
)

_LLAMA = Architecture(linears=_GATED, saved_bytes=SavedBytes(17, 5, 8), compiled_bytes=SavedBytes(8, 4, 6))

ARCHITECTURES: dict[str, Architecture] = {
    "bloom": Architecture(
        linears=_UNGATED,
        saved_bytes=SavedBytes(17, 2, 4),
        compiled_bytes=SavedBytes(17, 2, 4),
        positions="alibi",
    ),
    "gemma": Architecture(linears=_GATED, saved_bytes=SavedBytes(21, 5, 8), compiled_bytes=SavedBytes(8, 4, 6)),
    "gemma2": Architecture(
        linears=_GATED,
        saved_bytes=SavedBytes(37, 4, 8),
        compiled_bytes=SavedBytes(10, 6, 6),
        soft_caps=frozenset({ATTENTION_CAP, LOGIT_CAP}),
    ),
    "gemma3_text": Architecture(
        linears=_GATED,
        saved_bytes=SavedBytes(37, 13, 8),
        compiled_bytes=SavedBytes(10, 6, 6),
        soft_caps=frozenset({LOGIT_CAP}),
    ),
    "gpt2": Architecture(
        linears=_GPT2,
        saved_bytes=SavedBytes(15, 2, 10),
        compiled_bytes=SavedBytes(15, 2, 10),
        positions="learned",
    ),
    "gpt_neox": Architecture(linears=_UNGATED, saved_bytes=SavedBytes(17, 2, 4), compiled_bytes=SavedBytes(17, 2, 4)),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "olmo2": Architecture(linears=_GATED, saved_bytes=SavedBytes(23, 12, 8), compiled_bytes=SavedBytes(8, 6, 6)),
    "phi3": Architecture(
        linears=_GATED_AND_FUSED, saved_bytes=SavedBytes(21, 5, 8), compiled_bytes=SavedBytes(8, 6, 6)
    ),
    "qwen2": _LLAMA,
    "qwen3": Architecture(linears=_GATED, saved_bytes=SavedBytes(17, 11, 8), compiled_bytes=SavedBytes(8, 6, 6)),
    "smollm3": _LLAMA,
}
"""By `model_type` of config.json."""

TRAINABLE_ARCHITECTURES = tuple(ARCHITECTURES)
"""In alphabetical order, for messages."""
