"""The fake cloud for every test here; an installed cloudcpt brings the same fixtures as a pytest plugin."""

from cloudcpt.fake.pytest_plugin import fake_cloud, fake_cloud_servers

__all__ = ["fake_cloud", "fake_cloud_servers"]
