"""The whole trainer as the platform starts it: `python -m cloudcpt.train` on a tiny random model, real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.train.failures import read_failure
from cloudcpt.wire import model_faults, parse_progress

pytestmark = [pytest.mark.train, pytest.mark.slow]

Job = Any  # tests/train/conftest.py: TinyJob
Start = Callable[[Job], subprocess.Popen[str]]

TWO_PROCESSES = {"processes_per_node": 2}


@pytest.fixture
def start() -> Iterator[Start]:
    """Start the trainer on a job; its log goes to a file beside the job."""
    started: list[subprocess.Popen[str]] = []

    def trainer(job: Job) -> subprocess.Popen[str]:
        job.ml.plan.parent.mkdir(parents=True, exist_ok=True)
        job.ml.plan.write_text(job.plan.to_json(), "utf-8")
        path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "cloudcpt.train", "--root", str(job.ml.root)]
        with (job.ml.root / "log").open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield trainer
    for process in started:
        process.kill()
        process.wait()


def log_of(job: Job) -> str:
    return str((job.ml.root / "log").read_text("utf-8"))


def wait_for_a_step(job: Job, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not (job.ml.metrics.exists() and '"step", "step": 2' in job.ml.metrics.read_text("utf-8")):
        assert process.poll() is None, log_of(job)
        assert time.monotonic() < deadline, log_of(job)
        time.sleep(0.05)


def test_two_processes_train_and_leave_a_whole_model(tiny_job: Callable[..., Job], start: Start) -> None:
    job = tiny_job(world=TWO_PROCESSES, geometry={"accumulation": 2})
    assert start(job).wait(180) == 0, log_of(job)
    assert model_faults(job.ml.model) == []
    assert not job.ml.failure.exists()
    steps = job.plan.geometry.steps
    assert [row["step"] for row in job.records("step")] == list(range(1, steps + 1))
    assert job.records("run")[0]["world_size"] == 2
    assert {(row["set"], row["step"]) for row in job.records("eval")} == {
        (name, step) for name in ("domain", "general") for step in (0, steps)
    }
    assert job.records("end")[0]["outcome"] == "completed"
    progress = [found for line in log_of(job).splitlines() if (found := parse_progress(line))]
    assert [(found.step, found.total_steps) for found in progress] == [(step, steps) for step in range(1, steps + 1)]
    assert list(job.ml.tensorboard.iterdir())


@pytest.mark.parametrize("processes", [1, 2])
def test_sigterm_stops_after_a_step_and_saves_no_model(
    tiny_job: Callable[..., Job], start: Start, processes: int
) -> None:
    job = tiny_job(world={"processes_per_node": processes}, geometry={"steps": 100_000, "accumulation": 4 // processes})
    process = start(job)
    wait_for_a_step(job, process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 7, log_of(job)
    last = job.records("step")[-1]["step"]
    assert job.records("end")[0] | {"seconds": 0} == {"kind": "end", "step": last, "outcome": "stopped", "seconds": 0}
    failure = read_failure(job.ml)
    assert failure is not None
    assert (failure.code, failure.message) == ("CPT660", f"stopped by SIGTERM after step {last}; no model was saved")
    assert not job.ml.model.exists()


def test_a_changed_byte_ends_the_job_with_the_name_of_the_file(tiny_job: Callable[..., Job], start: Start) -> None:
    """One process finds it, the other only loses its peer: the reason is the first one's."""
    job = tiny_job(world=TWO_PROCESSES, geometry={"accumulation": 2})
    path = job.ml.channel("train") / "data.jsonl"
    path.write_bytes(path.read_bytes().replace(b"river", b"rover", 1))
    assert start(job).wait(120) == 1, log_of(job)
    failure = read_failure(job.ml)
    assert failure is not None
    assert failure.code == "CPT650", log_of(job)
    assert "`train/data.jsonl` has other content" in failure.message
