"""How long a job may run: the recipe's limit, what its budget pays for, and never more than the service allows."""

from collections.abc import Iterator
from dataclasses import dataclass

from cloudcpt.errors import Diagnostic, note, warning
from cloudcpt.plan.cost import dollars
from cloudcpt.plan.plan import Estimate, Plan, World
from cloudcpt.recipe.load import LoadedRecipe
from cloudcpt.recipe.model import Recipe

MOST_RUNTIME_S = 28 * 24 * 3600
"""Source: botocore, sagemaker 2017-07-24, StoppingCondition.MaxRuntimeInSeconds. Left out, it would be one day."""

DEFAULT_RUNTIME_S = 5 * 24 * 3600
"""Of a job without limit and budget, where the estimate fits: what the quota of a new account allows.

Source: AWS general reference, "Amazon SageMaker endpoints and quotas", Longest run time for a training job, 2026-11."""

_SPOT_WAIT_S = 24 * 3600
"""Beyond the time limit, where a recipe does not say how long to wait for spot capacity. Assumed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """When the service stops a job.

    Args:
        max_runtime_s: Of training; 0 where nobody stops it.
        max_wait_s: Of waiting and training together, with spot; 0 otherwise.
    """

    max_runtime_s: int
    max_wait_s: int


def recipe_limit_s(recipe: Recipe) -> int:
    """Read the recipe's own time limit in seconds; 0 for none."""
    hours = recipe.launch.max_runtime_hours
    return max(1, round(hours * 3600)) if hours else 0


def limits_of(recipe: Recipe, world: World, estimate: Estimate, *, is_training_job: bool) -> Limits:
    """Decide when a job in the cloud is stopped.

    Args:
        recipe: With a time limit, a budget, both or none.
        world: How many machines are paid.
        estimate: With the price of one.
        is_training_job: The service keeps the limit, so there has to be one; HyperPod keeps none.
    """
    launch = recipe.launch
    wait_s = round(launch.max_wait_hours * 3600) if launch.spot else 0
    limits = [recipe_limit_s(recipe), affordable_s(recipe, world, estimate), wait_s]
    if is_training_job:
        is_long = any(limits) or estimate.hours_high * 3600 > DEFAULT_RUNTIME_S
        limits.append(MOST_RUNTIME_S if is_long else DEFAULT_RUNTIME_S)
    runtime_s = min((limit for limit in limits if limit), default=0)
    if not launch.spot:
        return Limits(max_runtime_s=runtime_s, max_wait_s=0)
    return Limits(max_runtime_s=runtime_s, max_wait_s=wait_s or min(runtime_s + _SPOT_WAIT_S, MOST_RUNTIME_S))


def affordable_s(recipe: Recipe, world: World, estimate: Estimate) -> int:
    """Turn the budget into seconds at the plan's price; 0 when there is no budget, or no price.

    What keeping the machines afterwards will cost is set aside first. A second is always left, because 0 would mean
    that there is no limit; a budget that is too small for the job has refused it already.
    """
    usd_per_s = estimate.usd_per_instance_hour * world.nodes / 3600
    if not (recipe.launch.budget_usd and usd_per_s):
        return 0
    return max(1, int(recipe.launch.budget_usd / usd_per_s) - recipe.launch.keep_alive_minutes * 60)


def limit_advice(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    """Say what a job without a limit could cost, and what happens to one whose spot capacity is taken away."""
    launch = loaded.recipe.launch
    if plan.max_runtime_s and not (launch.max_runtime_hours or launch.budget_usd):
        usd = plan.max_runtime_s / 3600 * plan.world.nodes * plan.estimate.usd_per_instance_hour
        days = f"{plan.max_runtime_s / 86_400:.3g} days"
        cost = f", which cost up to {dollars(usd)} USD" if usd else ""
        message = f"nothing but the service stops a job that hangs, after {days}{cost}"
        hint = f"set `budget_usd`, or `max_runtime_hours` to {max(1, round(2 * plan.estimate.hours_high)):,} or so"
        yield warning("CPT583", message, place=loaded.place("launch"), hint=hint)
    if launch.spot:
        yield _spot(loaded, plan)


def _spot(loaded: LoadedRecipe, plan: Plan) -> Diagnostic:
    place, every = loaded.place("launch", "spot"), plan.checkpoints.recovery_every_steps
    if 0 < every < plan.geometry.steps:
        message = f"spot capacity can be taken away; the job then goes on from its state, at most {every} steps back"
        return note("CPT586", message, place=place, hint="the cost is reckoned at the price on demand, spot is less")
    message = "spot capacity can be taken away, and the job then starts over: it leaves no state to go on from"
    hint = "set `checkpoint.recovery_every_steps`; the cost is reckoned at the price on demand, spot is less"
    return warning("CPT586", message, place=place, hint=hint)
