"""The course of a job from its description; its names over attempts; its pages in the console; its quota refusals."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.aws.attempts import MAX_NAME, attempt_name, attempt_of, is_job_name
from cloudcpt.aws.console import console_link, quotas_link
from cloudcpt.aws.timeline import billed_s, phases_of
from cloudcpt.aws.training_jobs import quota_refusal
from cloudcpt.jobs.ports import JobState, Phase


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def described(*course: tuple[str, float], status: str = "InProgress", **more: object) -> dict:
    return {
        "TrainingJobStatus": status,
        "SecondaryStatus": course[-1][0] if course else "Starting",
        "SecondaryStatusTransitions": [{"Status": name, "StartTime": at(start)} for name, start in course],
        "CreationTime": at(0),
        "LastModifiedTime": at(course[-1][1] if course else 0),
        **more,
    }


def states(phases: tuple[Phase, ...]) -> list[str]:
    return [phase.state.value for phase in phases]


def test_a_job_of_a_moment_ago_is_pending():
    assert phases_of(described(), None) == (Phase(state=JobState.PENDING, at=0.0, detail="Starting"),)


def test_a_status_that_is_new_to_us_changes_nothing():
    found = phases_of(described(("Starting", 0), ("Training", 5), ("Meditating", 9)), None)
    assert [(phase.state.value, phase.detail) for phase in found] == [
        ("pending", "Starting"),
        ("training", "Training"),
        ("training", "Meditating"),
    ]


def test_what_old_jobs_say_is_understood():
    course = (("LaunchingMLInstances", 0), ("PreparingTrainingStack", 1), ("DownloadingTrainingImage", 2))
    assert states(phases_of(described(*course), None)) == ["pending", "pending", "preparing"]


def test_an_end_without_a_transition_of_its_own_is_still_an_end():
    job = described(("Starting", 0), ("Training", 5), status="Completed", TrainingEndTime=at(8)) | {
        "SecondaryStatus": "Completed"
    }
    found = phases_of(job, JobState.COMPLETED)
    assert found[-1] == Phase(state=JobState.COMPLETED, at=8.0, detail="Completed")


def test_saving_after_a_wish_to_stop_is_part_of_stopping():
    course = (("Training", 5), ("Stopping", 6), ("Uploading", 7))
    assert states(phases_of(described(*course), None)) == ["training", "stopping", "stopping"]


def test_what_has_been_billed_is_counted_from_the_download_on():
    course = (("Starting", 0), ("Downloading", 10), ("Training", 30))
    job = described(*course, TrainingStartTime=at(10))
    assert billed_s(job, phases_of(job, None), now=100.0) == 90.0
    assert billed_s(described(*course), phases_of(job, None), now=100.0) == 0.0
    ended = {**job, "BillableTimeInSeconds": 33}
    assert billed_s(ended, phases_of(ended, None), now=100.0) == 33.0


@given(slug=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,50}[a-z0-9])?", fullmatch=True), attempt=st.integers(1, 10_000))
def test_the_name_of_an_attempt_is_one_that_the_service_takes_and_keeps_the_hash(slug, attempt):
    job_name = f"{slug}-0123456789"
    name = attempt_name(job_name, attempt)
    assert is_job_name(name)
    assert len(name) <= MAX_NAME
    assert "-0123456789" in name
    assert attempt_of(job_name, name) == attempt
    assert len({attempt_name(job_name, number) for number in range(attempt, attempt + 5)}) == 5


@pytest.mark.parametrize("name", ["demo-0123456789-r1", "demo-0123456789-r02", "other", "demo-0123456789-x"])
def test_other_names_are_of_no_attempt(name):
    assert attempt_of("demo-0123456789", name) is None


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "a-", "a_b", "a" * 64, "a\n", "ä"])
def test_what_cannot_be_a_name_never_becomes_a_path(name):
    assert not is_job_name(name)


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("us-east-1", "https://us-east-1.console.aws.amazon.com"),
        ("eu-central-1", "https://eu-central-1.console.aws.amazon.com"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_a_page_is_in_the_partition_of_its_region(region, console):
    assert console_link(region, "demo") == f"{console}/sagemaker/home?region={region}#/jobs/demo"
    assert str(quotas_link(region)).startswith(f"{console}/servicequotas/")


@pytest.mark.parametrize("region", ["us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1"])
def test_an_isolated_region_has_no_public_page(region):
    assert console_link(region, "demo") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "The account-level service limit 'ml.p5.48xlarge for training job usage' is 0 Instances, with current "
            "utilization of 0 Instances and a request delta of 2 Instances. Please use AWS Service Quotas to request "
            "an increase for this quota.",
            "the quota `ml.p5.48xlarge for training job usage` is 0 in us-east-1, 0 in use, and the job needs 2",
        ),
        (
            "The account-level service limit 'ml.p5.48xlarge for spot training job usage' is 4 Instances.",
            "the quota `ml.p5.48xlarge for spot training job usage` is 4 in us-east-1",
        ),
        ("You have too much of everything", "a limit of the account was reached: You have too much of everything"),
    ],
)
def test_a_quota_is_named_with_its_value(text, message):
    (found,) = quota_refusal(text, "us-east-1").diagnostics
    assert (found.code, found.message) == ("CPT419", message)
    assert "servicequotas" in found.hint
