"""The Price List API for SageMaker training instances, in the shape of the real one.

Source of the shape: AWS Price List Query API, GetProducts, ServiceCode AmazonSageMaker (every item is a JSON string).
Source of the prices: on-demand SageMaker training rows for us-east-1 as of 2026-09-01; tests may set others.
"""

import json
from collections.abc import Mapping
from typing import Any

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.json_protocol import json_answer, json_refusal, read_parameters, target_operation

PRICES_USD_PER_HOUR: dict[tuple[str, str], float] = {
    ("us-east-1", "ml.p4d.24xlarge"): 25.251286,
    ("us-east-1", "ml.p5.48xlarge"): 63.296,
    ("us-east-1", "ml.m5.xlarge"): 0.23,
}
"""By region and instance type."""


class Pricing:
    """The Pricing service."""

    name = "pricing"

    def __init__(self) -> None:
        self.prices = dict(PRICES_USD_PER_HOUR)

    def operation(self, head: Request) -> str:
        """Read the target header."""
        return target_operation(head)

    def action(self, operation: str) -> str:
        """Name the action, which is called as the operation is."""
        return f"pricing:{operation}"

    def answer(self, request: Request) -> Answer:
        """Find the products that every filter matches.

        Raises:
            Refusal: another operation or service.
        """
        parameters, operation = read_parameters(request), target_operation(request)
        if operation != "GetProducts" or parameters.get("ServiceCode") != "AmazonSageMaker":
            message = f"{operation} of {parameters.get('ServiceCode')} is not played here"
            raise Refusal(status=400, code="InvalidParameterException", message=message)
        wanted = {row["Field"]: row["Value"] for row in parameters.get("Filters", ())}
        items = [_item(region, name, usd) for (region, name), usd in self.prices.items()]
        found = [json.dumps(item) for item in items if _matches(item["product"], wanted)]
        return json_answer({"FormatVersion": "aws_v1", "PriceList": found})

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as JSON."""
        return json_refusal(refusal)

    def reset(self) -> None:
        """Take the listed prices again."""
        self.prices = dict(PRICES_USD_PER_HOUR)


def _matches(product: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    described = {"productFamily": product["productFamily"], **product["attributes"]}
    return all(described.get(name) == value for name, value in wanted.items())


def _item(region: str, instance_type: str, usd: float) -> dict[str, Any]:
    sku = f"FAKE{abs(hash((region, instance_type))) % 10**8:08d}"
    price = {
        "unit": "Hrs",
        "description": f"${usd} per Hour for {instance_type} Training",
        "pricePerUnit": {"USD": f"{usd:.10f}"},
    }
    attributes = {
        "servicecode": "AmazonSageMaker",
        "regionCode": region,
        "instanceName": instance_type,
        "platoinstancename": instance_type,
        "platoinstancetype": "Training",
        "usagetype": f"USE1-Train:{instance_type}" if region == "us-east-1" else f"Train:{instance_type}",
    }
    return {
        "product": {"productFamily": "ML Instance", "sku": sku, "attributes": attributes},
        "serviceCode": "AmazonSageMaker",
        "terms": {"OnDemand": {f"{sku}.TERM": {"priceDimensions": {f"{sku}.TERM.RATE": price}}}},
    }
