"""The model classes that the loop can train, and where their parts are.

A class is listed only after the tests have shown, on a tiny random model of it, that packed documents give the logits
of separate documents, that the chunked loss equals the model's own, that every weight learns, and that every dropout
has its place. Anything else would train, with a falling loss, on something other than what the recipe says.
"""

from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from cloudcpt.errors import Blame
from cloudcpt.plan.model_config import position_limit, uncomputed_settings
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Names of parts: two inside the base model, the others inside one decoder layer.

    Args:
        layers: The list of decoder layers.
        embedding: The module whose output enters the first layer.
        attention: The attention module.
        attention_dropout: Its dropout on the probabilities: a number, or an `nn.Dropout`.
        branches: Modules whose output is added to the residual stream; the last norm where a class has post-norms.
        down: The linear map out of the feed-forward block.
    """

    layers: str = "layers"
    embedding: str = "embed_tokens"
    attention: str = "self_attn"
    attention_dropout: str = "attention_dropout"
    branches: tuple[str, str] = ("self_attn", "mlp")
    down: str = "mlp.down_proj"


_PRE_NORM = Architecture()
_POST_NORM = Architecture(branches=("post_attention_layernorm", "post_feedforward_layernorm"))

ARCHITECTURES: dict[str, Architecture] = {
    "bloom": Architecture(
        layers="h",
        embedding="word_embeddings_layernorm",
        attention="self_attention",
        # Attention and feed-forward block add to the stream themselves; their last maps do not.
        branches=("self_attention.dense", "mlp.dense_4h_to_h"),
        down="mlp.dense_4h_to_h",
    ),
    "gemma": _PRE_NORM,
    "gemma2": _POST_NORM,
    "gemma3_text": _POST_NORM,
    "gpt2": Architecture(
        layers="h",
        embedding="drop",  # behind the sum of both embeddings
        attention="attn",
        attention_dropout="attn_dropout",
        branches=("attn", "mlp"),
        down="mlp.c_proj",
    ),
    "gpt_neox": Architecture(
        embedding="embed_in", attention="attention", branches=("attention", "mlp"), down="mlp.dense_4h_to_h"
    ),
    "llama": _PRE_NORM,
    "mistral": _PRE_NORM,
    "olmo2": _POST_NORM,
    "phi3": _PRE_NORM,
    "qwen2": _PRE_NORM,
    "qwen3": _PRE_NORM,
    "smollm3": _PRE_NORM,
}
"""By `model_type` of config.json."""


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
    if settings := uncomputed_settings(config.to_dict()):
        shown = ", ".join(f"`{name}: {value}`" for name, value in settings.items())
        raise _refusal("CPT602", f"the base model sets {shown}, which the loop does not compute")
    return ARCHITECTURES[config.model_type]


def refuse_long_rows(config: PreTrainedConfig, seq_len_tokens: int) -> None:
    """Check that the model has a position for every token of a row, and the same one in every batch.

    Raises:
        TrainingFailure: rows have room for a document that is too long for that.
    """
    limit = position_limit(config.to_dict())
    if limit is not None and seq_len_tokens > limit.tokens:
        hint = f"set `max_length` to {limit.tokens} or less, or choose another base model"
        raise _refusal("CPT602", f"the base model {limit.reason}, and rows have {seq_len_tokens}", hint=hint)


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """Find the decoder layers of a supported model, first to last."""
    layers = model.base_model.get_submodule(ARCHITECTURES[model.config.model_type].layers)
    assert isinstance(layers, nn.ModuleList), f"the layers of {type(model).__name__} are a {type(layers).__name__}"
    return layers


def _refusal(code: str, message: str, hint: str = "choose another base model") -> TrainingFailure:
    return TrainingFailure(Failure(code=code, blame=Blame.USER, message=message, hint=hint))
