"""Submitting starts a job once and says honestly what it found."""

from dataclasses import dataclass, replace

import pytest

from cloudcpt.errors import JobFailed, JobStopped, ServiceRefused
from cloudcpt.jobs.ports import JobState, JobStatus, Submission
from cloudcpt.jobs.submit import submit
from cloudcpt.plan.plan import Plan
from tests.fakes import FakeJobs, small_plan


@pytest.fixture
def plan(tmp_path):
    return small_plan(tmp_path / "train.jsonl")


def run_to_the_end(jobs: FakeJobs, name: str) -> None:
    while not jobs.status(name).state.is_final:
        pass


def test_the_first_submission_starts_the_job(plan):
    assert submit(FakeJobs(), plan) == Submission(name=plan.job_name, adopted=False)


def test_a_running_job_is_adopted(plan):
    jobs = FakeJobs(hold=JobState.TRAINING)
    submit(jobs, plan)
    assert submit(jobs, plan) == Submission(name=plan.job_name, adopted=True)


def test_a_completed_job_is_adopted(plan):
    jobs = FakeJobs()
    run_to_the_end(jobs, submit(jobs, plan).name)
    assert submit(jobs, plan).adopted


def test_a_job_that_failed_before_is_refused_with_its_reason_first(plan):
    jobs = FakeJobs(end=JobState.FAILED)
    run_to_the_end(jobs, submit(jobs, plan).name)
    with pytest.raises(JobFailed) as caught:
        submit(jobs, plan)
    assert [found.code for found in caught.value.diagnostics] == ["CPT604", "CPT456"]
    assert "--force" in (caught.value.diagnostics[1].hint or "")


def test_a_job_that_was_stopped_before_is_refused_as_stopped(plan):
    jobs = FakeJobs(hold=JobState.TRAINING)
    name = submit(jobs, plan).name
    jobs.stop(name)
    run_to_the_end(jobs, name)
    with pytest.raises(JobStopped, match="CPT456"):
        submit(jobs, plan)


def test_a_failed_job_starts_over_when_asked(plan):
    jobs = FakeJobs(end=JobState.FAILED)
    run_to_the_end(jobs, submit(jobs, plan).name)
    assert submit(jobs, plan, replace=True) == Submission(name=plan.job_name, adopted=False)
    assert jobs.status(plan.job_name).state is JobState.PREPARING


@dataclass
class JobsOfSomebodyElse(FakeJobs):
    """A place where the plan's name belongs to a job of another plan."""

    def create(self, plan: Plan, *, replace: bool = False) -> Submission:
        super().create(plan, replace=replace)
        return Submission(name=plan.job_name, adopted=True)

    def status(self, name: str) -> JobStatus:
        return replace(super().status(name), plan_hash="f" * 64)


def test_a_name_that_another_plan_took_is_never_adopted(plan):
    with pytest.raises(ServiceRefused, match="CPT457"):
        submit(JobsOfSomebodyElse(), plan)
