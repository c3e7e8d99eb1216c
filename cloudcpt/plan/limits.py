"""What must hold between time and cost of a plan and the limits of its recipe."""

import math
from collections.abc import Iterator

from cloudcpt.errors import Diagnostic, error, warning
from cloudcpt.plan.cost import dollars
from cloudcpt.plan.plan import Estimate
from cloudcpt.plan.site import Site
from cloudcpt.recipe.load import LoadedRecipe


def estimate_findings(loaded: LoadedRecipe, estimate: Estimate, site: Site) -> Iterator[Diagnostic]:
    """Compare time and cost with what the recipe allows."""
    yield from _runtime(loaded, estimate)
    if site.instance is not None:
        yield from _budget(loaded, estimate, site.instance.name, site.world.nodes)


def _runtime(loaded: LoadedRecipe, estimate: Estimate) -> Iterator[Diagnostic]:
    limit = loaded.recipe.launch.max_runtime_hours
    if not limit or estimate.hours_high <= limit:
        return
    span = f"{estimate.hours_low:.2g} to {estimate.hours_high:.2g} hours"
    place = loaded.place("launch", "max_runtime_hours")
    can_go_on = loaded.recipe.checkpoint.recovery_every_steps > 0
    if estimate.hours_low > limit and not can_go_on:
        hint = f"allow {_hours_enough(estimate.hours_high):g} hours, or train on fewer tokens"
        message = f"the job takes {span}, `max_runtime_hours: {limit:g}` stops it before it has a model"
        yield error("CPT553", message, place=place, hint=hint)
    else:
        kept = "the job then goes on with `cloudcpt resume`" if can_go_on else "a job that is stopped leaves no model"
        reaches = "will" if estimate.hours_low > limit else "may"
        message = f"the job takes {span}, it {reaches} reach `max_runtime_hours: {limit:g}`"
        yield warning("CPT554", message, place=place, hint=kept)


def _hours_enough(hours: float) -> float:
    """Round up, to a tenth of an hour for short jobs: what is advised must be accepted."""
    return math.ceil(hours) if hours > 10 else math.ceil(hours * 10) / 10


def _budget(loaded: LoadedRecipe, estimate: Estimate, instance_name: str, nodes: int) -> Iterator[Diagnostic]:
    budget, place = loaded.recipe.launch.budget_usd, loaded.place("launch", "budget_usd")
    if not estimate.usd_per_instance_hour:
        message = f"the price of `{instance_name}` is not public, so the cost is unknown"
        if budget:
            hint = "choose an instance type with a public price, or remove `budget_usd`"
            yield error("CPT552", f"{message} and `budget_usd: {budget:g}` cannot be kept", place=place, hint=hint)
        else:
            yield warning("CPT552", message, place=loaded.place("launch", "instance_type"))
        return
    kept = loaded.recipe.launch.keep_alive_minutes / 60 * nodes * estimate.usd_per_instance_hour
    span = f"{dollars(estimate.usd)} USD ({dollars(estimate.usd_low)} to {dollars(estimate.usd_high)})"
    span += f" and {dollars(kept)} USD for `keep_alive_minutes`" if kept else ""
    if budget and estimate.usd + kept > budget:
        hint = "raise the budget, train on fewer tokens, or take machines that cost less per step: `cloudcpt instances`"
        message = f"the job costs about {span}, more than `budget_usd: {budget:g}`"
        yield error("CPT550", message, place=place, hint=hint)
    elif budget and estimate.usd_high + kept > budget:
        message = f"the job costs about {span} and may exceed `budget_usd: {budget:g}`"
        hint = "it is stopped before it does, and a job that is stopped leaves no model"
        yield warning("CPT551", message, place=place, hint=hint)
