"""A push names the image by the digest that the registry has, or says who refused it and what helps."""

import json

import pytest

from cloudcpt import __version__
from cloudcpt.cli.main import main
from cloudcpt.errors import CloudcptError, SetupError, TransientError
from cloudcpt.image.push import push
from tests.image.conftest import FAKE, Fake

TARGET = "127.0.0.1:5000/team/cloudcpt:1"
TAKEN = (
    "tag invalid: The image tag '1' already exists in the 'x' repository and cannot be overwritten "
    "because the tag is immutable."
)


@pytest.mark.parametrize("family", ["podman", "buildah"])
def test_podman_and_buildah_note_the_digest(fake: Fake, told, family: str) -> None:
    pushed = push(fake.becomes(family), "mine", TARGET, told[1], is_plain=True)
    assert pushed == "127.0.0.1:5000/team/cloudcpt@sha256:" + "ef" * 32
    (words,) = fake.calls("push")
    assert words[1] == "--tls-verify=false"
    assert ["tag", "mine", TARGET] in fake.calls()


def test_docker_remembers_the_digest_beside_the_image(fake: Fake, told) -> None:
    digests = ["other.example/x@sha256:" + "11" * 32, "127.0.0.1:5000/team/cloudcpt@sha256:" + "22" * 32]
    fake.knows("image.json", {"RepoDigests": digests})
    assert push(fake.becomes("docker"), "mine", TARGET, told[1], is_plain=True) == digests[1]
    assert fake.calls("push") == [["push", TARGET]]


def test_an_engine_that_names_no_digest_is_not_believed(fake: Fake, told) -> None:
    fake.knows("image.json", {"RepoDigests": []})
    with pytest.raises(TransientError, match="CPT792"):
        push(fake.becomes("docker"), "mine", TARGET, told[1])


def test_an_image_that_is_not_here_is_not_pushed(fake: Fake, told) -> None:
    with pytest.raises(SetupError, match="CPT790"):
        push(fake.becomes("podman"), "absent", TARGET, told[1])
    assert fake.calls("push") == []


@pytest.mark.parametrize(
    ("complaint", "raises", "hint"),
    [
        (TAKEN, SetupError, "`--to REPOSITORY:TAG`"),
        ("denied: User: arn:aws:iam::1:user/me is not authorized", SetupError, "docs/container.md"),
        ("no basic auth credentials", SetupError, "login 127.0.0.1:5000`"),
        ("http: server gave HTTP response to HTTPS client", SetupError, "`--plain-http`"),
        ("dial tcp 127.0.0.1:5000: connect: connection refused", TransientError, "`127.0.0.1:5000` can be reached"),
        ("received unexpected HTTP status: 503 Service Unavailable", TransientError, "try again"),
    ],
)
def test_a_registry_that_refuses_is_quoted_and_answered(
    fake: Fake, told, complaint: str, raises: type[CloudcptError], hint: str
) -> None:
    fake.knows("refuses.json", {"push": complaint})
    with pytest.raises(raises, match="CPT798") as raised:
        push(fake.becomes("podman"), "mine", TARGET, told[1])
    (found,) = raised.value.diagnostics
    assert found.message == f"`{TARGET}` could not be pushed: {complaint}"
    assert hint in str(found.hint)


def test_what_podman_repeats_for_each_format_is_said_once(fake: Fake, told) -> None:
    formats = ("oci.image.manifest.v1+json", "docker.distribution.manifest.v2+json")
    attempts = ", ".join(f"application/vnd.{name}(writing manifest: {TAKEN})" for name in formats)
    fake.knows("refuses.json", {"push": f"Error: Uploading failed, attempted the following formats: {attempts}"})
    with pytest.raises(SetupError) as raised:
        push(fake.becomes("podman"), "mine", TARGET, told[1])
    assert raised.value.diagnostics[0].message.count("already exists") == 1


def test_the_tag_is_the_version_and_the_answer_can_be_json(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.becomes("buildah")
    words = ["image", "push", "mine", "--to", "127.0.0.1:5000/x", "--engine", str(FAKE), "--output", "json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["image"] == "127.0.0.1:5000/x@sha256:" + "ef" * 32
    assert fake.calls("push")[0][-1] == f"127.0.0.1:5000/x:{__version__}"


@pytest.mark.parametrize("name", ["nonsense", "team/cloudcpt:1", "123456789012.dkr.ecr.us-east-1.amazonaws.com"])
def test_a_target_without_a_registry_or_a_repository_is_no_target(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["image", "push", "mine", "--to", name]) == 2
    assert f"`{name}` is not a registry and a repository" in capsys.readouterr().err


def test_a_target_by_digest_is_no_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "push", "mine", "--to", "r.example/x@sha256:" + "a" * 64]) == 2
    assert "and no digest" in capsys.readouterr().err
