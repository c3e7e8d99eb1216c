"""The model classes that the loop can train, and where their parts are.

A class is listed only after the tests have shown, on a tiny random model of it, that packed documents give the logits
of separate documents, that the chunked loss equals the model's own, and that every dropout has its place. Anything
else would train, with a falling loss, on something other than what the recipe says.
"""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Names of parts inside one decoder layer.

    Args:
        attention: The attention module.
        branches: Modules whose output is added to the residual stream; the last norm where a class has post-norms.
        down: The linear map out of the feed-forward block.
    """

    attention: str
    branches: tuple[str, str]
    down: str


_PRE_NORM = Architecture(attention="self_attn", branches=("self_attn", "mlp"), down="mlp.down_proj")
_POST_NORM = Architecture(
    attention="self_attn", branches=("post_attention_layernorm", "post_feedforward_layernorm"), down="mlp.down_proj"
)

ARCHITECTURES: dict[str, Architecture] = {
    "gemma": _PRE_NORM,
    "gemma3_text": _POST_NORM,
    "gpt_neox": Architecture(attention="attention", branches=("attention", "mlp"), down="mlp.dense_4h_to_h"),
    "llama": _PRE_NORM,
    "mistral": _PRE_NORM,
    "olmo2": _POST_NORM,
    "phi3": _PRE_NORM,
    "qwen2": _PRE_NORM,
    "qwen3": _PRE_NORM,
    "smollm3": _PRE_NORM,
}
"""By `model_type` of config.json."""

_NEUTRAL = {
    "attn_logit_softcapping": None,
    "final_logit_softcapping": None,
    "logit_scale": 1.0,
    "logits_scaling": 1.0,
}
"""Settings that change attention or the loss in ways the loop does not compute, with the value that changes nothing."""


def architecture_of(config: PreTrainedConfig) -> Architecture:
    """Find where a model's parts are.

    Raises:
        TrainingFailure: a class, or a setting of it, that the loop would train wrongly.
    """
    if config.model_type not in ARCHITECTURES:
        known = ", ".join(f"`{name}`" for name in ARCHITECTURES)
        raise _refusal("CPT601", f"a model of type `{config.model_type}` cannot be trained; known are {known}")
    if getattr(config, "quantization_config", None) is not None:
        raise _refusal("CPT602", "the base model is quantised; continued pretraining needs its full-precision weights")
    for name, neutral in _NEUTRAL.items():
        if (value := getattr(config, name, neutral)) not in (None, neutral):
            raise _refusal("CPT602", f"the base model sets `{name}: {value}`, which the loop does not compute")
    return ARCHITECTURES[config.model_type]


def refuse_stretching_positions(config: PreTrainedConfig, seq_len_tokens: int) -> None:
    """Check that a document's positions mean the same in every batch.

    Some rotary embeddings change all their frequencies when the longest document of a batch exceeds a length: documents
    would then change each other, and the micro-batch the result.

    Raises:
        TrainingFailure: rows have room for such a document.
    """
    settings = config.rope_parameters or {}
    for rope in (settings, *settings.values()):  # one for all layers, or one for each kind of layer
        kind = str(rope.get("rope_type")) if isinstance(rope, dict) else ""
        if "dynamic" not in kind and kind != "longrope":
            continue
        limit = rope["original_max_position_embeddings"] if kind == "longrope" else config.max_position_embeddings
        if seq_len_tokens > limit:
            message = (
                f"the base model's rotary embedding (`{kind}`) is another one in batches with a document of more than "
                f"{limit} tokens, and rows have {seq_len_tokens}"
            )
            raise _refusal("CPT602", message, hint=f"set `max_length` to {limit} or less, or choose another base model")


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Find the decoder layers of a supported model, first to last."""
    layers = model.base_model.layers
    assert isinstance(layers, nn.ModuleList), f"the layers of {type(model).__name__} are a {type(layers).__name__}"
    return layers


def _refusal(code: str, message: str, hint: str = "choose another base model") -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.USER, message=message, hint=hint))
