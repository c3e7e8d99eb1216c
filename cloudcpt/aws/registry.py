"""Private registries of AWS: a password for twelve hours, the repository that is pushed to, and what is in it."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cloudcpt.aws.errors import translated
from cloudcpt.aws.session import AwsSession
from cloudcpt.jobs.access import PrivateImage

_ONE_IMAGE: Final = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
"""Manifests of an image for one platform; a list of images has no configuration of its own to compare."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """What a container engine logs in with. The password goes through a pipe, never into a command line or a log."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tagged:
    """What is in a repository under a tag.

    Args:
        digest: Of the manifest, `sha256:...`: how a job names it.
        config: Digest of the configuration, which engines call the ID of the image; empty for a list of images.
    """

    digest: str
    config: str


def registry_login(region: str, registry: str) -> Login:
    """Ask for a password; it opens every registry of a region that one's permissions open.

    Args:
        region: Of the registry.
        registry: What it is for.

    Raises:
        SetupError: there are no credentials, or they do not allow it.
    """
    client = AwsSession(region=region).client("ecr")
    with translated(f"log in to `{registry}`"):
        token = client.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    return Login(user=user, password=password)


def ensure_repository(image: PrivateImage) -> None:
    """Make the repository of an image, with tags that cannot be moved, unless it is there.

    Raises:
        SetupError: there are no credentials, or they do not allow it.
    """
    client = AwsSession(region=image.region).client("ecr")
    with translated(f"look at the repository `{image.repository}`"):
        try:
            client.describe_repositories(registryId=image.account, repositoryNames=[image.repository])
        except client.exceptions.RepositoryNotFoundException:
            pass
        else:
            return
    with translated(f"make the repository `{image.repository}`"):
        client.create_repository(
            registryId=image.account,
            repositoryName=image.repository,
            imageTagMutability="IMMUTABLE",
            imageScanningConfiguration={"scanOnPush": True},
        )


def find_tagged(image: PrivateImage) -> Tagged | None:
    """Look up what a repository has under the tag of an image; None when the tag is free.

    Raises:
        SetupError: there are no credentials, or they do not allow it.
    """
    client = AwsSession(region=image.region).client("ecr")
    with translated(f"look for the tag `{image.tag}` in `{image.repository}`"):
        found = client.batch_get_image(
            registryId=image.account,
            repositoryName=image.repository,
            imageIds=[{"imageTag": image.tag}],
            acceptedMediaTypes=list(_ONE_IMAGE),
        )["images"]
    if not found:
        return None
    manifest: Mapping[str, Any] = json.loads(found[0]["imageManifest"])
    return Tagged(digest=found[0]["imageId"]["imageDigest"], config=manifest.get("config", {}).get("digest", ""))
