"""The learning rate of a plan, judged: a schedule that can run, and what experience says about peak and warm-up.

What is asked of a schedule is an error or a warning. What experience says are notes, at most one of each kind, and
none for a recipe that follows it.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, sqrt

from cloudcpt.errors import Diagnostic, Place, error, note, warning
from cloudcpt.plan.plan import Plan, Schedule
from cloudcpt.recipe.load import LoadedRecipe

LARGE_MODEL, PEAK, PEAK_OF_LARGE = 20 * 10**9, 3e-4, 1.5e-4
"""Peak learning rates of pre-training, of models up to and above so many parameters.

Source: Touvron et al. 2023, arXiv 2302.13971, table 2: 3e-4 for 7 and 13 billion, 1.5e-4 for 33 and 65.
"""

SMALL_MODEL = 10**9
"""Below it, peaks differ too much from family to family to say anything."""

HIGH_SHARE = Fraction(1, 5)
"""Of the pre-training peak, twice the tenth that is usual for continued pretraining."""

BAND_END = 1e-4
"""Rates above it have been warned of when the recipe was read (CPT151)."""

WARMUP_SHARE, MOST_PASSES = Fraction(1, 100), 5
"""Warm-up over all steps, for each pass over the data, of which no more than five count.

Source: practice of continued pretraining, 0.01 for one epoch and 0.03 for three; 1 to 2 % in arXiv 2308.04014.
"""

LONG_RUN_TOKENS = 100 * 10**9
"""From here on neither rule is known to matter: every warm-up ends in the same loss, arXiv 2308.04014."""


def schedule_findings(loaded: LoadedRecipe, schedule: Schedule) -> Iterator[Diagnostic]:
    """Check that warm-up and tail leave room for what the schedule is named after."""
    warmup, constant, steps = schedule.warmup_steps, schedule.constant_steps, schedule.steps
    if constant and warmup + constant >= steps:
        yield error(
            "CPT507",
            f"{warmup} warm-up steps and {constant} constant steps leave no step of {steps} to decay in",
            place=_place(loaded, "sched", "constant_steps"),
            hint=f"`constant_steps` of less than {max(steps - warmup, 1)}, or more training steps",
        )
    elif warmup >= steps and loaded.recipe.training_config.trainer.max_steps is None:
        # With `max_steps`, the recipe itself shows it and was warned when it was read.
        yield warning(
            "CPT508",
            f"the warm-up of {warmup} steps is longer than the {steps} steps of the job; `lr` is never reached",
            place=_place(loaded, "sched", "warmup_steps"),
            hint=f"a warm-up of 1 to 2 % of the steps is usual, here {max(1, steps // 50)}",
        )
    elif constant and schedule.name == "cosine":
        message = "the first step has learning rate 0: that is how NeMo warms up when `constant_steps` is not 0"
        yield note("CPT509", message, place=_place(loaded, "sched", "constant_steps"))


def rate_advice(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    """Say where peak and warm-up are not what is usual, and what a rate found at another batch size comes to here."""
    yield from _batch(loaded, plan)
    # Nova's own recipes are what AWS recommends, and a rehearsal is of a model that nobody has pre-trained.
    if loaded.recipe.is_nova or plan.model.stand_in or plan.geometry.train_tokens >= LONG_RUN_TOKENS:
        return
    yield from _peak(loaded, plan)
    yield from _warmup(loaded, plan)


def _batch(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    reference, batch = loaded.recipe.optim.reference_batch_size, loaded.recipe.training_config.global_batch_size
    lr = plan.schedule.lr
    if reference not in (0, batch):
        yield note(
            "CPT557",
            f"`lr: {lr:g}` is used as it is written; found with {reference} rows per step, it would be "
            f"{lr * sqrt(batch / reference):.3g} with {batch}, by the square root",
            place=_place(loaded, "reference_batch_size"),
        )


def _peak(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    parameters, lr = plan.model.parameters, plan.schedule.lr
    peak = PEAK if parameters <= LARGE_MODEL else PEAK_OF_LARGE
    is_high = Fraction(str(lr)) > HIGH_SHARE * Fraction(str(peak))  # in decimals: 6e-5 is a fifth of 3e-4
    if plan.lora is None and parameters >= SMALL_MODEL and is_high and lr <= BAND_END:
        yield note(
            "CPT555",
            f"`lr: {lr:g}` is {lr / peak:.0%} of about {peak:g}, with which models of this size were pre-trained",
            place=_place(loaded, "lr"),
            hint=f"a tenth, {peak / 10:g}, is usual; a higher rate forgets more, and asks for a longer warm-up",
        )


def _warmup(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    warmup, steps = plan.schedule.warmup_steps, plan.schedule.steps
    share = WARMUP_SHARE * Fraction(min(max(1.0, plan.geometry.epochs), MOST_PASSES))
    # A constant rate is for going on where an earlier job has arrived, which asks for no warm-up.
    if warmup < share * steps and plan.schedule.name != "constant":
        key = "warmup_steps" if loaded.recipe.optim.sched.warmup_ratio is None else "warmup_ratio"
        yield note(
            "CPT556",
            f"the warm-up is {warmup} of {steps} steps, {warmup / steps:.2%}; 1 % for each pass over the data is usual",
            place=_place(loaded, "sched", key),
            hint=f"`warmup_ratio: {ceil(share * 100) / 100:g}`; little data and a high `lr` ask for more",
        )


def _place(loaded: LoadedRecipe, *keys: str) -> Place | None:
    """Find a key of the optimizer, wherever the recipe writes it."""
    is_beside = loaded.recipe.training_config.optim is not None
    above = ("training_config", "optim") if is_beside else ("training_config", "model", "optim")
    return loaded.place(*above, *keys)
