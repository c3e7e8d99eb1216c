"""The S3 adapter keeps the promises of the port over HTTP, binds owner and key to every call, and explains refusals."""

import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import ServiceRefused, SetupError
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import (
    CUT_REQUEST,
    EXPIRED_TOKEN,
    FLIPPED_ANSWER,
    FLIPPED_REQUEST,
    INTERNAL_ERROR,
    LOST_ANSWER,
    LOST_REQUEST,
    SLOW_DOWN,
    Fault,
    FaultKind,
)
from cloudcpt.fake.s3_rules import S3Rules
from cloudcpt.jobs.objects import BytesDamaged, CredentialsExpired, ObjectExists, UploadGone
from tests.fake_objects import checksum_of
from tests.jobs.store_promises import *  # noqa: F403
from tests.jobs.store_promises import FIRST, begin, finish

BUCKET, REGION = "bucket", "us-east-1"
KEY_ARN = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    return fake_cloud


def open_store(cloud: FakeCloud, **options: str) -> S3ObjectStore:
    return S3ObjectStore(AwsSession(region=REGION), **{"bucket": BUCKET, "owner": cloud.account_id, **options})


@pytest.fixture(scope="module")
def opened() -> list[S3ObjectStore]:
    """Keep one store for all tests: the servers stay the same, and making a client takes long."""
    return []


@pytest.fixture
def store(cloud: FakeCloud, opened: list[S3ObjectStore]) -> S3ObjectStore:
    if not opened:
        opened.append(open_store(cloud))
    return opened[0]


def call_everything(store: S3ObjectStore) -> None:
    store.head("p/k")
    finish(store, *begin(store))
    upload_id = store.create_upload("p/other")
    store.list_parts("p/other", upload_id)
    list(store.list_uploads(""))
    store.abort("p/other", upload_id)
    store.put("p/small", b"x", crc64nvme=checksum_of(b"x"))
    store.get("p/small")


def test_the_owner_goes_with_every_request(cloud, store):
    call_everything(store)
    calls = cloud.s3.calls.all()
    assert {call.operation for call in calls} == {
        "HeadObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "ListParts",
        "ListMultipartUploads",
        "AbortMultipartUpload",
        "PutObject",
        "GetObject",
    }
    assert {call.headers.get("x-amz-expected-bucket-owner") for call in calls} == {cloud.account_id}


def test_the_owner_goes_also_with_what_botocore_asks_by_itself(cloud, store):
    cloud.s3.faults.add(EXPIRED_TOKEN, times=99)
    with suppress(CredentialsExpired):
        store.head("p/k")
    calls = cloud.s3.calls.all()
    assert "HeadBucket" in {call.operation for call in calls}
    assert {call.headers.get("x-amz-expected-bucket-owner") for call in calls} == {cloud.account_id}


def test_bytes_leave_with_one_checksum_and_are_not_hashed_a_second_time(cloud, store):
    call_everything(store)
    for call in (*cloud.s3.calls.all("UploadPart"), *cloud.s3.calls.all("PutObject")):
        assert call.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
        assert [name for name in call.headers if name.startswith("x-amz-checksum-")] == ["x-amz-checksum-crc64nvme"]
        assert "content-encoding" not in call.headers
    (complete,) = cloud.s3.calls.all("CompleteMultipartUpload")
    assert complete.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert complete.headers["if-none-match"] == "*"
    assert complete.headers["x-amz-mp-object-size"] == str(len(FIRST) + 8)


def test_a_key_goes_with_everything_that_makes_an_object(cloud):
    store = open_store(cloud, kms_key_id=KEY_ARN)
    call_everything(store)
    for operation in ("CreateMultipartUpload", "PutObject"):
        for call in cloud.s3.calls.all(operation):
            assert call.headers["x-amz-server-side-encryption"] == "aws:kms"
            assert call.headers["x-amz-server-side-encryption-aws-kms-key-id"] == KEY_ARN
    assert store.encryption == KEY_ARN
    assert store.head("p/k").is_encrypted_as_asked
    assert open_store(cloud, kms_key_id=KEY_ARN.split("/")[1]).head("p/k").is_encrypted_as_asked
    assert not open_store(cloud, kms_key_id=KEY_ARN.replace("1111", "9999")).head("p/k").is_encrypted_as_asked


def test_an_object_without_a_key_is_not_encrypted_as_asked(cloud, store):
    store.put("p/k", b"x", crc64nvme=checksum_of(b"x"))
    assert not open_store(cloud, kms_key_id=KEY_ARN).head("p/k").is_encrypted_as_asked
    assert not open_store(cloud, kms_key_id="alias/cpt").head("p/k").is_encrypted_as_asked


def test_a_bucket_of_somebody_else_takes_nothing(cloud, store):
    cloud.s3.service.rules = S3Rules(owners={BUCKET: "999999999999"})
    with pytest.raises(SetupError, match="CPT403"):
        store.put("p/k", b"x", crc64nvme=checksum_of(b"x"))
    with pytest.raises(SetupError, match="CPT403"):
        store.head("p/k")


@pytest.mark.parametrize(
    ("action", "use"),
    [
        ("s3:PutObject", lambda store: store.create_upload("p/k")),
        ("s3:PutObject", lambda store: store.put("p/k", b"x", crc64nvme=checksum_of(b"x"))),
        ("s3:GetObject", lambda store: store.head("p/k")),
        ("s3:GetObject", lambda store: store.get("p/k")),
        ("s3:AbortMultipartUpload", lambda store: store.abort("p/k", store.create_upload("p/k"))),
        ("s3:ListMultipartUploadParts", lambda store: store.list_parts("p/k", store.create_upload("p/k"))),
        ("s3:ListBucketMultipartUploads", lambda store: list(store.list_uploads("p/"))),
    ],
    ids=["create", "put", "head", "get", "abort", "list parts", "list uploads"],
)
def test_a_missing_permission_is_named(cloud, store, action, use):
    cloud.denied.add(action)
    with pytest.raises(SetupError, match="CPT403") as caught:
        use(store)
    assert f"`{action}`" in caught.value.diagnostics[0].message


@pytest.mark.parametrize("action", ["kms:GenerateDataKey", "kms:Decrypt"])
def test_a_missing_permission_on_the_key_is_named(cloud, action):
    cloud.s3.service.rules = S3Rules(denied_kms_actions=frozenset({action}))
    store = open_store(cloud, kms_key_id=KEY_ARN)
    with pytest.raises(SetupError, match="CPT403") as caught:
        begin(store)
    assert f"`{action}`" in caught.value.diagnostics[0].message


def test_a_key_that_is_disabled_is_said_to_be(cloud, store):
    fault = Fault(kind=FaultKind.REFUSE, status=400, code="KMS.DisabledException", message="key is disabled")
    cloud.s3.faults.add(fault)
    with pytest.raises(SetupError, match=r"CPT410.*key is disabled"):
        store.create_upload("p/k")


def test_a_bucket_that_is_not_there_is_said_so(cloud):
    with pytest.raises(SetupError, match=r"CPT405.*s3://nowhere/p/k"):
        open_store(cloud, bucket="nowhere").create_upload("p/k")


def test_a_clock_that_is_wrong_is_measured(cloud, store):
    cloud.s3.service.rules = S3Rules(skew_s=3600.0)
    for use in (store.head, store.create_upload):
        with pytest.raises(SetupError, match=r"CPT404.* (-3600|-3599|-3601) s off"):
            use("p/k")


@pytest.mark.parametrize("use", [S3ObjectStore.head, S3ObjectStore.create_upload, S3ObjectStore.get])
def test_expired_credentials_are_recognised_also_in_an_answer_without_a_body(cloud, store, use):
    cloud.s3.faults.add(EXPIRED_TOKEN, times=99)
    with pytest.raises(CredentialsExpired, match="CPT401"):
        use(store, "p/k")


def test_retries_are_counted_and_explained(cloud):
    store = open_store(cloud)
    assert (store.retries, store.last_retry) == (0, "")
    cloud.s3.faults.add(INTERNAL_ERROR, SLOW_DOWN)
    store.create_upload("p/k")
    assert (store.retries, store.last_retry) == (2, "retry 2/9: SlowDown")
    cloud.s3.faults.add(LOST_REQUEST)
    store.head("p/k")
    assert (store.retries, store.last_retry) == (3, "retry 1/9: ConnectionClosedError")


def test_an_unknown_refusal_keeps_code_and_text(cloud, store):
    cloud.s3.faults.add(Fault(kind=FaultKind.REFUSE, status=400, code="Unheard", message="of this"))
    with pytest.raises(ServiceRefused, match=r"CPT409: .*Unheard: of this"):
        store.create_upload("p/k")


def test_parts_that_are_too_small_are_refused_in_the_words_of_the_service(store):
    upload_id = store.create_upload("p/k")
    etags = {n: store.put_part("p/k", upload_id, n, b"tiny", crc64nvme=checksum_of(b"tiny")) for n in (1, 2)}
    with pytest.raises(ServiceRefused, match=r"CPT409.*EntityTooSmall"):
        store.complete("p/k", upload_id, etags, size_bytes=8, crc64nvme=checksum_of(b"tinytiny"))


@pytest.mark.parametrize(
    "fault", [LOST_REQUEST, LOST_ANSWER, CUT_REQUEST, INTERNAL_ERROR], ids=lambda it: it.kind.value
)
@pytest.mark.parametrize("operation", ["UploadPart", "ListParts", "ListMultipartUploads", "HeadObject", "GetObject"])
def test_what_may_be_asked_twice_is_asked_twice(cloud, store, operation, fault):
    store.put("p/small", b"x", crc64nvme=checksum_of(b"x"))
    cloud.s3.faults.add(fault, operation=operation)
    upload_id = store.create_upload("p/k")
    store.put_part("p/k", upload_id, 1, b"abc", crc64nvme=checksum_of(b"abc"))
    assert store.list_parts("p/k", upload_id)[1].size_bytes == 3
    assert [found.key for found in store.list_uploads("p/")] == ["p/k"]
    assert store.head("p/small").size_bytes == 1
    assert store.get("p/small") == b"x"
    assert len(cloud.s3.calls.all(operation)) == 2


def test_a_bit_that_flips_on_the_way_there_is_found(cloud, store):
    upload_id = store.create_upload("p/k")
    cloud.s3.faults.add(FLIPPED_REQUEST, operation="UploadPart")
    with pytest.raises(BytesDamaged, match="CPT414"):
        store.put_part("p/k", upload_id, 1, FIRST, crc64nvme=checksum_of(FIRST))


def test_a_bit_that_flips_on_the_way_back_is_found(cloud, store):
    store.put("p/k", b"0123456789", crc64nvme=checksum_of(b"0123456789"))
    cloud.s3.faults.add(FLIPPED_ANSWER, operation="GetObject")
    with pytest.raises(BytesDamaged, match="CPT414"):
        store.get("p/k")


@pytest.mark.parametrize("how", ["NoSuchUpload", "PreconditionFailed", "success"])
def test_a_lost_answer_to_complete_leaves_the_object_whatever_the_second_answer_is(cloud, store, how):
    cloud.s3.service.rules = S3Rules(repeated_complete=how)
    upload_id, etags = begin(store)
    cloud.s3.faults.add(LOST_ANSWER, operation="CompleteMultipartUpload")
    with suppress(UploadGone, ObjectExists):
        finish(store, upload_id, etags)
        assert how == "success"
    assert store.head("p/k").size_bytes == len(FIRST) + 8


def test_a_completion_that_fails_after_its_answer_has_begun_is_asked_for_again(cloud, store):
    """S3 sends `200 OK` before it knows how a long completion ends, and the error in the body."""
    upload_id, etags = begin(store)
    late = Fault(kind=FaultKind.REFUSE, status=200, code="InternalError", message="We encountered an internal error.")
    cloud.s3.faults.add(late, operation="CompleteMultipartUpload")
    finish(store, upload_id, etags)
    assert store.head("p/k").size_bytes == len(FIRST) + 8
    assert len(cloud.s3.calls.all("CompleteMultipartUpload")) == 2


def test_many_parts_are_listed_to_the_last(cloud, store):
    upload_id = store.create_upload("p/k")
    store.put_part("p/k", upload_id, 1, b"x", crc64nvme=checksum_of(b"x"))
    (upload,) = cloud.s3.service.uploads()
    upload.parts.update({number: replace(upload.parts[1], number=number) for number in range(2, 1003)})
    assert list(store.list_parts("p/k", upload_id)) == list(range(1, 1003))


def test_one_store_serves_many_threads(cloud, store):
    threads = [
        threading.Thread(target=store.put, args=(f"p/{n}", b"x"), kwargs={"crc64nvme": checksum_of(b"x")})
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.head(f"p/{n}") for n in range(8))


def test_a_cause_is_kept(cloud, store):
    with pytest.raises(UploadGone) as caught:
        store.list_parts("p/k", "nothing")
    assert type(caught.value.__cause__).__name__ == "NoSuchUpload"


def test_the_strictness_that_these_tests_rely_on_is_on(cloud):
    rules = cloud.s3.service.rules
    assert (rules.require_owner, rules.require_checksum) == (True, True)
