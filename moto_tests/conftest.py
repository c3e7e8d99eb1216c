"""The fake cloud for every test here; an installed cloudcpt brings the same fixtures as a pytest plugin.

Torture is for nights: it runs when `-m` names it and never else, whatever else `-m` says.
"""

import pytest

from cloudcpt.fake.pytest_plugin import fake_cloud, fake_cloud_servers

__all__ = ["fake_cloud", "fake_cloud_servers"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "torture" in config.getoption("markexpr"):
        return
    torture = [item for item in items if item.get_closest_marker("torture")]
    config.hook.pytest_deselected(items=torture)
    items[:] = [item for item in items if item not in torture]
