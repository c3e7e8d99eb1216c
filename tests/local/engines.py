"""Local engines whose trainer is `fake_trainer.py`, and how tests wait for what other processes do."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from cloudcpt.jobs.ports import JobState, JobStatus
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.lock import is_claimed
from cloudcpt.local.start import Trainer

FAKE_TRAINER = Path(__file__).with_name("fake_trainer.py")


def fake_engine(state: Path, behaviour: str = "complete", *, grace_s: float = 20.0) -> LocalEngine:
    """Make an engine whose jobs behave as told."""
    trainer = Trainer(command=(sys.executable, str(FAKE_TRAINER), behaviour), packages=())
    return LocalEngine(state, trainer=trainer, grace_s=grace_s)


def until(condition: Callable[[], object], *, timeout_s: float = 30.0) -> None:
    """Wait for another process to make something true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"nothing came of it within {timeout_s} s"
        time.sleep(0.02)


def wait_for(engine: LocalEngine, name: str, *states: JobState) -> JobStatus:
    """Wait for a job to reach one of the states, or any final one."""
    until(lambda: (now := engine.status(name).state) in states or now.is_final)
    return engine.status(name)


def end_all(engine: LocalEngine) -> None:
    """Leave no process behind."""
    folders = [engine.folder(name) for name in engine.names()]
    for folder in folders:
        folder.stop.touch()  # not by `stop`, which refuses a folder that a test has damaged
    until(lambda: not any(is_claimed(folder.lock) for folder in folders))
