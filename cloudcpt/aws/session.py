"""Who we are and where: one place that reads AWS's configuration and makes clients.

Credentials come from wherever boto3 finds them and are never looked at here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

import cloudcpt
from cloudcpt.aws.errors import translated
from cloudcpt.errors import SetupError, error

ATTEMPTS = 10
CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
"""botocore's own 3 attempts give up within seconds when a service throttles. Ten, with pauses that grow to 20 s,
outlast most disturbances; the read timeout ends a stalled connection, which no pause would."""

CONNECTIONS = 16
"""Kept open by a client. Fewer than requests are under way would open a new one, TLS and all, for every part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Whose credentials these are, as the service sees it.

    Args:
        account: Twelve digits.
        arn: Of the user or the assumed role.
    """

    account: str
    arn: str


class AwsSession:
    """Credentials and a region, from the user's configuration.

    Args:
        region: Where to work; the configured one when empty.
        profile: Of the user's configuration; the default one when empty.

    Raises:
        SetupError: there is no such profile, or no region at all.
    """

    def __init__(self, *, region: str = "", profile: str = "") -> None:
        with translated("read the configuration"):
            self._session = boto3.Session(region_name=region or None, profile_name=profile or None)
        if not self._session.region_name:
            hint = "set `launch.region` in the recipe, or $AWS_REGION"
            raise SetupError(error("CPT406", "no AWS region is set", hint=hint))
        self.region: str = self._session.region_name

    def client(self, service: str) -> Any:  # boto3 makes its clients at run time, they have no types
        """Make a client; making one takes a tenth of a second, so keep it."""
        config = Config(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=CONNECTIONS,
            user_agent_extra=f"cloudcpt/{cloudcpt.__version__}",
            # Left alone, botocore takes the SHA-256 of every body whose checksum we computed ourselves, at a fifth of
            # the speed of all our hashing. The signature covers the checksum in the header, TLS covers the rest.
            s3={"payload_signing_enabled": False},
        )
        with translated(f"set up `{service}`"):
            return self._session.client(service, config=config)

    @cached_property
    def identity(self) -> Identity:
        """Ask who we are. No permission is needed for that.

        Raises:
            SetupError: there are no credentials, or they are not accepted.
        """
        with translated("find out who you are"):
            answer = self.client("sts").get_caller_identity()
        return Identity(account=answer["Account"], arn=answer["Arn"])
