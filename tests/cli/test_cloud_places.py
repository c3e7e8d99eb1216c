"""Where jobs are: names of both places in one order, each job asked about where it runs, nobody asked in vain."""

from pathlib import Path

import pytest

from cloudcpt.cli.places import Places
from cloudcpt.errors import SetupError, UsageProblem, error
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.engine import LocalEngine
from cloudcpt.plan.plan import Plan
from tests.cli.clouds import FakeRegion, nobody_asks, places_with
from tests.fakes import small_plan
from tests.jobs.cloud_plans import cloud_plan
from tests.local.engines import end_all, fake_engine, wait_for


@pytest.fixture
def region(tmp_path: Path) -> FakeRegion:
    return FakeRegion(tmp_path / "state")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return cloud_plan(tmp_path)


def test_names_of_both_places_come_newest_first(tmp_path: Path, region: FakeRegion, plan: Plan) -> None:
    local = fake_engine(tmp_path / "state")
    places = places_with(region, local)
    first = places.create(small_plan(tmp_path / "a.jsonl", name="first")).name
    away = places.create(plan).name
    last = places.create(small_plan(tmp_path / "a.jsonl", name="last")).name
    assert places.names() == (last, away, first)
    assert (places.is_local(first), places.is_local(away)) == (True, False)
    assert region.jobs.calls == [f"create {away}"]
    wait_for(local, first)
    wait_for(local, last)
    end_all(local)


def test_without_jobs_in_the_cloud_nobody_is_asked(tmp_path: Path) -> None:
    places = Places(fake_engine(tmp_path / "state"), connect=nobody_asks)
    name = places.create(small_plan(tmp_path / "a.jsonl")).name
    wait_for(places.local, name)
    assert places.names() == (name,)
    assert places.find("demo") == name
    assert places.status(name).state is JobState.COMPLETED
    assert places.read(name).lines
    end_all(places.local)


def test_a_job_that_has_ended_is_known_without_a_call(region: FakeRegion, plan: Plan) -> None:
    places = places_with(region)
    name = places.create(plan).name
    while not places.status(name).state.is_final:
        pass
    asked = len(region.jobs.calls)
    assert Places(LocalEngine(region.jobs.state), connect=nobody_asks).status(name).state is JobState.COMPLETED
    assert len(region.jobs.calls) == asked


def test_each_region_is_connected_once(tmp_path: Path, region: FakeRegion, plan: Plan) -> None:
    asked: list[str] = []
    places = Places(LocalEngine(tmp_path / "state"), connect=lambda name, _: asked.append(name) or region)
    places.create(plan)
    places.status(plan.job_name)
    places.stop(plan.job_name)
    assert asked == ["us-east-1"]


def test_a_job_of_another_machine_is_found_by_its_full_name(region: FakeRegion, plan: Plan) -> None:
    region.jobs.jobs.create(plan)
    region.jobs.elsewhere[plan.job_name] = plan
    places = places_with(region)
    assert places.find(plan.job_name) == plan.job_name
    assert places.names() == (plan.job_name,)


def test_an_earlier_attempt_is_found_by_its_full_name(region: FakeRegion, plan: Plan) -> None:
    region.jobs.remember(plan)
    region.jobs.remember(plan, name=f"{plan.job_name}-r2", attempt=2)
    places = Places(LocalEngine(region.jobs.state), connect=nobody_asks)
    assert places.names() == (f"{plan.job_name}-r2",)
    assert places.find(plan.job_name) == plan.job_name


@pytest.mark.parametrize("wanted", ["other", "demo-01234", "demo-0123456789x"])
def test_what_is_no_full_name_is_not_asked_about(region: FakeRegion, wanted: str) -> None:
    with pytest.raises(UsageProblem):
        Places(LocalEngine(region.jobs.state), connect=nobody_asks).find(wanted)


def test_trouble_with_the_account_does_not_hide_a_mistyped_name(region: FakeRegion, plan: Plan) -> None:
    region.jobs.remember(plan)
    region.jobs.trouble = [SetupError(error("CPT400", "no credentials"))]
    with pytest.raises(UsageProblem) as caught:
        places_with(region).find("other-0123456789")
    assert caught.value.diagnostics[0].code == "CPT454"


def test_a_job_that_nobody_could_ask_about_is_not_said_to_be_gone(region: FakeRegion, plan: Plan) -> None:
    region.jobs.elsewhere[plan.job_name] = plan
    region.jobs.trouble = [SetupError(error("CPT401", "the AWS credentials have expired", hint="sign in again"))]
    with pytest.raises(UsageProblem) as caught:
        places_with(region).find(plan.job_name)
    _, trouble = caught.value.diagnostics
    assert (trouble.message, trouble.hint) == ("in the cloud: the AWS credentials have expired", "sign in again")


def test_the_plan_of_a_job_is_read_where_the_job_is(region: FakeRegion, plan: Plan) -> None:
    places = places_with(region)
    assert places.plan(places.create(plan).name) == plan
