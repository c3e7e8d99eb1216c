"""The question before money is spent: what it costs, what it can cost at most, and whose price that is."""

import sys
from collections.abc import Sequence

import click

from cloudcpt.cli import render
from cloudcpt.cli.quantities import around, duration, plural, usd
from cloudcpt.errors import UsageProblem, error
from cloudcpt.jobs.budget import Cost, job_cost, price_of
from cloudcpt.jobs.checks import Check
from cloudcpt.plan.plan import Plan


def confirm_cost(plan: Plan, checks: Sequence[Check], *, yes: bool) -> None:
    """Show the cost of a job and ask whether to start it.

    Args:
        plan: The job.
        checks: Of pre-flight, which may have found today's price.
        yes: Show it, and do not ask.

    Raises:
        UsageProblem: there is no terminal to ask at, and `yes` is not given.
        Abort: the answer was no.
    """
    render.show_pairs(cost_pairs(plan, checks), console=render.err())
    if yes:
        return
    if not (sys.stdin and sys.stdin.isatty()):
        hint = "say it with `--yes`, once you have read the cost above"
        raise UsageProblem(error("CPT716", "starting this job costs money, and there is nobody to ask", hint=hint))
    if not click.confirm(f"start {plan.job_name}?", default=False, err=True):
        render.err().print("nothing was sent or started")
        raise click.Abort


def cost_pairs(plan: Plan, checks: Sequence[Check]) -> list[tuple[str, str]]:
    """Say what is rented, at which price, and what that comes to."""
    world, price = plan.world, price_of(plan, checks)
    cost = job_cost(plan, price)
    machines = f"{world.nodes} x {world.instance_type}"
    if cost is None:
        return [("machines", machines), ("price", price.source), ("cost", "not known")]
    return [
        ("machines", f"{machines} at {usd(price.usd_per_instance_hour)} per hour; {price.source}"),
        ("cost", f"{around(usd(cost.expected), usd(cost.low), usd(cost.high))}, an estimate{_besides(plan)}"),
        ("at most", _most(plan, cost)),
    ]


def _besides(plan: Plan) -> str:
    launch = plan.launch
    if launch is None:
        return ""
    parts = [
        "spot is billed at less" if launch.spot else "",
        "reserved capacity has been paid for already" if launch.training_plan_arn else "",
        f"{plural(launch.keep_alive_s // 60, 'minute')} of kept machines included" if launch.keep_alive_s else "",
    ]
    return "".join(f"; {part}" for part in parts if part)


def _most(plan: Plan, cost: Cost) -> str:
    if cost.most is None:
        return "no limit: nothing stops the job; `launch.max_runtime_hours` or `launch.budget_usd` sets one"
    return f"{usd(cost.most)}, when it runs until its time limit of {duration(plan.max_runtime_s)}"
