"""What a recipe must satisfy beyond its schema: comparisons between values, and leftovers of a template.

Each rule reads plain data, says nothing about values whose own type is already a finding, and names the other places
that matter. The docstring of a rule is the rule, in one sentence: the published schema lists it under `x-rules`.
What is allowed but unusual is in `advice.py`.
"""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil

from cloudcpt.recipe.faults import Fault, KeyPath, dotted, shown
from cloudcpt.recipe.values import TRAINER, TRAINING, Values

Rule = Callable[[Values], Iterator[Fault]]

# What templates leave for a person to fill in: `[S3_PATH]`, `<your-bucket>`, `{{ bucket }}`.
_PLACEHOLDER = re.compile(r"\[[A-Z][A-Z0-9_]{3,}\]|<[A-Za-z][^<>]*>|\{\{[^{}]*\}\}")
_RUN_TEXTS = ("name", "model_name_or_path", "data_s3_path", "validation_data_s3_path", "output_s3_path")


def floor_below_peak(values: Values) -> Iterator[Fault]:
    """`min_lr` is below `lr`."""
    for optim in values.optims:
        peak, floor = values.number(*optim, "lr"), values.number(*optim, "sched", "min_lr")
        if peak is not None and floor is not None and floor >= peak > 0:
            yield Fault(
                code="CPT204",
                message=f"`min_lr` {shown(floor)} is not below `lr` {shown(peak)}",
                loc=(*optim, "sched", "min_lr"),
                related=(((*optim, "lr"), "`lr` set here"),),
                hint="a tenth of `lr` is a good start",
            )


def schedule_has_room_to_decay(values: Values) -> Iterator[Fault]:
    """Warm-up and constant steps together are fewer than `max_steps`, when there are constant steps."""
    steps = values.number(*TRAINER, "max_steps")
    for optim in values.optims:
        sched = (*optim, "sched")
        constant = values.number(*sched, "constant_steps")
        if not steps or not constant or constant < 0 or values.text(*sched, "name") == "constant":
            continue
        warmup, warmup_loc = warmup_of(values, sched, steps)
        if warmup + constant >= steps:
            message = f"{warmup:g} warm-up and {constant:g} constant steps leave none of {steps:g} steps to decay"
            yield Fault(
                code="CPT214",
                message=message,
                loc=(*sched, "constant_steps"),
                related=(((*TRAINER, "max_steps"), "`max_steps` set here"), (warmup_loc, "warm-up set here")),
            )


def warmup_of(values: Values, sched: KeyPath, steps: float) -> tuple[float, KeyPath]:
    """Read the warm-up of a schedule in steps, from either key, and where it was written."""
    ratio = values.number(*sched, "warmup_ratio")
    if ratio is not None:
        # Rounded up in decimals, as the plan does: 0.29 of 100 steps are 29, not 28.999999999999996.
        return ceil(Fraction(str(ratio)) * Fraction(steps)), (*sched, "warmup_ratio")
    return values.number(*sched, "warmup_steps") or 0, (*sched, "warmup_steps")


def source_names_differ(values: Values) -> Iterator[Fault]:
    """Every source of `data_mixing` has a name of its own."""
    first: dict[str, KeyPath] = {}
    for index in range(values.length("data_mixing", "sources")):
        loc: KeyPath = ("data_mixing", "sources", index, "name")
        name = values.text(*loc)
        if name is not None and name in first:
            message = f"two sources are named {shown(name)}"
            yield Fault(code="CPT215", message=message, loc=loc, related=((first[name], "the first one"),))
        elif name is not None:
            first[name] = loc


_VERSIONS: tuple[tuple[KeyPath, KeyPath], ...] = (
    (("data", "version"), ("run", "data_s3_path")),
    (("data", "validation_version"), ("run", "validation_data_s3_path")),
    (("eval", "general_data_version"), ("eval", "general_data_path")),
)


def version_of_something(values: Values) -> Iterator[Fault]:
    """A version of data is written only where the recipe names the data."""
    for version, path in _VERSIONS:
        if values.text(*version) and not values.text(*path):
            message = f"`{dotted(version)}` is a version of `{dotted(path)}`, which names no data"
            yield Fault(code="CPT318", message=message, loc=version)


def evaluation_said_once(values: Values) -> Iterator[Fault]:
    """`eval.every_steps` and `eval.max_rows` do not repeat what `trainer` says in its own words."""
    for ours, theirs in (("every_steps", "val_check_interval"), ("max_rows", "limit_val_batches")):
        if values.has("eval", ours) and values.has(*TRAINER, theirs):
            yield Fault(
                code="CPT216",
                message=f"`eval.{ours}` and `trainer.{theirs}` say the same thing, keep one of them",
                loc=("eval", ours),
                on="key",
                related=(((*TRAINER, theirs), "the other one"),),
            )


def wait_covers_runtime(values: Values) -> Iterator[Fault]:
    """`launch.max_wait_hours`, when it is not 0, is not less than `launch.max_runtime_hours`."""
    wait, runtime = values.number("launch", "max_wait_hours"), values.number("launch", "max_runtime_hours")
    if wait and runtime and 0 < wait < runtime:
        yield Fault(
            code="CPT220",
            message=f"`max_wait_hours` {shown(wait)} is less than `max_runtime_hours` {shown(runtime)}, a part of it",
            loc=("launch", "max_wait_hours"),
            related=((("launch", "max_runtime_hours"), "`max_runtime_hours` set here"),),
        )


def open_betas_below_one(values: Values) -> Iterator[Fault]:
    """The betas of a model with open weights are below 1, where Adam would divide by zero."""
    if values.row is not None and values.row.family == "open":
        for loc in betas_of_one(values):
            message = "a beta of `1` makes Adam divide by zero, 0.999 is the largest in use"
            yield Fault(code="CPT217", message=message, loc=loc)


def betas_of_one(values: Values) -> Iterator[KeyPath]:
    """Find every beta that is exactly 1."""
    for optim in values.optims:
        for beta in (("betas", 0), ("betas", 1), ("adam_beta1",), ("adam_beta2",)):
            if values.number(*optim, *beta) == 1:
                yield (*optim, *beta)


def products_computed_one_way(values: Values) -> Iterator[Fault]:
    """`float8` and `peft.bits` are not used together."""
    float8 = values.text(*TRAINING, "float8")
    if float8 not in (None, "none") and values.has(*TRAINING, "peft", "bits"):
        yield Fault(
            code="CPT225",
            message=f"`bits` and `float8: {float8}` are two ways to compute the same products, keep one of them",
            loc=(*TRAINING, "peft", "bits"),
            related=(((*TRAINING, "float8"), "`float8` set here"),),
        )


def no_placeholders(values: Values) -> Iterator[Fault]:
    """No value under `run` is a placeholder that still has to be filled in."""
    for key in _RUN_TEXTS:
        text = values.text("run", key)
        if text is not None and (match := _PLACEHOLDER.search(text)):
            message = f"{shown(match[0])} is a placeholder that still has to be filled in"
            yield Fault(code="CPT021", message=message, loc=("run", key))


RULES: tuple[Rule, ...] = (
    floor_below_peak,
    schedule_has_room_to_decay,
    source_names_differ,
    version_of_something,
    evaluation_said_once,
    wait_covers_runtime,
    open_betas_below_one,
    products_computed_one_way,
    no_placeholders,
)
