"""An engine that takes docker's words and runs nothing, for what is done to images."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.local.containers import Engine, find_builder

FAKE = Path(__file__).parents[1] / "fake_docker.py"

FAMILIES = {
    "docker": "Docker version 28.2.2, build e6534b4\n",
    "podman": "podman version 4.3.1\n",
    "buildah": "buildah version 1.28.2 (image-spec 1.1.0-rc2, runtime-spec 1.0.2-dev)\n",
}


class Fake:
    """What the engine knows, and what it was asked."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def becomes(self, family: str) -> Engine:
        (self.state / "named").write_text(FAMILIES[family])
        (self.state / "info").write_text("{}" if family == "docker" else '{"host": {}}')
        return find_builder(str(FAKE))

    def has(self, *images: str) -> None:
        (self.state / "here").write_text("".join(f"{image}\n" for image in images))

    def knows(self, file: str, content: object) -> None:
        (self.state / file).write_text(content if isinstance(content, str) else json.dumps(content))

    def calls(self, command: str = "") -> list[list[str]]:
        lines = (self.state / "calls").read_text().splitlines()
        return [words for words in map(json.loads, lines) if command in ("", words[0])]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    state = tmp_path / "docker"
    state.mkdir()
    monkeypatch.setenv("FAKE_DOCKER", str(state))
    return Fake(state)


@pytest.fixture
def told() -> tuple[list[str], Callable[[str], None]]:
    """Give a list, and what fills it with the lines that a user sees."""
    lines: list[str] = []
    return lines, lines.append
