"""Who we are and where: one place that reads AWS's configuration and makes clients.

Credentials come from wherever boto3 finds them and are never looked at here.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import NoCredentialsError

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """Where credentials come from, as botocore names it, and when they end; None when they do not, or do not say."""

    source: str
    expires_at: datetime | None


def configured_region() -> str:
    """Say which region the user's configuration names; empty when it names none.

    Raises:
        SetupError: the configuration cannot be read.
    """
    with translated("read the configuration"):
        found: str | None = boto3.Session(region_name=_region("")).region_name
    return found or ""


def _region(named: str) -> str | None:
    # boto3 itself looks at $AWS_DEFAULT_REGION only, and every other tool of AWS at $AWS_REGION first.
    return named or os.environ.get("AWS_REGION") or None


class AwsSession:
    """Credentials and a region, from the user's configuration.

    Args:
        region: Where to work; the configured one when empty.
        profile: Of the user's configuration; the default one when empty.
        attempts: How often a request is tried that may pass; few where a person only wants to know.

    Raises:
        SetupError: there is no such profile, or no region at all.
    """

    def __init__(self, *, region: str = "", profile: str = "", attempts: int = ATTEMPTS) -> None:
        with translated("read the configuration"):
            self._session = boto3.Session(region_name=_region(region), profile_name=profile or None)
        if not self._session.region_name:
            hint = "set `launch.region` in the recipe, or $AWS_REGION"
            raise SetupError(error("CPT406", "no AWS region is set", hint=hint))
        self.region: str = self._session.region_name
        self._attempts = attempts

    def client(self, service: str, *, region: str = "") -> Any:  # boto3 makes its clients at run time: no types
        """Make a client; making one takes a tenth of a second, so keep it.

        Args:
            service: As boto3 names it.
            region: For a service that has endpoints elsewhere only; the session's own when empty.
        """
        config = Config(
            retries={"mode": "standard", "total_max_attempts": self._attempts},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            max_pool_connections=CONNECTIONS,
            user_agent_extra=f"cloudcpt/{cloudcpt.__version__}",
            # Left alone, botocore takes the SHA-256 of every body whose checksum we computed ourselves, at a fifth of
            # the speed of all our hashing. The signature covers the checksum in the header, TLS covers the rest.
            s3={"payload_signing_enabled": False},
        )
        with translated(f"set up `{service}`"):
            return self._session.client(service, region_name=region or self.region, config=config)

    @property
    def credentials(self) -> Credentials:
        """Say where the credentials come from; what they are is not looked at.

        Raises:
            SetupError: there are none.
        """
        with translated("look at the account"):
            found = self._session.get_credentials()
            if found is None:
                raise NoCredentialsError
        # Only botocore's refreshable kind has an end; it has no public name for it.
        return Credentials(source=found.method or "unknown", expires_at=getattr(found, "_expiry_time", None))

    @cached_property
    def identity(self) -> Identity:
        """Ask who we are. No permission is needed for that.

        Raises:
            SetupError: there are no credentials, or they are not accepted.
        """
        with translated("find out who you are"):
            answer = self.client("sts").get_caller_identity()
        return Identity(account=answer["Account"], arn=answer["Arn"])
