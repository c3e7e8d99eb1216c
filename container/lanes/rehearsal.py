"""Lane 2: the client's own rehearsals in an engine, with their limits and their faults: `tests/container`."""

import sys
from typing import Final

from cloudcpt.local.containers import find_engine
from container.lanes.image import IMAGE
from container.lanes.steps import step

_TESTS: Final = ("-m", "container", "tests/container", "-vv", "--durations=5")
"""With a line per test, because some take half a minute, and who waits wants to see something."""


def rehearse(runner: str) -> str:
    """Run the tests that need an engine and the image.

    Raises:
        Failed: one of them did.
    """
    engine = find_engine(runner)
    settings = {"CLOUDCPT_TEST_ENGINE": runner, "CLOUDCPT_TEST_IMAGE": IMAGE}
    step(sys.executable, "-m", "pytest", *_TESTS, settings=settings)
    return f"in {runner} {engine.version}{', rootless' if engine.is_rootless else ''}"
