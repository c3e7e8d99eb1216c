"""Hubs on loopback, and a clock that nobody waits for."""

from collections.abc import Iterator

import pytest

from tests.fake_hubs import FakeHuggingFace, FakeModelScope


@pytest.fixture
def hub() -> Iterator[FakeHuggingFace]:
    made = FakeHuggingFace()
    yield made
    made.close()


@pytest.fixture
def scope() -> Iterator[FakeModelScope]:
    made = FakeModelScope()
    yield made
    made.close()


@pytest.fixture
def pauses() -> list[float]:
    """Give the list of pauses that were asked for: `pauses.append` is a `sleep`."""
    return []
