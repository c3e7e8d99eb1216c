"""A job that was interrupted goes on in its folder, as the same job, watched over anew."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudcpt.errors import Blame, UsageProblem
from cloudcpt.jobs.ports import START, JobState
from cloudcpt.jobs.resume import refusal, resume, with_way_on
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.lock import is_claimed
from cloudcpt.local.record import read_journal
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import Failure
from tests.fakes import small_plan
from tests.local.engines import end_all, fake_engine, until, wait_for
from tests.local.fake_trainer import LINES


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return small_plan(tmp_path / "train.jsonl")


@pytest.fixture
def engine_that(tmp_path: Path) -> Iterator[Callable[[str], LocalEngine]]:
    yield lambda behaviour: fake_engine(tmp_path / "state", behaviour)
    end_all(fake_engine(tmp_path / "state"))


@pytest.fixture
def interrupted(engine_that: Callable[[str], LocalEngine], plan: Plan) -> LocalEngine:
    engine = engine_that("interrupted")
    wait_for(engine, engine.create(plan).name)
    return engine


def lines_of(engine: LocalEngine, name: str) -> tuple[str, ...]:
    return engine.read(name, START).lines


def test_it_goes_on_in_its_folder_and_completes(interrupted: LocalEngine, plan: Plan) -> None:
    before = interrupted.status(plan.job_name)
    assert (before.state, before.recovery_step, before.checkpoints) == (JobState.FAILED, 2, (1,))
    assert resume(interrupted, before).name == plan.job_name
    after = wait_for(interrupted, plan.job_name)
    assert (after.state, after.recovery_step, after.failure) == (JobState.COMPLETED, None, None)
    assert [phase.state for phase in after.phases[: len(before.phases)]] == [phase.state for phase in before.phases]
    assert after.created_at == before.created_at
    assert interrupted.names() == (plan.job_name,)
    assert interrupted.faults(plan.job_name) == []
    lines = lines_of(interrupted, plan.job_name)
    assert lines[-len(LINES) - 1 :] == ("resumed: going on from step 2", *LINES)


def test_what_the_earlier_attempt_printed_is_not_taken_for_progress(interrupted: LocalEngine, plan: Plan) -> None:
    interrupted.resume(plan.job_name)
    after = wait_for(interrupted, plan.job_name)
    second = [phase.state for phase in after.phases][3:]
    assert second[0] is JobState.FAILED
    assert second[1:] == [
        JobState.PENDING, JobState.PREPARING, JobState.TRAINING, JobState.SAVING, JobState.COMPLETED,
    ]  # fmt: skip


def test_the_failure_says_from_where_it_can_go_on(interrupted: LocalEngine, plan: Plan) -> None:
    failure = interrupted.status(plan.job_name).failure
    assert failure is not None
    assert failure.message == "loss is not finite at step 2; `cloudcpt resume` goes on after step 2"
    assert failure.hint == "lower the `lr`"


def test_an_earlier_wish_to_stop_does_not_stop_the_next_attempt(interrupted: LocalEngine, plan: Plan) -> None:
    interrupted.folder(plan.job_name).stop.touch()
    interrupted.resume(plan.job_name)
    assert wait_for(interrupted, plan.job_name).state is JobState.COMPLETED


def test_of_two_who_resume_at_once_one_finds_the_other_at_it(
    engine_that: Callable[[str], LocalEngine], plan: Plan
) -> None:
    engine = engine_that("wait")
    name = engine.create(plan).name
    wait_for(engine, name, JobState.TRAINING)
    assert engine.resume(name).adopted


def test_a_client_that_dies_before_the_start_leaves_a_job_that_submitting_starts(
    interrupted: LocalEngine, plan: Plan
) -> None:
    folder = interrupted.folder(plan.job_name)
    until(lambda: not is_claimed(folder.lock))
    journal = folder.journal
    read_journal(journal).entering(JobState.PENDING, 1.0).write(journal)
    assert interrupted.create(plan).adopted
    assert wait_for(interrupted, plan.job_name).state is JobState.COMPLETED


@pytest.mark.parametrize(("behaviour", "message"), [("complete", "has completed"), ("fail", "left no state")])
def test_what_cannot_go_on_is_refused_with_what_to_do(
    behaviour: str, message: str, engine_that: Callable[[str], LocalEngine], plan: Plan
) -> None:
    engine = engine_that(behaviour)
    status = wait_for(engine, engine.create(plan).name)
    with pytest.raises(UsageProblem, match=f"CPT479.*{message}"):
        resume(engine, status)


def test_a_running_job_is_refused(engine_that: Callable[[str], LocalEngine], plan: Plan) -> None:
    engine = engine_that("wait")
    name = engine.create(plan).name
    fault = refusal(wait_for(engine, name, JobState.TRAINING))
    assert fault is not None
    assert fault.message == f"job `{name}` is training, there is nothing to resume"


@pytest.mark.parametrize("code", ["CPT665", "CPT666"])
def test_a_job_that_could_not_go_on_is_not_told_to_go_on(code: str) -> None:
    refused, killed = (Failure(code=one, blame=Blame.USER, message="why") for one in (code, "CPT471"))
    assert with_way_on(refused, 60) == refused
    assert with_way_on(killed, 60).message == "why; `cloudcpt resume` goes on after step 60"


@pytest.mark.parametrize("code", ["CPT665", "CPT666"])
def test_a_job_whose_state_was_refused_is_not_sent_there_again(
    code: str, engine_that: Callable[[str], LocalEngine], plan: Plan
) -> None:
    engine = engine_that("fail")
    status = wait_for(engine, engine.create(plan).name)
    failure = Failure(code=code, blame=Blame.USER, message="why")
    fault = refusal(replace(status, failure=failure, recovery_step=60))
    assert fault is not None
    assert (fault.code, fault.hint and "submit --force" in fault.hint) == ("CPT479", True)
    assert refusal(replace(status, recovery_step=60)) is None
