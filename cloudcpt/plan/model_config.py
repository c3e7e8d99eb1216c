"""config.json of a base model: one vocabulary for all families, and the settings that decide whether it can be trained.

The plan reads the file as it was published, the trainer what transformers made of it: both are mappings with the same
names, so both ask the same functions here and cannot disagree.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cloudcpt.plan.architectures import ARCHITECTURES, ATTENTION_CAP, LOGIT_CAP

Config = Mapping[str, Any]  # JSON of other people's making: every value is checked where it is used

_NAMES: dict[str, tuple[str, ...]] = {
    "num_hidden_layers": ("n_layer",),
    "hidden_size": ("n_embd", "n_embed"),
    "intermediate_size": ("n_inner",),
    "num_attention_heads": ("n_head",),
    "max_position_embeddings": ("n_positions", "seq_length"),
}
"""What other families, GPT-2 and BLOOM among them, call what most call by the first name."""

REQUIRED = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
"""Numbers without which neither memory nor time is known."""

_INNER_IS_4_HIDDEN = {"bloom", "gpt2"}
"""Families that do not write the width of the feed-forward block where it is four times that of the stream."""

_NEUTRAL: dict[str, object] = {
    "add_cross_attention": False,
    ATTENTION_CAP: None,
    LOGIT_CAP: None,
    "logit_scale": 1.0,
    "logits_scaling": 1.0,
    "slow_but_exact": False,
    "use_bidirectional_attention": False,
}
"""Settings that change attention or the loss in ways the loop does not compute, with the value that changes nothing."""


class PositionLimit(NamedTuple):
    """Longest row with which every document gets the positions that the model knows, and why, for messages."""

    tokens: int
    reason: str


def whole(config: Config, key: str) -> int:
    """Read a count by the name that most families give it; 0 when there is none, or nothing that counts."""
    for name in (key, *_NAMES.get(key, ())):
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    if key == "intermediate_size" and config.get("model_type") in _INNER_IS_4_HIDDEN:
        return 4 * whole(config, "hidden_size")
    return 0


def uncomputed_settings(config: Config) -> dict[str, object]:
    """List the settings with which the loop would train another model, with their values.

    Args:
        config: Of a class that can be trained.
    """
    computed = ARCHITECTURES[config["model_type"]].soft_caps
    found = {name: config.get(name) for name in _NEUTRAL if name not in computed}
    return {name: value for name, value in found.items() if value is not None and value != _NEUTRAL[name]}


def position_limit(config: Config) -> PositionLimit | None:
    """Find how long a row may be; None when positions go on for ever.

    A table of learned positions has an end. Some rotary embeddings change all their frequencies when the longest
    document of a batch exceeds a length: documents would then change each other, and the micro-batch the result.
    """
    limits = [*_table_end(config), *_stretching(config)]
    return min(limits, default=None)


def _table_end(config: Config) -> Iterator[PositionLimit]:
    if rows := position_rows(config):
        yield PositionLimit(rows, f"has learned positions for {rows} tokens and no others")


def position_rows(config: Config) -> int:
    """Count the rows of the table of learned positions; 0 when there is none."""
    known = ARCHITECTURES.get(config["model_type"])
    return whole(config, "max_position_embeddings") if known and known.positions == "learned" else 0


def _stretching(config: Config) -> Iterator[PositionLimit]:
    settings = config.get("rope_parameters") or config.get("rope_scaling")
    if not isinstance(settings, dict):
        return
    for rope in (settings, *settings.values()):  # one for all layers, or one for each kind of layer
        kind = str(rope.get("rope_type") or rope.get("type")) if isinstance(rope, dict) else ""
        if kind == "longrope":
            limit = whole(rope, "original_max_position_embeddings")
            limit = limit or whole(config, "original_max_position_embeddings")
        elif "dynamic" in kind:
            limit = whole(config, "max_position_embeddings")
        else:
            continue
        if limit:
            reason = (
                f"has a rotary embedding (`{kind}`) that is another one in batches with a document of more than "
                f"{limit} tokens"
            )
            yield PositionLimit(limit, reason)
