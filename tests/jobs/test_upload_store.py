"""The fake store keeps the promises of the port; moto_tests/test_upload_over_http.py runs them over HTTP."""

import pytest

from tests.fake_objects import FakeObjects
from tests.jobs.store_promises import *  # noqa: F403


@pytest.fixture
def store() -> FakeObjects:
    return FakeObjects()
