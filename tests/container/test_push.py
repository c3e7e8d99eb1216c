"""A real engine pushes to a real registry over loopback, and what it prints is what a recipe takes."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from cloudcpt.errors import SetupError, TransientError
from cloudcpt.image.base_image import fetch_base, pinned
from cloudcpt.local.containers import Engine, repository_of
from tests.container.conftest import Lane
from tests.container.registry import Registry

pytestmark = pytest.mark.container

Push = Callable[..., subprocess.CompletedProcess[str]]
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@pytest.fixture
def images(tmp_path: Path, engine: Engine) -> Iterator[list[str]]:
    """Make two images of one file each, under names of their own."""
    made = []
    for number in (1, 2):
        (tmp_path / "file").write_text(f"content {number} of {tmp_path}")
        archive = tmp_path / f"{number}.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(tmp_path / "file", "file")
        name = f"localhost/cloudcpt-push-{os.getpid()}:{number}"
        assert engine.ask("import", str(archive), name).status == 0
        made.append(name)
    yield made
    engine.ask("rmi", "--force", *(engine.image_id(name) for name in made))


@pytest.fixture
def push(engine: Engine) -> Push:
    def run(image: str, target: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cloudcpt", "image", "push", image, "--to", target, "--engine", engine.program]
        return subprocess.run(
            [*command, "--plain-http", *words], capture_output=True, text=True, check=False, timeout=120
        )

    return run


def digest_of(registry: Registry, repository: str, tag: str) -> str:
    request = Request(
        f"http://{registry.name}/v2/{repository}/manifests/{tag}", headers={"Accept": ",".join(_MANIFESTS)}
    )
    with urlopen(request) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def test_the_digest_that_is_printed_is_the_registrys_and_brings_the_image_back(
    engine: Engine, images: list[str], push: Push
) -> None:
    with Registry() as registry:
        pushed = push(images[0], f"{registry.name}/team/cloudcpt:1").stdout.strip()
        assert registry.manifests["team/cloudcpt", "1"][0] == "application/vnd.docker.distribution.manifest.v2+json"
        assert pushed == f"{registry.name}/team/cloudcpt@{digest_of(registry, 'team/cloudcpt', '1')}"
        again = json.loads(push(images[0], f"{registry.name}/team/cloudcpt:1", "--output", "json").stdout)
        assert again["image"] == pushed
        image_id = engine.image_id(images[0])
        assert engine.ask("rmi", "--force", image_id).status == 0
        insecure = ["--tls-verify=false"] if engine.kind == "podman" else []
        assert engine.ask("pull", *insecure, pushed).status == 0
        assert engine.image_id(pushed) == image_id
        engine.ask("tag", pushed, images[0])


def test_a_base_image_is_fetched_and_one_that_is_not_there_says_so(
    engine: Engine, images: list[str], push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry() as registry:
        # docker trusts a registry on this machine; podman wants to be told.
        (tmp_path / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry.name}"\ninsecure = true\n')
        monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
        base = push(images[0], f"{registry.name}/base:1").stdout.strip()
        image_id = engine.image_id(images[0])
        assert engine.ask("rmi", "--force", image_id).status == 0
        assert not engine.has(base)
        lines: list[str] = []
        fetch_base(engine, base, lines.append)
        assert engine.image_id(base) == image_id
        assert pinned(engine, base) == base
        assert lines, "the engine's own progress"
        engine.ask("tag", base, images[0])
        with pytest.raises(SetupError, match=r"CPT794.*could not be fetched: .*manifest unknown"):
            fetch_base(engine, f"{registry.name}/base:2", lines.append)
    with pytest.raises(TransientError, match=r"CPT794.*connection refused"):
        fetch_base(engine, f"{registry.name}/base:1", lines.append)


def test_what_is_printed_for_a_registry_of_aws_is_what_a_recipe_takes(
    lane: Lane, images: list[str], push: Push
) -> None:
    with Registry() as registry:
        pushed = push(images[0], f"{registry.name}/team/cloudcpt:1").stdout.strip()
    image = pushed.replace(registry.name, "123456789012.dkr.ecr.us-east-1.amazonaws.com")
    role = "arn:aws:iam::123456789012:role/cloudcpt"
    launch = {"target": "sagemaker", "region": "us-east-1", "role": role, "image": image, "max_runtime_hours": 1}
    recipe = lane.recipe({"launch": launch, "run": {"output_s3_path": "s3://my-bucket/runs"}})
    planned = lane.cloudcpt("plan", str(recipe), "--output", "json")
    assert json.loads(planned.stdout)["plan"]["launch"]["image"] == image, planned.stderr


def test_a_tag_that_cannot_be_moved_keeps_its_image_and_another_is_proposed(images: list[str], push: Push) -> None:
    with Registry(is_immutable=True) as registry:
        target = f"{registry.name}/cloudcpt:1"
        pushed = push(images[0], target).stdout.strip()
        refused = push(images[1], target)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert "error[CPT798]" in refused.stderr
        assert "name another one, `--to REPOSITORY:TAG`" in refused.stderr
        assert f"{repository_of(target)}@{digest_of(registry, 'cloudcpt', '1')}" == pushed
        assert push(images[1], f"{registry.name}/cloudcpt:2").returncode == 0


def test_a_registry_that_wants_a_password_says_how_to_log_in(images: list[str], push: Push, engine: Engine) -> None:
    with Registry(password="canary") as registry:
        refused = push(images[0], f"{registry.name}/cloudcpt:1")
        assert refused.returncode == 3
        assert "error[CPT798]" in refused.stderr
        assert f"log in with `{engine.program} login {registry.name}`" in refused.stderr


def test_a_registry_that_is_down_may_be_up_later(images: list[str], push: Push) -> None:
    with Registry() as registry:
        name = registry.name
    failed = push(images[0], f"{name}/cloudcpt:1")
    assert failed.returncode == 5
    assert "error[CPT798]" in failed.stderr
    assert f"check that `{name}` can be reached" in failed.stderr
