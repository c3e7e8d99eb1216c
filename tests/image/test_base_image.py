"""The base image is fetched where it is missing, is for the machines of the cloud, and has a Python."""

import pytest

from cloudcpt.errors import CloudcptError, SetupError, TransientError
from cloudcpt.image.base_image import fetch_base, look_into, pinned
from cloudcpt.image.context import BasePython
from tests.image.conftest import Fake

GALLERY = "public.ecr.aws/deep-learning-containers/pytorch:2.13"


@pytest.mark.parametrize("family", ["docker", "podman", "buildah"])
def test_the_python_of_a_base_is_found_by_running_it(fake: Fake, family: str) -> None:
    assert look_into(fake.becomes(family), "base") == BasePython(command="/usr/bin/python3", version="3.11", torch="")


def test_aws_keeps_its_python_elsewhere(fake: Fake) -> None:
    fake.knows("inside.json", {"/opt/venv/bin/python": "3.12 /opt/venv/bin/python 2.13.0\n", "python3": "3.9 /x\n"})
    assert look_into(fake.becomes("docker"), "base").torch == "2.13.0"


def test_a_base_whose_torch_is_too_old_is_refused_before_packages_are_fetched(fake: Fake) -> None:
    fake.knows("inside.json", {"python3": "3.13 /usr/bin/python3 2.10.0+cu130\n"})
    with pytest.raises(SetupError, match=r"CPT794.*has torch 2\.10\.0\+cu130, and cloudcpt needs 2\.11 or newer"):
        look_into(fake.becomes("docker"), "base")
    fake.knows("inside.json", {"python3": "3.13 /usr/bin/python3 2.11.0\n"})
    assert look_into(fake.becomes("docker"), "base").torch == "2.11.0"


def test_a_base_without_python_is_refused_with_what_the_engine_said(fake: Fake) -> None:
    fake.knows("inside.json", {})
    with pytest.raises(SetupError, match=r"CPT794.*`base` cannot be built upon: exec: python: not found"):
        look_into(fake.becomes("podman"), "base")


def test_a_base_for_other_machines_is_refused_before_it_is_run(fake: Fake) -> None:
    fake.knows("image.json", {"Architecture": "arm64"})
    with pytest.raises(SetupError, match=r"CPT794.*is for linux/arm64, not for linux/amd64"):
        look_into(fake.becomes("docker"), "base")
    assert fake.calls("run") == []


def test_a_base_is_named_by_the_digest_of_its_registry(fake: Fake) -> None:
    engine = fake.becomes("docker")
    assert pinned(engine, "base") == "registry.example/cloudcpt@sha256:" + "cd" * 32
    fake.knows("image.json", {"RepoDigests": ["localhost/base@sha256:" + "cd" * 32]})
    assert pinned(engine, "localhost/base:1") == "localhost/base:1"


def test_a_public_base_is_pulled_for_the_machines_of_the_cloud(fake: Fake, told) -> None:
    fake.has("another")
    engine = fake.becomes("podman")
    assert not engine.has(GALLERY)
    fetch_base(engine, GALLERY, told[1])
    assert engine.has(GALLERY)
    assert fake.calls("pull") == [["pull", "--platform", "linux/amd64", GALLERY]]
    assert fake.calls("login") == []


def test_the_base_for_rehearsals_is_made_and_not_asked_of_a_registry(fake: Fake, told) -> None:
    with pytest.raises(SetupError, match="CPT794") as raised:
        fetch_base(fake.becomes("podman"), "localhost/cloudcpt-base:bookworm", told[1])
    assert "container/make-base" in str(raised.value.diagnostics[0].hint)
    assert fake.calls("pull") == []


@pytest.mark.parametrize(
    ("complaint", "raises", "hint"),
    [
        ("Error response from daemon: manifest unknown", SetupError, "check the name"),
        ("Error: reading manifest 1 in r.example/x: unauthorized: access denied", SetupError, "login public.ecr.aws"),
        ("dial tcp 127.0.0.1:9: connect: connection refused", TransientError, "`public.ecr.aws` can be reached"),
        ("failed to register layer: write /a: no space left on device", SetupError, "make room"),
        ("toomanyrequests: Rate exceeded", TransientError, "try again"),
    ],
)
def test_a_base_that_does_not_come_says_why_and_what_to_do(
    fake: Fake, told, complaint: str, raises: type[CloudcptError], hint: str
) -> None:
    fake.knows("refuses.json", {"pull": complaint})
    with pytest.raises(raises, match=r"CPT794.*could not be fetched") as raised:
        fetch_base(fake.becomes("docker"), GALLERY, told[1])
    (found,) = raised.value.diagnostics
    assert complaint.removeprefix("Error: ") in found.message
    assert hint in str(found.hint)
    assert told[0] == [complaint]  # the user saw it come
