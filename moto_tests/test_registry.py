"""Private registries of AWS over HTTP: the repository, the password, the tag that is taken, the base image there."""

import base64
import hashlib
import json

import pytest

from cloudcpt.aws.registry import ensure_repository, find_tagged, registry_login
from cloudcpt.cli.main import main
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.image.base_image import fetch_base
from cloudcpt.image.registry import sign_in
from cloudcpt.jobs.access import PrivateImage, private_image
from tests.image.conftest import FAKE, Fake, fake

__all__ = ["fake"]

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
IMAGE_ID = "ab" * 32
"""Of every image that the engine has."""


def named(image: str) -> PrivateImage:
    found = private_image(image)
    assert found is not None
    return found


def put(cloud: FakeCloud, config: str, tag: str = "1") -> str:
    """Put an image into the repository and give its digest."""
    client = cloud.store("ecr")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    about = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 1, "digest": config}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": about, "layers": []})
    answer = client.put_image(repositoryName="cloudcpt", imageManifest=manifest, imageTag=tag)
    return str(answer["image"]["imageId"]["imageDigest"])


def password(cloud: FakeCloud) -> str:
    """Ask for the password as anybody may; the fake gives the same each time."""
    token = cloud.store("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]


def test_a_repository_is_made_once_with_tags_that_cannot_be_moved(fake_cloud: FakeCloud) -> None:
    for _ in range(2):
        ensure_repository(named(f"{REGISTRY}/team/cloudcpt:1"))
    (made,) = fake_cloud.store("ecr").describe_repositories()["repositories"]
    assert (made["repositoryName"], made["imageTagMutability"]) == ("team/cloudcpt", "IMMUTABLE")
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert fake_cloud.ecr.calls.operations().count("CreateRepository") == 1


def test_a_repository_that_is_there_stays_as_it_is(fake_cloud: FakeCloud) -> None:
    fake_cloud.store("ecr").create_repository(repositoryName="cloudcpt", imageTagMutability="MUTABLE")
    ensure_repository(named(f"{REGISTRY}/cloudcpt:1"))
    (found,) = fake_cloud.store("ecr").describe_repositories()["repositories"]
    assert found["imageTagMutability"] == "MUTABLE"


def test_the_password_is_decoded_and_in_nothing_that_could_be_printed(fake_cloud: FakeCloud) -> None:
    login = registry_login("us-east-1", REGISTRY)
    assert (login.user, login.password) == ("AWS", password(fake_cloud))
    assert login.password not in repr(login)


def test_what_a_tag_means_is_found_out(fake_cloud: FakeCloud) -> None:
    fake_cloud.store("ecr").create_repository(repositoryName="cloudcpt")
    assert find_tagged(named(f"{REGISTRY}/cloudcpt:1")) is None
    digest = put(fake_cloud, f"sha256:{IMAGE_ID}")
    found = find_tagged(named(f"{REGISTRY}/cloudcpt:1"))
    assert found is not None
    assert (found.digest, found.config) == (digest, f"sha256:{IMAGE_ID}")


@pytest.mark.parametrize(
    ("action", "doing"),
    [
        ("ecr:DescribeRepositories", "look at the repository `cloudcpt`"),
        ("ecr:CreateRepository", "make the repository `cloudcpt`"),
        ("ecr:BatchGetImage", "look for the tag `1` in `cloudcpt`"),
        ("ecr:GetAuthorizationToken", f"log in to `{REGISTRY}`"),
    ],
)
def test_a_permission_that_is_missing_is_named(
    fake_cloud: FakeCloud, fake: Fake, action: str, doing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_cloud.denied.add(action)
    assert main(["image", "push", "mine", "--to", f"{REGISTRY}/cloudcpt:1", "--engine", str(FAKE)]) == 3
    said = capsys.readouterr().err
    assert "error[CPT403]" in said
    assert f"not allowed to {doing}: `{action}`" in said
    assert fake.calls("push") == []


def test_without_credentials_nothing_is_pushed_or_pulled(
    fake_cloud: FakeCloud, fake: Fake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fake.has("mine")
    assert main(["image", "push", "mine", "--to", f"{REGISTRY}/cloudcpt:1", "--engine", str(FAKE)]) == 3
    base = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.10"
    assert main(["image", "build", "--base", base, "--engine", str(FAKE)]) == 3
    said = capsys.readouterr().err
    assert said.count("error[CPT400]") == 2
    assert "aws configure" in said
    assert {call[0] for call in fake.calls()} == {"--version", "info", "image"}


@pytest.mark.parametrize("family", ["podman", "buildah"])
def test_a_push_logs_in_through_a_pipe_and_shows_the_password_to_nobody(
    fake_cloud: FakeCloud, fake: Fake, family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.becomes(family)
    assert main(["image", "push", "mine", "--to", f"{REGISTRY}/cloudcpt:1", "--engine", str(FAKE)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{REGISTRY}/cloudcpt@sha256:{'ef' * 32}\n"
    assert fake.calls("login") == [["login", "--username", "AWS", "--password-stdin", REGISTRY]]
    canary = password(fake_cloud)
    assert (fake.state / "password").read_text() == canary
    assert canary not in shown.out + shown.err + (fake.state / "calls").read_text()


def test_a_password_that_the_registry_refuses_is_not_quoted(
    fake_cloud: FakeCloud, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.knows("refuses.json", {"login": "Error: logging into the registry: invalid username/password"})
    assert main(["image", "push", "mine", "--to", f"{REGISTRY}/cloudcpt:1", "--engine", str(FAKE)]) == 3
    said = capsys.readouterr().err
    assert f"`{REGISTRY}` does not let us in: logging into the registry: invalid username/password" in said
    assert password(fake_cloud) not in said


@pytest.mark.parametrize("is_id_of_the_manifest", [False, True])
def test_what_is_there_already_is_not_pushed_again(
    fake_cloud: FakeCloud, fake: Fake, is_id_of_the_manifest: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_cloud.store("ecr").create_repository(repositoryName="cloudcpt", imageTagMutability="IMMUTABLE")
    digest = put(fake_cloud, f"sha256:{IMAGE_ID}")
    if is_id_of_the_manifest:
        fake.knows("image.json", {"Id": digest})
    assert main(["image", "push", "mine", "--to", f"{REGISTRY}/cloudcpt:1", "--engine", str(FAKE)]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{REGISTRY}/cloudcpt@{digest}\n"
    assert "is this image already" in shown.err
    assert fake.calls("push") == []


def test_a_tag_that_another_image_has_is_refused_before_anything_is_sent(
    fake_cloud: FakeCloud, fake: Fake, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_cloud.store("ecr").create_repository(repositoryName="cloudcpt", imageTagMutability="IMMUTABLE")
    put(fake_cloud, "sha256:" + hashlib.sha256(b"another").hexdigest())
    assert main(["image", "push", "mine", "--to", f"{REGISTRY}/cloudcpt:1", "--engine", str(FAKE)]) == 3
    said = capsys.readouterr().err
    assert "error[CPT798] another image has the tag `1` in `cloudcpt`" in said
    assert f"`--to {REGISTRY}/cloudcpt:TAG`" in said
    assert fake.calls("login") == fake.calls("push") == []


@pytest.mark.parametrize(
    "registry",
    ["763104351884.dkr.ecr.us-west-2.amazonaws.com", "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn"],
)
def test_a_base_in_a_registry_of_another_account_is_logged_in_to_and_no_repository_is_made(
    fake_cloud: FakeCloud, fake: Fake, registry: str
) -> None:
    engine = fake.becomes("docker")
    fetch_base(engine, f"{registry}/pytorch-training:2.10", list[str]().append)
    assert fake.calls("login")[0][-1] == registry
    assert [call[0] for call in fake.calls()[-2:]] == ["login", "pull"]
    assert fake_cloud.ecr.calls.operations() == ("GetAuthorizationToken",)


def test_other_registries_are_the_users_own_business(fake_cloud: FakeCloud, fake: Fake) -> None:
    sign_in(fake.becomes("podman"), "registry.example/cloudcpt:1")
    assert fake.calls("login") == []
    assert fake_cloud.ecr.calls.operations() == ()
