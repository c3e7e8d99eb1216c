"""What an instance-hour costs today, from the Price List API; the price of the plan's dated table otherwise."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cloudcpt.aws.errors import translated
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.checks import Check, Price, not_checked, passed
from cloudcpt.plan.plan import Plan

PRICING_REGION = "us-east-1"
"""The API has endpoints in three regions only, each with the prices of all."""

_SERVICE = "AmazonSageMaker"


def live_price(client: Any, *, region: str, instance_type: str) -> float:
    """Ask for the on-demand price of an instance-hour of training; 0 when there is none.

    Args:
        client: Of Pricing.
        region: Of the job.
        instance_type: Such as `ml.p5.48xlarge`.

    Source: AWS Price List API, GetProducts, 2026-11.
    """
    wanted = {
        "productFamily": "ML Instance",
        "regionCode": region,
        "instanceName": instance_type,
        "platoinstancetype": "Training",
    }
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    with translated("ask for the price"):
        answer = client.get_products(ServiceCode=_SERVICE, Filters=filters)
    return max(_prices(answer["PriceList"]), default=0.0)


def _prices(items: Iterable[str]) -> Iterable[float]:
    for item in items:
        for term in json.loads(item).get("terms", {}).get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                yield float(dimension["pricePerUnit"].get("USD", 0))  # a free tier is listed beside it, at 0


def check_price(client: Any, plan: Plan) -> Check:
    """Find today's price of a plan's instances; of several types that it may run on, the highest, as in the plan.

    Args:
        client: Of Pricing.
        plan: Whose own price, from the dated table, is used when none can be asked for.
    """
    name, launch = "price", plan.launch
    assert launch is not None, f"a plan for `{plan.target}` has no price"
    table = Price(usd_per_instance_hour=plan.estimate.usd_per_instance_hour, source=plan.estimate.price_source)
    types = launch.instance_preferences or (plan.world.instance_type,)
    try:
        prices = {one: live_price(client, region=launch.region, instance_type=one) for one in types}
        why = "; ".join(
            f"no on-demand price of {one} is listed for {launch.region}" for one in types if not prices[one]
        )
    except CloudcptError as exc:
        prices, why = {}, exc.diagnostics[0].message
    if why:
        missed = not_checked(name, f"{why}; the plan's price counts: {table.source}")
        return replace(missed, price=table)
    dearest = max(prices, key=lambda one: prices[one])
    price = Price(usd_per_instance_hour=prices[dearest], source=f"AWS Price List API, {datetime.now(UTC):%Y-%m-%d}")
    words = f"{prices[dearest]:.2f} USD per hour of {dearest} in {launch.region}"
    if table.usd_per_instance_hour and abs(prices[dearest] - table.usd_per_instance_hour) > 0.005:
        words += f"; the plan was made with {table.usd_per_instance_hour:.2f}"
    return replace(passed(name, words), price=price)
