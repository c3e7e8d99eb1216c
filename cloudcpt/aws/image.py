"""Whether the training image is where the job will look for it."""

from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.errors import translated
from cloudcpt.jobs.access import private_image
from cloudcpt.jobs.checks import Check, failed, not_checked, passed

_ABSENT = ("ImageNotFoundException", "RepositoryNotFoundException")


def check_image(client: Any, uri: str, *, account_id: str, region: str) -> Check:
    """Look an image up in its registry.

    Args:
        client: Of ECR.
        uri: As the plan has it.
        account_id: Of the caller; registries of others cannot be looked into.
        region: Of the job.
    """
    name, image = "image", private_image(uri)
    if not uri:
        return not_checked(name, "the recipe names none (`launch.image`)")
    if image is None:
        return not_checked(name, f"`{uri}` is in no private registry of AWS")
    if image.region != region:
        message = f"the image is in `{image.region}`, the job in `{region}`"
        return failed(name, "CPT708", message, hint="copy the image to a registry of the job's region")
    if image.account != account_id:
        return not_checked(name, f"the registry belongs to account {image.account}")
    wanted = {"imageDigest": image.digest} if image.digest else {"imageTag": image.tag or "latest"}
    with translated(f"look at the image `{uri}`"):
        try:
            client.describe_images(registryId=image.account, repositoryName=image.repository, imageIds=[wanted])
        except ClientError as exc:
            if exc.response["Error"]["Code"] not in _ABSENT:
                raise
            message = f"there is no image `{uri}`"
            return failed(name, "CPT708", message, hint="push the image, then plan again: its digest is in the plan")
    return passed(name, f"{image.repository}@{image.digest or wanted['imageTag']}")
