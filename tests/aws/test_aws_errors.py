"""Every refusal of AWS that we know becomes one of our errors, with a sentence a person can act on."""

import string
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError

from cloudcpt.aws.errors import CODES, LOCAL, our_error, translated
from cloudcpt.errors import ServiceRefused, SetupError, TransientError
from cloudcpt.jobs.objects import CredentialsExpired


def answer(code: str, text: str = "because", *, status: int = 400, operation: str = "PutObject", **metadata: object):
    response = {
        "Error": {"Code": code, "Message": text},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0, **metadata},
    }
    return ClientError(response, operation)


@pytest.mark.parametrize("code", CODES)
def test_every_code_of_the_table_makes_a_sentence_and_keeps_its_cause(code):
    with pytest.raises(CODES[code].raises) as caught, translated("read `s3://bucket/key`"):
        raise answer(code)
    (found,) = caught.value.diagnostics
    assert found.code == CODES[code].code
    assert "read `s3://bucket/key`" in found.message
    assert not found.message.endswith(".")
    assert "{" not in found.message + (found.hint or "")
    assert isinstance(caught.value.__cause__, ClientError)


@pytest.mark.parametrize(("kind", "rule"), LOCAL, ids=lambda it: getattr(it, "__name__", ""))
def test_every_failure_below_the_service_makes_a_sentence(kind, rule):
    fields = {name for _, name, _, _ in string.Formatter().parse(kind.fmt) if name}
    exc = kind(**{name.split(".")[0]: "it" for name in fields | {"error"}})
    ours = our_error(exc, "read `s3://bucket/key`")
    assert type(ours) is rule.raises
    assert ours.diagnostics[0].code == rule.code
    assert "{" not in ours.diagnostics[0].message


def test_no_class_hides_behind_one_that_is_asked_first():
    for place, (kind, rule) in enumerate(LOCAL):
        first = next(earlier for parent, earlier in LOCAL[: place + 1] if issubclass(kind, parent))
        assert first is rule, kind


def test_a_mistake_of_ours_goes_up_as_it_is():
    with pytest.raises(boto.ParamValidationError), translated("read"):
        raise boto.ParamValidationError(report="no such parameter")
    with pytest.raises(ZeroDivisionError), translated("read"):
        raise ZeroDivisionError


def test_an_unknown_code_counts_by_its_status():
    assert type(our_error(answer("Odd", status=503), "read")) is TransientError
    assert type(our_error(answer("Odd", status=400), "read")) is ServiceRefused
    assert "Odd: because" in str(our_error(answer("Odd"), "read"))


def test_attempts_are_counted():
    assert "tried 10 times" in str(our_error(answer("SlowDown", status=503, RetryAttempts=9), "read"))
    assert "tried once" in str(our_error(answer("SlowDown", status=503), "read"))


@pytest.mark.parametrize(
    ("text", "operation", "action", "resource"),
    [
        (
            "User: arn:aws:sts::123456789012:assumed-role/dev/me is not authorized to perform: kms:GenerateDataKey on "
            "resource: arn:aws:kms:us-east-1:123456789012:key/1 because no identity-based policy allows the "
            "kms:GenerateDataKey action",
            "CreateMultipartUpload",
            "`kms:GenerateDataKey`",
            "`arn:aws:kms:us-east-1:123456789012:key/1`",
        ),
        (
            "User: arn:aws:iam::123456789012:user/me is not authorized to perform: s3:PutObject on resource: "
            '"arn:aws:s3:::bucket/key" with an explicit deny',
            "PutObject",
            "`s3:PutObject`",
            "`arn:aws:s3:::bucket/key`",
        ),
        (
            "User: me is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/r because",
            "CreateTrainingJob",
            "`iam:PassRole`",
            "`arn:aws:iam::123456789012:role/r`",
        ),
        ("Access Denied", "ListParts", "`s3:ListMultipartUploadParts`", "it"),
        ("Access Denied", "HeadObject", "`s3:GetObject` (and `s3:ListBucket`", "it"),
        ("Access Denied", "DescribeTrainingJob", "`DescribeTrainingJob`", "it"),
    ],
)
def test_a_denial_names_action_and_resource(text, operation, action, resource):
    message = our_error(answer("AccessDenied", text, status=403, operation=operation), "do it").diagnostics[0].message
    assert action in message
    assert f"on {resource} was denied" in message


@pytest.mark.parametrize("ahead_s", [-7200, 7200])
def test_a_wrong_clock_is_measured_against_the_date_of_the_answer(ahead_s):
    served = format_datetime(datetime.now(UTC) - timedelta(seconds=ahead_s), usegmt=True)
    exc = answer("RequestTimeTooSkewed", status=403, HTTPHeaders={"date": served})
    message = str(our_error(exc, "read"))
    assert any(f"{ahead_s + more:+d} s off" in message for more in (-1, 0, 1))


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
def test_a_wrong_clock_that_cannot_be_measured_is_still_said(headers):
    assert "too far off" in str(our_error(answer("RequestTimeTooSkewed", status=403, HTTPHeaders=headers), "read"))


def test_a_certificate_that_is_not_trusted_is_no_disturbance():
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
    assert type(our_error(boto.SSLError(endpoint_url="https://x", error=text), "read")) is SetupError
    cut = boto.SSLError(endpoint_url="https://x", error="EOF occurred in violation of protocol")
    assert type(our_error(cut, "read")) is TransientError


def test_an_expired_sign_on_is_told_from_a_missing_one():
    assert type(our_error(boto.UnauthorizedSSOTokenError(), "read")) is CredentialsExpired
    assert type(our_error(boto.SSOTokenLoadError(error_msg="none"), "read")) is SetupError


def test_all_that_is_listed_is_of_botocore():
    assert all(issubclass(kind, BotoCoreError) for kind, _ in LOCAL)
