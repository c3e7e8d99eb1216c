"""A pytest plugin: `fake_cloud` gives a test an AWS account on loopback, empty at the start and gone at the end.

The servers start once per session, on the first test that asks; every test finds them empty and its environment
pointing at them.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # every pytest run of a user loads this module; only those that use the fake pay for it
    from cloudcpt.fake.cloud import FakeCloud

_HIDDEN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")


@pytest.fixture(scope="session")
def fake_cloud_servers() -> Iterator["FakeCloud"]:
    """Start the fake once; use `fake_cloud` in tests."""
    from cloudcpt.fake.cloud import FakeCloud

    with FakeCloud() as cloud:
        yield cloud


@pytest.fixture
def fake_cloud(fake_cloud_servers: "FakeCloud", monkeypatch: pytest.MonkeyPatch) -> Iterator["FakeCloud"]:
    """Give an empty AWS account, and an environment in which any AWS SDK or CLI talks to it."""
    for name in _HIDDEN:
        monkeypatch.delenv(name, raising=False)
    for name, value in fake_cloud_servers.environment.items():
        monkeypatch.setenv(name, value)
    yield fake_cloud_servers
    fake_cloud_servers.reset()
