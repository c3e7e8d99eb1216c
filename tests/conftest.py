"""What every test shares: properties are tried on the same examples in every run, so that a green tree stays green."""

from hypothesis import settings

# `pytest --hypothesis-profile=default` searches anew; what it finds becomes an `@example` or a test of its own.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
