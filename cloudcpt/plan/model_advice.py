"""What a person should know about a base model before training it, for a plan and for `cloudcpt model check`."""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from cloudcpt.errors import Diagnostic, Place, error, note, warning
from cloudcpt.plan.architectures import ARCHITECTURES, ATTENTION_CAP
from cloudcpt.plan.base_model import BaseModel
from cloudcpt.plan.model_config import position_limit
from cloudcpt.plan.plan import Plan
from cloudcpt.plan.staged import read_staged
from cloudcpt.recipe.catalog import ModelRow
from cloudcpt.recipe.load import LoadedRecipe

_TUNED = re.compile(
    r"(?:^|[-_. ])(instruct|chat|sft|dpo|rlhf|orpo|alpaca|vicuna|zephyr|tulu|bloomz|mt0|it$)(?![a-z])", re.IGNORECASE
)
"""Words in the names of models that were tuned to follow instructions; `it` stands at the end only."""

_BASE = re.compile(r"(?:^|[-_. ])(base|pt|pretrained)(?![a-z])", re.IGNORECASE)

_START_OVER = "start from the base checkpoint of the family, and tune afterwards"


def row_length_findings(base: BaseModel, max_length: int, place: Place | None) -> Iterator[Diagnostic]:
    """Hold the length of rows against the positions that the model has, and against those that it was trained on."""
    limit = position_limit(base.config)
    if limit is not None and max_length > limit.tokens:
        message = f"`{base.folder.shown}` {limit.reason}, and `max_length` is {max_length}"
        yield error("CPT538", message, place=place, hint=f"set `max_length` to {limit.tokens} or less")
    elif 0 < base.context_tokens < max_length:
        message = f"`max_length: {max_length}` is longer than the {base.context_tokens} positions that the model knows"
        yield warning("CPT535", message, place=place, hint=f"set `max_length` to {base.context_tokens} or less")


def tokenizer_findings(shown: str, tokens: int, rows: int, place: Place | None) -> Iterator[Diagnostic]:
    """Hold the tokens that a tokenizer names against the rows of the embedding.

    Args:
        shown: How the user calls the model.
        tokens: Highest token id of the tokenizer plus one.
        rows: Of the embedding.
        place: Where the recipe names the model.
    """
    if tokens > rows:
        message = f"the tokenizer in `{shown}` names {tokens} tokens, the model's embedding has {rows} rows"
        hint = "the trainer refuses data with a token that has no row; take tokenizer and weights from the same model"
        yield warning("CPT536", message, place=place, hint=hint)


def tuning_findings(base: BaseModel, place: Place | None) -> Iterator[Diagnostic]:
    """Say when the model looks as if it had been tuned to follow instructions, which continued pretraining undoes."""
    staged = read_staged(base.folder)
    called = (base.folder.shown, base.config.get("_name_or_path") or "", staged.repo if staged else "")
    # The path of somebody's folder may stand there: only its last part names the model.
    names = [PurePosixPath(str(name)).name for name in called]
    if found := next((match for name in names if (match := _TUNED.search(name))), None):
        message = f"`{base.folder.shown}` seems tuned to follow instructions (`{found[1]}` in its name)"
        yield warning("CPT539", f"{message}; plain text undoes that", place=place, hint=_START_OVER)
    elif _has_chat_template(base) and not any(_BASE.search(name) for name in names):
        message = f"`{base.folder.shown}` has a chat template; if it was tuned, plain text undoes that"
        yield note("CPT539", message, place=place, hint=_START_OVER)


def tuned_row(row: ModelRow, place: Place | None) -> Diagnostic:
    """Say that a model of the catalog was tuned to follow instructions."""
    message = f"`{row.model_type}` was tuned to follow instructions; plain text undoes that"
    return warning("CPT539", message, place=place, hint=_START_OVER)


def attention_findings(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    """Say when attention takes the slow way on a GPU."""
    if plan.world.device != "cuda":
        return
    known = ARCHITECTURES.get(plan.model.architecture)
    if known is not None and ATTENTION_CAP in known.soft_caps:
        message = f"models of type `{plan.model.architecture}` cap attention scores, which no fused kernel does"
        place = loaded.place("run", "model_name_or_path")
        yield warning("CPT543", message, place=place, hint="expect longer steps than the plan estimates")
    if plan.dropouts.attention:
        message = "`attention_dropout` keeps attention from its fused kernel"
        place = loaded.place("training_config", "model", "attention_dropout")
        yield warning("CPT543", message, place=place, hint="`hidden_dropout` and `ffn_dropout` cost little")


def _has_chat_template(base: BaseModel) -> bool:
    folder, name = base.folder, "tokenizer_config.json"
    if "chat_template.jinja" in folder.names or "chat_template.json" in folder.names:
        return True
    if name not in folder.names:
        return False
    try:
        # Any: JSON of other people's making
        settings: Any = json.loads(folder.read(name, 0, folder.size_bytes(name)))
    except (ValueError, RecursionError):
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))
