"""Every builder of the machine looks into a real base, and makes the same image of the same files."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloudcpt.image.base_image import look_into
from cloudcpt.image.build import Source, build
from cloudcpt.local.containers import Engine, find_builder
from container.lanes.engines import BASE

pytestmark = pytest.mark.container

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS install
COPY file /file
RUN cat /file > /copy
FROM ${BASE}
ARG VERSION
COPY --from=install /copy /copy
LABEL version="${VERSION}"
ENTRYPOINT ["/bin/cat", "/copy"]
"""


@pytest.fixture
def builders(engine: Engine) -> list[Engine]:
    """Give the engine, and buildah beside podman, whose images it shares."""
    others = ["buildah"] if engine.kind == "podman" and shutil.which("buildah") else []
    return [engine, *map(find_builder, others)]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "file").write_text(f"content of {tmp_path}")
    return tmp_path


@pytest.fixture
def tag(engine: Engine) -> Iterator[str]:
    name = f"localhost/cloudcpt-builders-{os.getpid()}:1"
    yield name
    engine.ask("rmi", "--force", name)


def make(builder: Engine, context: Path, tag: str, lines: list[str]) -> str:
    python = look_into(builder, BASE)
    assert (python.version, python.torch) == ("3.11", "")
    source = Source(revision="abc", epoch_s=1_767_225_600)
    return build(builder, context, base=BASE, python=python, tag=tag, source=source, tell=lines.append)


def test_builders_make_the_same_image_again_and_agree_what_is_in_it(
    builders: list[Engine], context: Path, tag: str
) -> None:
    images = []
    for builder in (*builders, *builders):
        lines: list[str] = []
        images.append(make(builder, context, tag, lines))
        assert any("COPY file" in line for line in lines), "the builder says what it does"
        assert builder.ask_inside(images[-1], "/bin/cat", "/copy").out == f"content of {context}"
        assert builder.inspect(tag)["Config"]["Entrypoint"] == ["/bin/cat", "/copy"]
    assert images[: len(builders)] == images[len(builders) :]


def test_two_builds_under_one_name_give_each_its_own_image(engine: Engine, tmp_path: Path, tag: str) -> None:
    contexts = [tmp_path / name for name in ("one", "two")]
    for context in contexts:
        context.mkdir()
        (context / "Dockerfile").write_text(DOCKERFILE)
        (context / "file").write_text(f"content of {context}")
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(lambda context: make(engine, context, tag, []), contexts))
    assert [engine.ask_inside(image, "/bin/cat", "/copy").out for image in images] == [
        f"content of {context}" for context in contexts
    ]
    engine.ask("rmi", "--force", *images)
