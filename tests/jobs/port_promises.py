"""What the ports of `cloudcpt.jobs.ports` promise.

A test module imports these tests and gives two fixtures: `make_plan` (from a seed) and `place_where_a_job` (from what
its jobs do: `completes`, `fails` with CPT604, `goes on`).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cloudcpt.errors import UsageProblem
from cloudcpt.jobs.follow import follow
from cloudcpt.jobs.ports import START, JobService, JobState, JobStatus, LogSource, ModelSource
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import model_faults


def nap(_: float) -> None:
    time.sleep(0.02)


@dataclass(frozen=True)
class Place:
    """Somewhere jobs run, through its three ports; `pause` lets time pass there."""

    jobs: JobService
    logs: LogSource
    models: ModelSource
    pause: Callable[[float], None] = nap

    def end_of(self, name: str) -> JobStatus:
        *_, last = follow(self.jobs, self.logs, name, pause=self.pause)
        return last.status


@pytest.fixture
def plan(make_plan: Callable[[int], Plan]) -> Plan:
    return make_plan(42)


def test_a_plan_is_one_job_however_often_it_is_created(place_where_a_job, plan):
    place = place_where_a_job("goes on")
    first, second = place.jobs.create(plan), place.jobs.create(plan)
    assert (first.name, first.adopted) == (plan.job_name, False)
    assert (second.name, second.adopted) == (plan.job_name, True)
    assert place.jobs.names() == (plan.job_name,)


def test_jobs_are_named_newest_first(place_where_a_job, make_plan):
    place = place_where_a_job("completes")
    plans = [make_plan(seed) for seed in range(3)]
    for plan in plans:
        place.jobs.create(plan)
    assert place.jobs.names() == tuple(plan.job_name for plan in reversed(plans))


def test_a_job_completes_through_states_in_order_and_has_a_model(place_where_a_job, plan):
    place = place_where_a_job("completes")
    name = place.jobs.create(plan).name
    status = place.end_of(name)
    assert [phase.state for phase in status.phases] == [
        JobState.PENDING,
        JobState.PREPARING,
        JobState.TRAINING,
        JobState.SAVING,
        JobState.COMPLETED,
    ]
    assert [phase.at for phase in status.phases] == sorted(phase.at for phase in status.phases)
    assert status.name == name
    assert status.plan_hash == plan.hash
    assert status.failure is None
    assert status.model
    assert status.is_rehearsal is plan.model.stand_in


def test_a_completed_job_hands_out_a_model_without_faults(place_where_a_job, plan, tmp_path):
    place = place_where_a_job("completes")
    name = place.jobs.create(plan).name
    place.end_of(name)
    place.models.copy(name, tmp_path / "copy")
    assert model_faults(tmp_path / "copy") == []
    assert place.models.faults(name) == []


def test_a_job_without_a_model_says_so(place_where_a_job, plan):
    place = place_where_a_job("fails")
    name = place.jobs.create(plan).name
    assert place.end_of(name).model is None
    assert place.models.faults(name)


def test_a_failed_job_says_why_and_stays_until_it_is_replaced(place_where_a_job, plan):
    place = place_where_a_job("fails")
    name = place.jobs.create(plan).name
    status = place.end_of(name)
    assert status.state is JobState.FAILED
    assert status.failure
    assert status.failure.code == "CPT604"
    assert place.jobs.create(plan).adopted
    assert place.jobs.status(name).state is JobState.FAILED
    again = place.jobs.create(plan, replace=True)
    assert not again.adopted
    assert place.jobs.names() == (again.name,)
    assert place.jobs.status(again.name).plan_hash == plan.hash


def test_a_failed_job_goes_on_when_it_is_resumed_and_is_one_job(place_where_a_job, plan):
    place = place_where_a_job("fails")
    name = place.jobs.create(plan).name
    place.end_of(name)
    on = place.jobs.resume(name)
    assert not on.adopted
    assert place.jobs.names() == (on.name,)
    assert place.jobs.status(on.name).plan_hash == plan.hash
    assert place.end_of(on.name).state is JobState.FAILED


def test_a_running_or_completed_job_is_found_when_it_is_resumed(place_where_a_job, plan):
    place = place_where_a_job("completes")
    name = place.jobs.create(plan).name
    assert place.jobs.resume(name).adopted
    place.end_of(name)
    assert place.jobs.resume(name).adopted
    assert place.jobs.status(name).state is JobState.COMPLETED


def test_a_running_or_completed_job_is_not_replaced(place_where_a_job, plan):
    place = place_where_a_job("completes")
    name = place.jobs.create(plan).name
    assert place.jobs.create(plan, replace=True).adopted
    place.end_of(name)
    assert place.jobs.create(plan, replace=True).adopted
    assert place.jobs.status(name).state is JobState.COMPLETED


def test_a_stopped_job_says_so_and_stopping_again_changes_nothing(place_where_a_job, plan):
    place = place_where_a_job("goes on")
    name = place.jobs.create(plan).name
    place.jobs.stop(name)
    assert place.jobs.status(name).state in {JobState.STOPPING, JobState.STOPPED}
    place.jobs.stop(name)
    ended = place.end_of(name)
    assert ended.state is JobState.STOPPED
    assert ended.failure
    place.jobs.stop(name)
    assert place.jobs.status(name) == ended


def test_stopping_a_completed_job_is_not_an_error(place_where_a_job, plan):
    place = place_where_a_job("completes")
    name = place.jobs.create(plan).name
    place.end_of(name)
    place.jobs.stop(name)
    assert place.jobs.status(name).state is JobState.COMPLETED


def test_following_gives_every_line_once_also_from_the_middle(place_where_a_job, plan):
    place = place_where_a_job("completes")
    name = place.jobs.create(plan).name
    updates = list(follow(place.jobs, place.logs, name, pause=place.pause))
    lines = [line for update in updates for line in update.lines]
    whole = place.logs.read(name, START)
    assert whole.ended
    assert tuple(lines) == whole.lines
    assert len(lines) >= 3
    for update in updates:
        rest = place.logs.read(name, update.position).lines
        assert rest == whole.lines[len(whole.lines) - len(rest) :]
    assert place.logs.read(name, whole.position).lines == ()


@pytest.mark.parametrize("ask", ["status", "resume", "stop", "read", "faults", "copy"])
def test_a_name_that_is_no_job_is_the_users_mistake(place_where_a_job, plan, tmp_path, ask):
    place = place_where_a_job("completes")
    place.jobs.create(plan)
    asks = {
        "status": place.jobs.status,
        "resume": place.jobs.resume,
        "stop": place.jobs.stop,
        "read": place.logs.read,
        "faults": place.models.faults,
        "copy": lambda name: place.models.copy(name, tmp_path / "copy"),
    }
    for name in ("nothing", "..", "", "../jobs", plan.job_name + "/"):
        with pytest.raises(UsageProblem, match="CPT454"):
            asks[ask](name)
