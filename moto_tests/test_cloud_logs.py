"""The log of a job in the cloud over HTTP: machines that speak late, small and empty pages, lines after the end."""

from pathlib import Path

import pytest

from cloudcpt.aws.engine import CloudEngine
from cloudcpt.errors import SetupError, TransientError, UsageProblem
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import INTERNAL_ERROR, LOST_ANSWER, THROTTLED
from cloudcpt.fake.script import JobScript, ScriptedLine
from cloudcpt.jobs.follow import follow
from cloudcpt.jobs.ports import START
from cloudcpt.plan.plan import Plan
from moto_tests.cloud_jobs import advance, open_engine, put_inputs, small_cloud_plan

SETUP_S = 60 + 120


def lines(count: int, *, host: int = 1, every_s: float = 10.0, from_s: float = 0.0) -> tuple[ScriptedLine, ...]:
    return tuple(ScriptedLine(after_s=from_s + every_s * n, text=f"{host}: {n}", host=host) for n in range(count))


@pytest.fixture
def engine(fake_cloud: FakeCloud, tmp_path: Path) -> CloudEngine:
    return open_engine(fake_cloud, tmp_path / "state")


@pytest.fixture
def begin(fake_cloud: FakeCloud, engine: CloudEngine, tmp_path: Path):
    def started(script: JobScript, *, nodes: int = 1) -> Plan:
        fake_cloud.sagemaker.service.play = script
        plan = small_cloud_plan(tmp_path, nodes=nodes)
        put_inputs(fake_cloud, plan)
        engine.create(plan)
        return plan

    return started


def everything(engine: CloudEngine, name: str, cloud: FakeCloud, pause_s: float = 25.0) -> list[str]:
    updates = follow(engine, engine, name, pause=advance(cloud, pause_s))
    return [line for update in updates for line in update.lines]


def test_before_the_first_line_there_is_nothing_and_no_error(engine, begin, fake_cloud):
    name = begin(JobScript(log=lines(3))).job_name
    chunk = engine.read(name)
    assert (chunk.lines, chunk.ended) == ((), True)
    fake_cloud.clock.advance(SETUP_S + 15)
    assert engine.read(name, chunk.position).lines == ("1: 0", "1: 1")


def test_machines_are_read_as_they_appear_and_each_line_says_whose_it_is(engine, begin, fake_cloud):
    log = lines(5) + lines(3, host=2, from_s=25.0) + lines(2, host=3, from_s=41.0)
    name = begin(JobScript(log=log, training_s=100.0), nodes=3).job_name
    fake_cloud.clock.advance(SETUP_S + 12)
    first = engine.read(name)
    assert first.lines == ("[algo-1] 1: 0", "[algo-1] 1: 1")
    fake_cloud.clock.advance(20)
    second = engine.read(name, first.position)
    assert second.lines == ("[algo-1] 1: 2", "[algo-2] 2: 0", "[algo-1] 1: 3")
    fake_cloud.clock.advance(100)
    third = engine.read(name, second.position)
    assert third.lines == (
        "[algo-2] 2: 1",
        "[algo-1] 1: 4",
        "[algo-3] 3: 0",
        "[algo-2] 2: 2",
        "[algo-3] 3: 1",
    )
    assert engine.read(name, third.position).lines == ()


@pytest.mark.parametrize(("page_size", "empty_every"), [(1, 0), (3, 3), (2, 5), (10_000, 3)])
def test_small_and_empty_pages_lose_and_repeat_nothing(engine, begin, fake_cloud, page_size, empty_every):
    log = lines(40) + lines(25, host=2, from_s=55.0)
    name = begin(JobScript(log=log, training_s=500.0), nodes=2).job_name
    fake_cloud.logs.service.page_size, fake_cloud.logs.service.empty_every = page_size, empty_every
    found = everything(engine, name, fake_cloud)
    assert sorted(found) == sorted(f"[algo-{line.host}] {line.text}" for line in log)
    for host in (1, 2):
        ours = [line for line in found if line.startswith(f"[algo-{host}]")]
        assert ours == [f"[algo-{host}] {line.text}" for line in log if line.host == host]


def test_lines_that_arrive_after_the_end_are_waited_for(engine, begin, fake_cloud):
    name = begin(JobScript(log=lines(10), training_s=95.0, uploading_s=0.0, log_delay_s=8.0)).job_name
    assert everything(engine, name, fake_cloud, pause_s=1.0) == [line.text for line in lines(10)]


def test_a_job_that_ended_long_ago_is_read_without_waiting(engine, begin, fake_cloud):
    name = begin(JobScript(log=lines(3), training_s=95.0)).job_name
    fake_cloud.clock.advance(3600)
    engine.status(name)
    before = fake_cloud.clock.now()
    assert len(engine.read(name).lines) == 3
    assert fake_cloud.clock.now() - before < 5


def test_a_read_that_fails_gives_nothing_and_the_old_position_still_holds(engine, begin, fake_cloud):
    name = begin(JobScript(log=lines(6) + lines(6, host=2), training_s=100.0), nodes=2).job_name
    fake_cloud.clock.advance(SETUP_S + 25)
    first = engine.read(name)
    fake_cloud.clock.advance(200)
    fake_cloud.logs.faults.add(THROTTLED, operation="GetLogEvents", nth=2, times=4)
    with pytest.raises(TransientError):
        engine.read(name, first.position)
    rest = engine.read(name, first.position)
    assert len(first.lines) + len(rest.lines) == len(set(first.lines) | set(rest.lines)) == 12


def test_a_busy_service_is_asked_again(engine, begin, fake_cloud):
    name = begin(JobScript(log=lines(6))).job_name
    fake_cloud.clock.advance(3600)
    fake_cloud.logs.faults.add(THROTTLED, LOST_ANSWER, operation="DescribeLogStreams")
    fake_cloud.logs.faults.add(INTERNAL_ERROR, operation="GetLogEvents")
    assert engine.read(name).lines == tuple(line.text for line in lines(6))


def test_a_position_lasts_for_days_and_on_another_machine(engine, begin, fake_cloud, tmp_path):
    name = begin(JobScript(log=lines(6, every_s=600.0), training_s=1e6)).job_name
    fake_cloud.clock.advance(SETUP_S + 605)
    first = engine.read(name, START)
    assert first.lines == ("1: 0", "1: 1")
    fake_cloud.clock.advance(3 * 24 * 3600)
    elsewhere = open_engine(fake_cloud, tmp_path / "elsewhere")
    rest = elsewhere.read(name, first.position)
    assert rest.lines == ("1: 2", "1: 3", "1: 4", "1: 5")
    tokens = [b"nextToken" in call.body for call in fake_cloud.logs.calls.all("GetLogEvents")]
    assert tokens[-2:] == [False, True], "the old token was not used"


@pytest.mark.parametrize("position", ["17", "{", '{"algo-1-1": 3}', '{"algo-1-1": {"nonsense": 1}}', "[]"])
def test_what_is_no_position_is_the_users_mistake(engine, begin, position):
    name = begin(JobScript()).job_name
    with pytest.raises(UsageProblem, match="CPT444"):
        engine.read(name, position)


def test_a_missing_permission_is_named(engine, begin, fake_cloud):
    name = begin(JobScript(log=lines(1))).job_name
    fake_cloud.clock.advance(3600)
    fake_cloud.denied.add("logs:GetLogEvents")
    with pytest.raises(SetupError, match="logs:GetLogEvents"):
        engine.read(name)
