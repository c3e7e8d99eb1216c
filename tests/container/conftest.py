"""The container lane: the real image, in a real engine, started by the real command.

`make dry-run` builds the image and runs these; `make test` leaves them out, because they need an engine and minutes. A
lane that cannot run says so there, before pytest starts: nothing here is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cloudcpt import __version__
from cloudcpt.local.containers import Engine, find_engine

IMAGE = os.environ.get("CLOUDCPT_TEST_IMAGE", f"localhost/cloudcpt:{__version__}-cpu")

WORDS = ("river", "stone", "winter", "engine", "letter", "garden", "window", "copper", "harbour", "silver")

RECIPE = {
    "run": {
        "name": "lane",
        "model_type": "hf",
        "model_name_or_path": "base",
        "replicas": 1,
        "data_s3_path": "train.jsonl",
    },
    "training_config": {
        "max_length": 64,
        "global_batch_size": 32,
        "trainer": {"max_steps": 20, "log_every_steps": 1},
        "optim": {"lr": 1e-3, "sched": {"warmup_steps": 2, "min_lr": 1e-5}},
    },
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the lane out of every run that does not name it."""
    if "container" in config.getoption("markexpr"):
        return
    lane = [item for item in items if item.get_closest_marker("container")]
    config.hook.pytest_deselected(items=lane)
    items[:] = [item for item in items if item not in lane]


@pytest.fixture(scope="session")
def engine() -> Engine:
    return find_engine(os.environ.get("CLOUDCPT_TEST_ENGINE", ""))


@dataclass
class Lane:
    """One folder of data and recipes, and a state directory of its own."""

    folder: Path
    engine: Engine
    state: Path

    def recipe(self, changes: dict[str, Any] | None = None) -> Path:
        path = self.folder / "recipe.yaml"
        merged = json.loads(json.dumps(RECIPE))
        _merge(merged, {"launch": {"container": {"image": IMAGE, "engine": self.engine.program}}})
        _merge(merged, changes or {})
        path.write_text(json.dumps(merged), "utf-8")  # JSON is YAML
        return path

    def cloudcpt(self, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "CLOUDCPT_STATE_DIR": str(self.state)}
        command = [sys.executable, "-m", "cloudcpt", *words]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=check, timeout=280
        )

    def submit(self, *words: str, follow: bool = True, changes: dict[str, Any] | None = None) -> str:
        """Submit the job, and give its name."""
        options = ["--target", "container", "--output", "json", *words]
        ended = self.cloudcpt("submit", str(self.recipe(changes)), *options, *(["--follow"] if follow else []))
        assert ended.stdout, ended.stderr
        return str(json.loads(ended.stdout)["name"])

    def status(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cloudcpt("status", job, "--output", "json").stdout)
        return found

    def ml(self, job: str) -> Path:
        return self.state / "jobs" / job / "ml"

    def log(self, job: str) -> str:
        return (self.state / "jobs" / job / "log.txt").read_text("utf-8", "replace")

    def steps(self, job: str) -> list[tuple[str, ...]]:
        """Step, loss and gradient norm of every logged step."""
        rows = [line.split("|") for line in self.log(job).splitlines() if line[:1].isdigit() and line.count("|") >= 3]
        return [(row[0], row[1], row[3].split()[2]) for row in rows]

    def wait(self, until: Callable[[], bool], limit_s: float = 120) -> float:
        """Wait for something and give the seconds that it took."""
        started = time.monotonic()
        while not until():
            assert time.monotonic() - started < limit_s, "it did not happen"
            time.sleep(0.1)
        return time.monotonic() - started

    def wait_for_step(self, job: str, step: int) -> None:
        self.wait(lambda: any(int(row[0]) >= step for row in self.steps(job)))

    def wait_for_end(self, job: str, limit_s: float = 200) -> tuple[dict[str, Any], float]:
        ended: dict[str, Any] = {}

        def is_over() -> bool:
            ended.update(self.status(job))
            return ended["state"] in ("completed", "failed", "stopped")

        seconds = self.wait(is_over, limit_s)
        return ended, seconds


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "train.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(600):
            words = " ".join(WORDS[(number * 7 + place * (number % 13 + 1)) % len(WORDS)] for place in range(40))
            file.write(json.dumps({"text": f"{number}: {words}"}) + "\n")
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 90,000 random weights that reads bytes."""
    from cloudcpt.train.stand_in import build_stand_in

    folder = tmp_path_factory.mktemp("models") / "base"
    build_stand_in(folder, seed=1, context_tokens=64)
    return folder


@pytest.fixture
def lane(tmp_path: Path, text: Path, base: Path, engine: Engine) -> Iterator[Lane]:
    shutil.copy(text, tmp_path / "train.jsonl")
    shutil.copytree(base, tmp_path / "base")
    lane = Lane(folder=tmp_path, engine=engine, state=tmp_path / "state")
    yield lane
    for job in (path.name for path in (lane.state / "jobs").glob("[!.]*")):
        if lane.status(job)["state"] not in ("completed", "failed", "stopped"):
            lane.cloudcpt("stop", job)
            lane.wait_for_end(job)
    left = engine.ask("ps", "--all", "--quiet", "--filter", "label=cloudcpt.job").out.split()
    assert left == [], "containers were left behind"
