"""`fake` refuses names that it would only pass over, and says which one was probably meant."""

from collections.abc import Callable
from typing import Any

import pytest

from cloudcpt.fake.cloud import SERVICES, FakeCloud

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "sagemakr=1"), "there is no service `sagemakr`; did you mean `sagemaker`?"),
        (("--port", "s4=9000"), "did you mean `s3`?"),
        (("--port", "zzzz=9000"), "there are cloudwatch_logs, ecr"),
        (("--quota", "ml.p5.48xlrge=2"), "did you mean `ml.p5.48xlarge`?"),
        (("--quota", "p5=2"), "there is no instance type `p5`"),
        (("--port", "s3"), "`s3` is not NAME=NUMBER"),
    ],
)
def test_a_name_that_is_none_is_a_usage_error(cloudcpt: Cloudcpt, arguments: tuple[str, ...], words: str) -> None:
    shown = cloudcpt("fake", *arguments)
    assert (shown.code, words in shown.err) == (2, True), shown.err


def test_the_services_that_may_be_named_are_those_that_there_are() -> None:
    with FakeCloud() as cloud:
        started = {name.removeprefix("AWS_ENDPOINT_URL_").lower() for name in cloud.environment if "_URL_" in name}
    assert started == set(SERVICES)
