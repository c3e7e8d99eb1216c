"""Access to a private registry of AWS: a password that lasts twelve hours, and the repository that is pushed to."""

import base64
from dataclasses import dataclass, field
from typing import Any

from cloudcpt.aws.errors import translated
from cloudcpt.aws.session import AwsSession


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """What a container engine logs in with. The password goes through a pipe, never into a command line or a log."""

    registry: str
    user: str
    password: str = field(repr=False)


def registry_login(*, account: str, region: str, repository: str) -> Login:
    """Ask for a password, and make sure that the repository is there.

    Args:
        account: Twelve digits.
        region: Of the registry.
        repository: Its name in there; made, with tags that cannot be moved, if it is missing.

    Raises:
        SetupError: there are no credentials, or they do not allow it.
    """
    client = AwsSession(region=region).client("ecr")
    with translated(f"look at the repository `{repository}`"):
        if not _exists(client, account, repository):
            client.create_repository(
                registryId=account,
                repositoryName=repository,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
            )
        token = client.get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    return Login(registry=token["proxyEndpoint"].removeprefix("https://"), user=user, password=password)


def _exists(client: Any, account: str, repository: str) -> bool:
    try:
        client.describe_repositories(registryId=account, repositoryNames=[repository])
    except client.exceptions.RepositoryNotFoundException:
        return False
    return True
