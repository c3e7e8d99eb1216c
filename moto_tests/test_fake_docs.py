"""The examples of docs/fake-cloud.md are tests that pass."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "fake-cloud.md").read_text("utf-8")
EXAMPLES: dict[str, object] = {}
for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
    exec(block, EXAMPLES)
TESTS = [name for name in EXAMPLES if name.startswith("test_")]


@pytest.mark.parametrize("name", TESTS)
def test_the_example_works(fake_cloud, name):
    EXAMPLES[name](fake_cloud)


def test_names_on_the_page_exist(fake_cloud):
    for service in re.findall(r"`fake_cloud\.(s3|sagemaker)`|`\.(logs|sts|iam|ecr|service_quotas|pricing)`", PAGE):
        handle = getattr(fake_cloud, service[0] or service[1])
        assert handle.url.startswith("http://127.0.0.1:")
    assert len(TESTS) == 2
