"""The promises of the ports, kept alike by the fakes and by the engine of this machine.

moto_tests/test_cloud_engine.py holds the engine of the cloud against the same ones.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloudcpt.jobs.ports import JobState
from cloudcpt.plan.plan import Plan
from tests.fakes import FakeJobs, FakeLogs, FakeModels, small_plan
from tests.jobs.port_promises import *  # noqa: F403
from tests.jobs.port_promises import Place
from tests.local.engines import end_all, fake_engine


def fake_place(folder: Path, way: str) -> Place:
    ends = {"completes": JobState.COMPLETED, "fails": JobState.FAILED, "goes on": None}
    end = ends[way]
    jobs = FakeJobs(end=end) if end else FakeJobs(hold=JobState.TRAINING)
    (folder / "models").mkdir()
    return Place(jobs, FakeLogs(jobs), FakeModels(jobs, folder / "models"))


@pytest.fixture(params=["fake", "local"])
def place_where_a_job(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    engines = []

    def make(way: str) -> Place:
        if request.param == "fake":
            return fake_place(tmp_path, way)
        behaviours = {"completes": "complete", "fails": "fail", "goes on": "wait"}
        engines.append(fake_engine(tmp_path / "state", behaviours[way]))
        return Place(engines[-1], engines[-1], engines[-1])

    yield make
    for engine in engines:
        end_all(engine)


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[[int], Plan]:
    return lambda seed: small_plan(tmp_path / "train.jsonl", seed=seed)
