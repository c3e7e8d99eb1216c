"""The container lane: the real image, in a real engine, started by the real command.

`make dry-run` builds the image and runs these; `make test` leaves them out, because they need an engine and minutes. A
lane that cannot run says so there, before pytest starts: nothing here is skipped. Others may use the engine at the same
time: every job here has a name of its own, and only those are looked for.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest

from cloudcpt import __version__
from cloudcpt.local.containers import Engine, find_engine
from cloudcpt.local.dry_run import engine_name
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.leftovers import LABEL
from cloudcpt.wire import COMPLETE_FILE, MlFolder, model_faults

IMAGE = os.environ.get("CLOUDCPT_TEST_IMAGE", f"localhost/cloudcpt:{__version__}-cpu")

PATIENCE_S = 200.0
"""For whatever a test waits for; no test is about time, and a loaded machine takes its own."""

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
        "optim": {"lr": 1e-2, "sched": {"warmup_steps": 2, "min_lr": 1e-4}},
    },
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the lane out of every run that does not name it."""
    wanted = config.getoption("markexpr")
    unwanted = "torture" if "container" in wanted else "container"
    lane = [item for item in items if item.get_closest_marker("container") and item.get_closest_marker(unwanted)]
    if "container" in wanted and "torture" in wanted:
        return
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
    made: set[str] = field(default_factory=set)
    said: str = ""

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
        self.said = ended.stderr
        job = str(json.loads(ended.stdout)["name"])
        self.made.add(self.engine_name(job))
        return job

    def status(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.cloudcpt("status", job, "--output", "json").stdout)
        return found

    def failure(self, job: str) -> dict[str, Any]:
        """Give the failure that the client shows, whose cause has to be where a glance falls."""
        found: dict[str, Any] = self.status(job)["failure"]
        return found

    def engine_name(self, job: str) -> str:
        return engine_name(MlFolder(self.ml(job)), job)

    def container(self, job: str, host: str = "algo-1") -> str:
        return f"{self.engine_name(job)}-{host}"

    def process_of(self, job: str, host: str = "algo-1") -> Path:
        """Give the folder in which the kernel tells of process 1 of a container, seen from outside."""
        asked = self.engine.ask("inspect", "--format", "{{.State.Pid}}", self.container(job, host))
        return Path("/proc", asked.out.strip())

    def containers(self, name: str) -> list[str]:
        return self.engine.ask("ps", "--all", "--quiet", "--filter", f"label={LABEL}={name}").out.split()

    def networks(self, name: str) -> list[str]:
        return self.engine.ask("network", "ls", "--quiet", "--filter", f"name={name}").out.split()

    def ml(self, job: str) -> Path:
        return self.state / "jobs" / job / "ml"

    def has_model(self, job: str) -> bool:
        """Tell whether there is a whole model; half of one would be neither."""
        model = self.ml(job) / "model"
        assert not (model / COMPLETE_FILE).exists() or model_faults(model) == []
        return (model / COMPLETE_FILE).exists()

    def log(self, job: str) -> str:
        return (self.state / "jobs" / job / "log.txt").read_text("utf-8", "replace")

    def steps(self, job: str) -> list[tuple[str, ...]]:
        """Step, loss and gradient norm of every logged step."""
        rows = [line.split("|") for line in self.log(job).splitlines() if line[:1].isdigit() and line.count("|") >= 3]
        return [(row[0], row[1], row[3].split()[2]) for row in rows]

    def wait(self, until: Callable[[], object], pause_s: float = 0.05) -> float:
        """Wait for something and give the seconds that it took."""
        started = time.monotonic()
        while not until():
            assert time.monotonic() - started < PATIENCE_S, "it did not happen"
            time.sleep(pause_s)
        return time.monotonic() - started

    def wait_for_step(self, job: str, step: int) -> None:
        self.wait(lambda: any(int(row[0]) >= step for row in self.steps(job)) or self.is_over(job))
        assert not self.is_over(job), self.log(job)

    def is_over(self, job: str) -> bool:
        return LocalEngine(self.state).status(job).state.is_final

    def wait_for_end(self, job: str, what: str, since: float | None = None) -> dict[str, Any]:
        """Wait, say how long it took, since a moment or from now, and give what `cloudcpt status` says then."""
        started = since or time.monotonic()
        self.wait(lambda: self.is_over(job))
        sys.stderr.write(f"{what}: {time.monotonic() - started:.1f} s to the end\n")
        return self.status(job)


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference of the Python language, which is part of every Python: half a megabyte of prose."""
    path = tmp_path_factory.mktemp("text") / "train.jsonl"
    documents = (paragraph for topic in sorted(topics) for paragraph in topics[topic].split("\n\n"))
    long = (json.dumps({"text": paragraph.strip()}) + "\n" for paragraph in documents if len(paragraph) > 80)
    path.write_text("".join(dict.fromkeys(long)), "utf-8")
    return path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 90,000 random weights that reads bytes."""
    from cloudcpt.train.stand_in import build_stand_in

    folder = tmp_path_factory.mktemp("models") / "base"
    build_stand_in(folder, seed=1, context_tokens=64)
    return folder


def open_lane(folder: Path, text: Path, base: Path, engine: Engine) -> Iterator[Lane]:
    shutil.copy(text, folder / "train.jsonl")
    shutil.copytree(base, folder / "base")
    lane = Lane(folder=folder, engine=engine, state=folder / "state")
    yield lane
    for job in (path.name for path in (lane.state / "jobs").glob("[!.]*")):
        if not lane.is_over(job):
            lane.cloudcpt("stop", job)
            lane.wait(lambda job=job: lane.is_over(job))
    left = [found for name in lane.made for found in (*lane.containers(name), *lane.networks(name))]
    assert left == [], "containers or networks were left behind"


@pytest.fixture
def lane(tmp_path: Path, text: Path, base: Path, engine: Engine) -> Iterator[Lane]:
    yield from open_lane(tmp_path, text, base, engine)
