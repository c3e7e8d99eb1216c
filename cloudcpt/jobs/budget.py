"""What a job costs at today's price, and whether that is within the budget."""

from collections.abc import Iterable
from dataclasses import dataclass

from cloudcpt.jobs.checks import Check, Price, failed, passed
from cloudcpt.plan.cost import dollars
from cloudcpt.plan.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a job costs in USD, all machines together, and those that are kept after it.

    Args:
        expected: At the estimated time.
        low: Lower end of the estimate.
        high: Upper end.
        most: If it runs until the plan's time limit; None when the plan has none.
        price: Of one instance-hour.
    """

    expected: float
    low: float
    high: float
    most: float | None
    price: Price


def job_cost(plan: Plan, price: Price) -> Cost | None:
    """Price a plan's estimate; None when the price is not known."""
    rate, estimate = plan.world.nodes * price.usd_per_instance_hour, plan.estimate
    if not rate:
        return None
    kept = plan.launch.keep_alive_s / 3600 * rate if plan.launch else 0.0
    return Cost(
        expected=estimate.hours * rate + kept,
        low=estimate.hours_low * rate + kept,
        high=estimate.hours_high * rate + kept,
        most=plan.max_runtime_s / 3600 * rate + kept if plan.max_runtime_s else None,
        price=price,
    )


def price_of(plan: Plan, checks: Iterable[Check]) -> Price:
    """Take the price that was found, or the plan's own."""
    own = Price(usd_per_instance_hour=plan.estimate.usd_per_instance_hour, source=plan.estimate.price_source)
    return next((check.price for check in checks if check.price is not None), own)


def check_budget(plan: Plan, checks: Iterable[Check]) -> tuple[Check, ...]:
    """Compare the cost at today's price with the budget; nothing when there is none.

    The plan was held against its budget when it was made, with the price of a dated table.
    """
    budget = plan.launch.budget_usd if plan.launch else 0.0
    if not budget:
        return ()
    name, cost = "budget", job_cost(plan, price_of(plan, checks))
    if cost is None:
        return (failed(name, "CPT713", f"the price is not known, so `budget_usd: {budget:g}` cannot be checked"),)
    if cost.expected > budget:
        costs = f"about {dollars(cost.expected)} USD at today's price"
        message = f"the job costs {costs}, more than `budget_usd: {budget:g}`"
        hint = "raise the budget, train on fewer tokens, or take machines that cost less per step: `cloudcpt instances`"
        return (failed(name, "CPT550", message, hint=hint),)
    if cost.most is not None and cost.most > budget * 1.001:
        hours = plan.max_runtime_s / 3600 - (cost.most - budget) / (plan.world.nodes * cost.price.usd_per_instance_hour)
        message = f"until its time limit the job can cost {dollars(cost.most)} USD, more than `budget_usd: {budget:g}`"
        return (failed(name, "CPT551", message, hint=f"`launch.max_runtime_hours: {hours:.2f}` keeps the budget"),)
    return (passed(name, f"about {dollars(cost.expected)} of {dollars(budget)} USD"),)
