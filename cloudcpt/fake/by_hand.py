"""The fake started by hand, to try the client without an account: it prints how to reach it and waits for Ctrl-C."""

import json
import shlex
import threading
from collections.abc import Callable, Mapping

from cloudcpt.errors import SetupError, error
from cloudcpt.fake.clock import Clock
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.container import Trainer
from cloudcpt.fake.quotas import TRAINING

BUCKET = "cloudcpt-fake"
ROLE = "cloudcpt-fake"
IMAGE = "cloudcpt"
_CLOSED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
_TRUST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "sagemaker.amazonaws.com"}}]}'
)


def run_by_hand(
    write: Callable[[str], None],
    *,
    runs: bool,
    speed: float,
    ports: Mapping[str, int],
    quotas: Mapping[str, int],
    stop: threading.Event | None = None,
) -> None:
    """Start the fake, print how to reach it, and serve until told to stop or interrupted.

    Args:
        write: Prints one line.
        runs: Train with the bundled loop instead of playing the standard script.
        speed: Seconds of the fake's clock per real second.
        ports: Fixed ports by service, such as `{"s3": 9000}`.
        quotas: Instances granted by instance type.
        stop: Ends the fake; nobody but Ctrl-C does when it is None.

    Raises:
        SetupError: moto is not installed, or a port is taken.
    """
    refuse_without_moto()
    try:
        cloud = FakeCloud(clock=Clock(speed), play=Trainer() if runs else None, ports=dict(ports))
    except OSError as exc:
        raise SetupError(error("CPT481", f"the fake cannot listen: {exc.strerror or exc}")) from exc
    with cloud:
        for instance_type, instances in quotas.items():
            cloud.quotas.set(instance_type, instances, usage=TRAINING)
        for line in introduction(cloud):
            write(line)
        try:
            (stop or threading.Event()).wait()
        except KeyboardInterrupt:
            return


def introduction(cloud: FakeCloud) -> list[str]:
    """Make what a job needs of an account, and give the lines that a shell can evaluate."""
    cloud.store("s3").create_bucket(Bucket=BUCKET)
    cloud.store("s3").put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=_CLOSED)
    role = cloud.store("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=_TRUST)["Role"]["Arn"]
    exports = [f"export {name}={shlex.quote(value)}" for name, value in cloud.environment.items()]
    named = [f"# bucket: s3://{BUCKET}", f"# role: {role}", f"# image: {push_image(cloud)}"]
    return [*exports, *named, "# Ctrl-C ends it and forgets everything"]


def push_image(cloud: FakeCloud) -> str:
    """Put an image into the registry, which nobody runs: its name by digest is what a recipe wants."""
    ecr = cloud.store("ecr")
    repository = ecr.create_repository(repositoryName=IMAGE)["repository"]["repositoryUri"]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})
    pushed = ecr.put_image(repositoryName=IMAGE, imageManifest=manifest, imageTag="latest")
    return f"{repository}@{pushed['image']['imageId']['imageDigest']}"


def refuse_without_moto() -> None:
    """Refuse to start without what stores the objects.

    Raises:
        SetupError: moto's server is not installed.
    """
    try:
        import moto.server  # noqa: F401 - only whether it is there matters
    except ImportError as exc:
        message = "the fake needs moto, which is not installed"
        raise SetupError(error("CPT480", message, hint="`pip install 'cloudcpt[fake]'`")) from exc
