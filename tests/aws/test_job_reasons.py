"""Every reason that the service gives for a failure becomes one sentence with a code, an owner and a hint."""

import pytest

from cloudcpt.aws.reasons import end_of, reason_failure
from cloudcpt.errors import Blame, explanations
from cloudcpt.jobs.ports import JobState

REASONS = [
    (
        "CapacityError: Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. "
        "Please retry using a different ML instance type or after some time.",
        "CPT482",
        Blame.PLATFORM,
    ),
    ("InternalServerError: We encountered an internal error. Please retry the training job.", "CPT483", Blame.PLATFORM),
    (
        "ClientError: SageMaker was unable to assume the role 'arn:aws:iam::123456789012:role/SageMakerRole'",
        "CPT484",
        Blame.USER,
    ),
    (
        "ClientError: TrainingHostAgent Initialization failed:InvalidInputException: SageMaker is unable to perform: "
        "sts:AssumeRole on the role. Check if you have a trust relationship for 'sagemaker.amazonaws.com'",
        "CPT484",
        Blame.USER,
    ),
    (
        "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are "
        "incorrect.",
        "CPT485",
        Blame.USER,
    ),
    (
        "ClientError: The repository of your image 123.dkr.ecr.us-east-1.amazonaws.com/x does not grant "
        "ecr:GetDownloadUrlForLayer permission to the role",
        "CPT485",
        Blame.USER,
    ),
    ("ClientError: Not enough free IP addresses in subnet subnet-0123", "CPT486", Blame.USER),
    ("ClientError: Access denied: kms:Decrypt on the key arn:aws:kms:...", "CPT487", Blame.USER),
    ("ClientError: Artifact upload failed:Error 7: The credentials have no s3:PutObject", "CPT488", Blame.USER),
    (
        "ClientError: Data download failed:Failed to download data. S3 key: s3://b/shared//x has an illegal char "
        "sub-sequence '//' in it",
        "CPT489",
        Blame.USER,
    ),
    ("ClientError: No S3 objects found under S3 URL s3://b/train given in input data source", "CPT489", Blame.USER),
    ("ClientError: something entirely new", "CPT490", Blame.PLATFORM),
    ("", "CPT490", Blame.PLATFORM),
    ("AlgorithmError: , exit code: 1", "CPT472", Blame.BUG),
    ("AlgorithmError: Exit Code: 1", "CPT472", Blame.BUG),
    ("AlgorithmError: framework error: \nTraceback (most recent call last):, exit code: 1", "CPT472", Blame.BUG),
    ("AlgorithmError: See job logs for more information, exit code: 137", "CPT471", Blame.PLATFORM),
    (
        "AlgorithmError: CPT655 [user] the GPU ran out of memory; hint: lower it\nrank 3\n, exit code: 6",
        "CPT655",
        Blame.USER,
    ),
]


@pytest.mark.parametrize(("reason", "code", "blame"), REASONS, ids=[reason[:40] for reason, _, _ in REASONS])
def test_a_reason_becomes_a_failure_with_a_code(reason, code, blame):
    failure = reason_failure(reason)
    assert (failure.code, failure.blame) == (code, blame)
    assert code in explanations()
    assert failure.message == failure.message.strip()
    assert "\n" not in failure.message
    assert not failure.message.endswith(".")
    assert "{" not in failure.message


@pytest.mark.parametrize("ending", ["\n, exit code: 6", ", exit code: 6", "\nrank 3\nTraceback, exit code: 6", ""])
def test_our_failure_comes_back_without_the_services_ending(ending):
    failure = reason_failure(f"AlgorithmError: CPT604 [user] loss is not finite; hint: lower the learning rate{ending}")
    assert (failure.code, failure.blame) == ("CPT604", Blame.USER)
    assert (failure.message, failure.hint) == ("loss is not finite", "lower the learning rate")


def test_the_services_words_are_kept_but_not_all_in_one_sentence():
    failure = reason_failure("ClientError: " + "x" * 1000)
    assert len(failure.message) < 400
    assert len(failure.detail) > 1000


@pytest.mark.parametrize(
    ("status", "reason", "state"),
    [
        ("Completed", "", JobState.COMPLETED),
        ("Failed", "AlgorithmError: x, exit code: 6", JobState.FAILED),
        ("Failed", "CapacityError: none", JobState.FAILED),
        ("Failed", "AlgorithmError: CPT660 [user] stopped by the time limit, exit code: 7", JobState.STOPPED),
        ("Failed", "AlgorithmError: exit code: 77", JobState.FAILED),
        ("Stopped", "", JobState.STOPPED),
    ],
)
def test_a_trainer_that_stopped_itself_did_not_fail(status, reason, state):
    assert end_of({"TrainingJobStatus": status, "FailureReason": reason}) is state
