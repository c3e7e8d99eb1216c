"""Engines for the tests of this folder, whose jobs end with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloudcpt.local.engine import LocalEngine
from tests.local.engines import end_all, fake_engine


@pytest.fixture
def engine_for(tmp_path: Path) -> Iterator[Callable[..., LocalEngine]]:
    """Give engines by behaviour, all over one state directory."""
    made: list[LocalEngine] = []

    def make(behaviour: str = "complete", **options: float) -> LocalEngine:
        made.append(fake_engine(tmp_path / "state", behaviour, **options))
        return made[-1]

    yield make
    for engine in made:
        end_all(engine)
