"""How far a job goes: steps, rows and tokens in all, and how often each source is passed over."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Literal

from cloudcpt.errors import PlanError, error
from cloudcpt.plan.geometry import Share, passes, rows_per_epoch, steps_of_epochs, trained_tokens
from cloudcpt.plan.volume import Volume
from cloudcpt.recipe.load import LoadedRecipe

DOMAIN = "domain"
"""Name of the source that holds the training data."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """The whole job in steps, rows and tokens.

    Args:
        steps: Optimizer steps.
        bound: Which recipe key set them.
        train_rows: Rows in them.
        train_tokens: Tokens in those rows, padding not counted.
        passes: How often each source is passed over, by its name; `domain` among them.
        rows_per_pass: Rows trained in one pass over the domain, replay included.
    """

    steps: int
    bound: Literal["max_steps", "max_epochs"]
    train_rows: int
    train_tokens: int
    passes: Mapping[str, float]
    rows_per_pass: float

    @property
    def epochs(self) -> float:
        """Passes over the domain."""
        return self.passes[DOMAIN]


def measure_extent(
    loaded: LoadedRecipe, domain: Volume, replay: Mapping[str, Volume], weights: Mapping[str, Fraction]
) -> Extent:
    """Work out the number of steps from the recipe's bound and the data.

    Args:
        loaded: The recipe.
        domain: The training data.
        replay: The general sources, by name.
        weights: Their shares of the training tokens.

    Raises:
        PlanError: not even one full step.
    """
    config = loaded.recipe.training_config
    domain_share = Share(rows=domain.rows, tokens=domain.tokens, weight=1 - sum(weights.values(), Fraction(0)))
    shares = {
        name: Share(rows=volume.rows, tokens=volume.tokens, weight=weights[name])
        for name, volume in replay.items()
        if weights[name] > 0
    }
    mixed = list(shares.values())
    per_pass = rows_per_epoch(domain_share, mixed)
    steps = config.trainer.max_steps
    if steps is None:
        epochs = Fraction(str(config.trainer.max_epochs))
        steps = steps_of_epochs(epochs, domain_share, mixed, config.global_batch_size)
    if steps == 0:
        raise _no_step(loaded, per_pass)
    train_rows = steps * config.global_batch_size
    named = {DOMAIN: domain_share, **shares}
    return Extent(
        steps=steps,
        bound="max_epochs" if config.trainer.max_steps is None else "max_steps",
        train_rows=train_rows,
        train_tokens=trained_tokens(domain_share, mixed, train_rows),
        passes={name: float(passes(share, domain_share, mixed, train_rows)) for name, share in named.items()},
        rows_per_pass=float(per_pass),
    )


def _no_step(loaded: LoadedRecipe, per_pass: Fraction) -> PlanError:
    config = loaded.recipe.training_config
    epochs = config.trainer.max_epochs
    needed = ceil(config.global_batch_size / per_pass)
    return PlanError(
        error(
            "CPT505",
            f"{epochs:g} epochs of {float(per_pass):.1f} rows are less than one step of "
            f"{config.global_batch_size} rows",
            place=loaded.place("training_config", "trainer", "max_epochs"),
            hint=f"{needed} epochs make a step; so do more data, a smaller `global_batch_size` or `max_length`",
        )
    )
