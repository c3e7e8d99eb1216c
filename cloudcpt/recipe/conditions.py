"""What sections of a recipe ask of each other, as far as a JSON Schema can say it.

Each condition is written twice, side by side: as a function that names the fault and the places that matter, and as
the fragment of the published schema that gives the same verdict. A test holds the two together over many recipes.
What depends on the model is in `families.py`, what the cloud asks in `launch.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cloudcpt.recipe.families import FAMILY_SCHEMA, family_faults
from cloudcpt.recipe.faults import Fault, KeyPath, dotted
from cloudcpt.recipe.fragments import ABSENT, Schema, at, one_of
from cloudcpt.recipe.launch import LAUNCH_SCHEMA, launch_faults
from cloudcpt.recipe.values import OPTIM_BESIDE, OPTIM_INSIDE, TRAINER, TRAINING, Values


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One condition: what it finds, and how the schema says it, from the top of a recipe."""

    faults: Callable[[Values], Iterator[Fault]]
    schema: tuple[Schema, ...]


def condition_faults(data: object) -> list[Fault]:
    """Check every condition on plain recipe data, good or bad."""
    values = Values(data)
    return [fault for condition in CONDITIONS for fault in condition.faults(values)]


def _either(values: Values, parent: KeyPath, first: str, second: str, code: str) -> Iterator[Fault]:
    """Find both or none of two keys that say the same thing in two ways."""
    has_first, has_second = values.has(*parent, first), values.has(*parent, second)
    section = dotted(parent)
    if has_first and has_second:
        yield Fault(
            code=code,
            message=f"`{section}` has both `{first}` and `{second}`, it takes one of them",
            loc=(*parent, second),
            on="key",
            related=(((*parent, first), f"`{first}` set here"),),
        )
    elif not has_first and not has_second and values.is_section(*parent):
        yield Fault(code=code, message=f"`{section}` needs `{first}` or `{second}`", loc=parent, on="key")


def _length(values: Values) -> Iterator[Fault]:
    generation = values.row.generation if values.row is not None else 0
    hint = {1: "Nova 1 recipes write `max_epochs`", 2: "Nova 2 recipes write `max_steps`"}.get(generation)
    for fault in _either(values, TRAINER, "max_steps", "max_epochs", "CPT209"):
        yield replace(fault, hint=hint)


def _warmup(values: Values) -> Iterator[Fault]:
    for optim in values.optims:
        if values.row is None or values.row.family == "open":
            yield from _either(values, (*optim, "sched"), "warmup_steps", "warmup_ratio", "CPT208")


def _optim_once(values: Values) -> Iterator[Fault]:
    if len(values.optims) == 2:
        yield Fault(
            code="CPT206",
            message="`optim` is given twice, under `training_config` and under `training_config.model`",
            loc=OPTIM_BESIDE,
            on="key",
            related=((OPTIM_INSIDE, "the other `optim`"),),
            hint="keep one of them",
        )
    elif not values.optims and values.is_section(*TRAINING):
        yield Fault(
            code="CPT206",
            message=f"the recipe has no `optim`, it belongs under `{dotted(values.optim[:-1])}`",
            loc=TRAINING,
            on="key",
        )


def _betas_once(values: Values) -> Iterator[Fault]:
    for optim in values.optims:
        for key in ("adam_beta1", "adam_beta2"):
            if values.has(*optim, "betas") and values.has(*optim, key):
                yield Fault(
                    code="CPT207",
                    message=f"`{key}` and `betas` say the same thing, keep one of them",
                    loc=(*optim, key),
                    on="key",
                    related=(((*optim, "betas"), "`betas` set here"),),
                )


_LORA_ONLY = {
    "bits": "weights of 4 or 8 bits cannot be trained themselves",
    "embedding_lr": "otherwise all weights learn at `lr`",
}


def _lora_only(values: Values) -> Iterator[Fault]:
    peft = (*TRAINING, "peft")
    if values.text(*peft, "method") == "lora":
        return
    for key, reason in _LORA_ONLY.items():
        if values.has(*peft, key):
            yield Fault(
                code="CPT211",
                message=f"`{key}` needs `method: lora`, {reason}",
                loc=(*peft, key),
                on="key",
                related=(((*peft, "method"), "method set here"),) if values.has(*peft, "method") else (),
            )


def _weights(values: Values) -> Iterator[Fault]:
    is_weighted = values.text("data_mixing", "mode") == "weights"
    mode = ((("data_mixing", "mode"), "mode set here"),) if values.has("data_mixing", "mode") else ()
    for index in range(values.length("data_mixing", "sources")):
        source = ("data_mixing", "sources", index)
        if not values.is_section(*source):
            continue
        if is_weighted and not values.has(*source, "weight"):
            message = "`mode: weights` needs a `weight` for every source"
            yield Fault(code="CPT212", message=message, loc=source, related=mode)
        elif not is_weighted and values.has(*source, "weight"):
            message = "`weight` has no effect with `mode: auto`, which weighs sources by their size"
            hint = "write `mode: weights`, or remove the weight"
            yield Fault(code="CPT212", message=message, loc=(*source, "weight"), on="key", related=mode, hint=hint)


_OPTIM_ONCE: Schema = {
    "oneOf": [{"required": ["optim"]}, {"required": ["model"], "properties": {"model": {"required": ["optim"]}}}]
}
_BETAS_ONCE: Schema = {
    "if": {"required": ["betas"]},
    "then": {"properties": {"adam_beta1": ABSENT, "adam_beta2": ABSENT}},
}
_LORA_ONLY_SCHEMA: Schema = {
    "if": {"anyOf": [{"required": [key]} for key in _LORA_ONLY]},
    "then": {"required": ["method"], "properties": {"method": {"const": "lora"}}},
}
_WEIGHTS: Schema = {
    "if": {"required": ["mode"], "properties": {"mode": {"const": "weights"}}},
    "then": {"properties": {"sources": {"items": {"required": ["weight"]}}}},
    "else": {"properties": {"sources": {"items": {"properties": {"weight": ABSENT}}}}},
}
_OPTIMS = (OPTIM_INSIDE, OPTIM_BESIDE)

CONDITIONS: tuple[Condition, ...] = (
    Condition(faults=_length, schema=(at(TRAINER, one_of("max_steps", "max_epochs")),)),
    Condition(
        faults=_warmup,
        schema=tuple(at((*optim, "sched"), one_of("warmup_steps", "warmup_ratio")) for optim in _OPTIMS),
    ),
    Condition(faults=_optim_once, schema=(at(TRAINING, _OPTIM_ONCE),)),
    Condition(faults=_betas_once, schema=tuple(at(optim, _BETAS_ONCE) for optim in _OPTIMS)),
    Condition(faults=_lora_only, schema=(at((*TRAINING, "peft"), _LORA_ONLY_SCHEMA),)),
    Condition(faults=_weights, schema=(at(("data_mixing",), _WEIGHTS),)),
    Condition(faults=family_faults, schema=FAMILY_SCHEMA),
    Condition(faults=launch_faults, schema=LAUNCH_SCHEMA),
)
