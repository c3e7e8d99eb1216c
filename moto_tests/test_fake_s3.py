"""The strict S3 front judges like S3, where moto alone would store anything."""

import base64
import hashlib
import http.client
import io
import socket
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cloudcpt.fake.checksums import checksum_of
from cloudcpt.fake.cloud import ACCOUNT_ID, FakeCloud
from cloudcpt.fake.faults import (
    CLOCK_SKEW,
    CONDITIONAL_CONFLICT,
    CUT_ANSWER,
    CUT_REQUEST,
    EXPIRED_TOKEN,
    FLIPPED_ANSWER,
    FLIPPED_REQUEST,
    LOST_ANSWER,
    LOST_REQUEST,
    SLOW_DOWN,
)
from cloudcpt.fake.s3_rules import S3Rules

BUCKET = "bucket"
OWNER = {"ExpectedBucketOwner": ACCOUNT_ID}
MIB = 1 << 20
ONE_TRY = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    fake_cloud.store().create_bucket(Bucket=BUCKET)
    return fake_cloud


@pytest.fixture
def s3(cloud: FakeCloud):
    return cloud.client("s3")


def refused(call, **parameters) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    return (
        response["Error"]["Code"],
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"].get("Message", ""),
    )


def raw(cloud: FakeCloud, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(cloud.s3.url).netloc, timeout=10)
    sent = {"x-amz-expected-bucket-owner": ACCOUNT_ID, **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request(method, target, body, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def upload(s3, parts: list[bytes], *, key: str = "k", **create) -> tuple[str, list[dict]]:
    upload_id = s3.create_multipart_upload(Bucket=BUCKET, Key=key, **OWNER, **create)["UploadId"]
    algorithm = create.get("ChecksumAlgorithm", "CRC32")
    done = []
    for number, data in enumerate(parts, start=1):
        checksum = {f"Checksum{algorithm}": checksum_of(data, algorithm).value}
        answer = s3.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload_id, PartNumber=number, Body=data, **OWNER, **checksum
        )
        done.append({"PartNumber": number, "ETag": answer["ETag"], **checksum})
    return upload_id, done


def complete(s3, upload_id: str, parts: list[dict], *, key: str = "k", **more):
    return s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **OWNER, **more
    )


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_put_with_any_checksum_is_stored_and_told_back(s3, algorithm):
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"hello", ChecksumAlgorithm=algorithm, **OWNER)
    head = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED", **OWNER)
    assert head[f"Checksum{algorithm}"] == checksum_of(b"hello", algorithm).value
    assert s3.get_object(Bucket=BUCKET, Key="k", **OWNER)["Body"].read() == b"hello"


def test_checksums_agree_with_a_known_vector():
    """The check values of "123456789" in the catalogue of CRC algorithms."""
    vectors = {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}
    for algorithm, number in vectors.items():
        size = 8 if algorithm == "CRC64NVME" else 4
        assert base64.b64decode(checksum_of(b"123456789", algorithm).value) == number.to_bytes(size, "big")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA256"])
def test_wrong_checksums_are_a_bad_digest(cloud, s3, algorithm):
    wrong = {f"Checksum{algorithm}": checksum_of(b"other", algorithm).value}
    assert refused(s3.put_object, Bucket=BUCKET, Key="k", Body=b"hello", **wrong, **OWNER)[:2] == ("BadDigest", 400)
    assert "Contents" not in cloud.store().list_objects_v2(Bucket=BUCKET)


def test_moto_alone_stores_bytes_that_are_not_those_of_their_checksum(cloud):
    wrong = checksum_of(b"other", "SHA256").value
    cloud.store().put_object(Bucket=BUCKET, Key="k", Body=b"hello", ChecksumSHA256=wrong)
    assert cloud.store().get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"hello"


@pytest.mark.parametrize("size", [1, 9 * MIB])
def test_upload_file_fails_when_a_bit_flips_on_the_way(cloud, tmp_path, size):
    path = tmp_path / "data"
    path.write_bytes(b"x" * size)
    client = boto3.client("s3", config=ONE_TRY)
    operation = "PutObject" if size == 1 else "UploadPart"
    cloud.s3.faults.add(FLIPPED_REQUEST, operation=operation)
    with pytest.raises(Exception, match="BadDigest"):
        client.upload_file(str(path), BUCKET, "k", ExtraArgs=OWNER)
    assert "Contents" not in cloud.store().list_objects_v2(Bucket=BUCKET)
    client.upload_file(str(path), BUCKET, "k", ExtraArgs=OWNER)
    assert cloud.store().get_object(Bucket=BUCKET, Key="k")["Body"].read() == path.read_bytes()


def test_the_signed_payload_hash_counts_only_after_the_checksum(cloud):
    wrong = hashlib.sha256(b"other").hexdigest()
    md5 = base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    status, text = raw(cloud, "PUT", f"/{BUCKET}/k", b"hello", Content_MD5=md5, x_amz_content_sha256=wrong)
    assert (status, "XAmzContentSHA256Mismatch" in text) == (400, True)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content_MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"Content_MD5": "short"}, "InvalidDigest"),
        ({"x_amz_checksum_crc32": "!!!"}, "InvalidRequest"),
        ({"x_amz_checksum_crc32": "AAAAAA==", "x_amz_checksum_crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x_amz_sdk_checksum_algorithm": "CRC32"}, "InvalidRequest"),
        ({"x_amz_checksum_xxhash64": "AAAAAAAAAAA="}, "NotImplemented"),
        ({}, "strict: the body has no checksum"),
    ],
)
def test_malformed_missing_and_doubled_checksums_are_refused(cloud, headers, code):
    status, text = raw(cloud, "PUT", f"/{BUCKET}/k", b"hello", **headers)
    assert status in (400, 501)
    assert code in text


def test_bytes_without_a_checksum_are_stored_when_the_rules_say_so(cloud):
    cloud.s3.service.rules = S3Rules(require_checksum=False)
    assert raw(cloud, "PUT", f"/{BUCKET}/k", b"hello")[0] == 200


def chunked(data: bytes, trailer: str, *, signature: str = "") -> bytes:
    return (
        f"{len(data):x}{signature}\r\n".encode()
        + data
        + b"\r\n0"
        + signature.encode()
        + b"\r\n"
        + trailer.encode()
        + b"\r\n\r\n"
    )


@pytest.mark.parametrize("signature", ["", ";chunk-signature=" + "0" * 64])
@pytest.mark.parametrize(
    "payload", ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"]
)
def test_an_aws_chunked_body_is_decoded_and_its_trailer_verified(cloud, signature, payload):
    headers = {"Content_Encoding": "aws-chunked", "x_amz_decoded_content_length": "5", "x_amz_content_sha256": payload}
    right = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    body = chunked(b"hello", f"x-amz-checksum-crc32:{right}", signature=signature)
    assert raw(cloud, "PUT", f"/{BUCKET}/k", body, **headers)[0] == 200
    stored = cloud.store().get_object(Bucket=BUCKET, Key="k")
    assert (stored["Body"].read(), stored.get("ContentEncoding")) == (b"hello", None)
    wrong = chunked(b"jello", f"x-amz-checksum-crc32:{right}", signature=signature)
    assert "BadDigest" in raw(cloud, "PUT", f"/{BUCKET}/k", wrong, **headers)[1]
    assert "IncompleteBody" in raw(cloud, "PUT", f"/{BUCKET}/k", body[:4], **headers)[1]


def test_a_multipart_upload_with_one_checksum_over_the_whole_is_stored(cloud, s3):
    data = [b"a" * 5 * MIB, b"b" * 100]
    upload_id, parts = upload(s3, data, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT")
    whole = checksum_of(b"".join(data), "CRC64NVME").value
    answer = complete(
        s3,
        upload_id,
        parts,
        ChecksumCRC64NVME=whole,
        ChecksumType="FULL_OBJECT",
        MpuObjectSize=5 * MIB + 100,
        IfNoneMatch="*",
    )
    assert answer["ChecksumCRC64NVME"] == whole
    head = s3.head_object(Bucket=BUCKET, Key="k", ChecksumMode="ENABLED", **OWNER)
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"], head["ContentLength"]) == (
        whole,
        "FULL_OBJECT",
        5 * MIB + 100,
    )
    assert s3.get_object(Bucket=BUCKET, Key="k", **OWNER)["Body"].read() == b"".join(data)


def test_a_composite_checksum_counts_its_parts(s3):
    upload_id, parts = upload(s3, [b"a" * 5 * MIB, b"b"], ChecksumAlgorithm="SHA256")
    digests = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in parts)
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert complete(s3, upload_id, parts)["ChecksumSHA256"] == expected


WHOLE = checksum_of(b"a" * 5 * MIB + b"b", "CRC32").value


@pytest.mark.parametrize(
    ("change", "more", "code"),
    [
        (lambda parts: parts[::-1], {}, "InvalidPartOrder"),
        (lambda parts: [parts[0], parts[0]], {}, "InvalidPartOrder"),
        (lambda parts: parts[:0], {}, "MalformedXML"),
        (lambda parts: [*parts, {"PartNumber": 9, "ETag": '"x"', "ChecksumCRC32": "AAAAAA=="}], {}, "InvalidPart"),
        (lambda parts: [{**parts[0], "ETag": '"x"'}, parts[1]], {}, "InvalidPart"),
        (lambda parts: [{**parts[0], "ChecksumCRC32": "AAAAAA=="}, parts[1]], {}, "InvalidPart"),
        (
            lambda parts: [{k: v for k, v in part.items() if k != "ChecksumCRC32"} for part in parts],
            {},
            "InvalidRequest",
        ),
        (lambda parts: parts, {"MpuObjectSize": 5 * MIB}, "InvalidRequest"),
        (lambda parts: parts, {"ChecksumType": "FULL_OBJECT"}, "InvalidRequest"),
        (lambda parts: parts, {"ChecksumCRC32": WHOLE}, "BadDigest"),
        (lambda parts: parts, {"ChecksumCRC32C": "AAAAAA=="}, "InvalidRequest"),
    ],
)
def test_a_completion_that_is_not_what_was_uploaded_is_refused(cloud, s3, change, more, code):
    upload_id, parts = upload(s3, [b"a" * 5 * MIB, b"b"], ChecksumAlgorithm="CRC32")
    with pytest.raises(ClientError, match=code):
        complete(s3, upload_id, change(parts), **more)
    assert "Contents" not in cloud.store().list_objects_v2(Bucket=BUCKET)
    complete(s3, upload_id, parts)


def test_every_part_but_the_last_has_five_mebibytes(s3):
    upload_id, parts = upload(s3, [b"a" * (5 * MIB - 1), b"b"])
    with pytest.raises(ClientError, match="EntityTooSmall"):
        complete(s3, upload_id, parts)


def test_the_checksum_of_a_full_object_upload_is_compared_with_all_bytes(s3):
    upload_id, parts = upload(s3, [b"a" * 5 * MIB, b"b"], ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    with pytest.raises(ClientError, match="BadDigest"):
        complete(s3, upload_id, parts, ChecksumCRC32="AAAAAA==", ChecksumType="FULL_OBJECT")
    assert complete(s3, upload_id, parts, ChecksumCRC32=WHOLE, ChecksumType="FULL_OBJECT")["ChecksumCRC32"] == WHOLE


@pytest.mark.parametrize(
    ("create", "code"),
    [
        ({"ChecksumAlgorithm": "SHA256", "ChecksumType": "FULL_OBJECT"}, "InvalidRequest"),
        ({"ChecksumAlgorithm": "CRC64NVME", "ChecksumType": "COMPOSITE"}, "InvalidRequest"),
        ({"ChecksumAlgorithm": "XXHASH64"}, "InvalidRequest"),
    ],
)
def test_an_upload_cannot_begin_with_a_checksum_that_s3_does_not_make(s3, create, code):
    assert refused(s3.create_multipart_upload, Bucket=BUCKET, Key="k", **OWNER, **create)[0] == code


def test_a_part_brings_the_checksum_that_the_upload_was_begun_with(s3):
    upload_id, _ = upload(s3, [], ChecksumAlgorithm="CRC64NVME")
    part = {"Bucket": BUCKET, "Key": "k", "UploadId": upload_id, "PartNumber": 1, "Body": b"x", **OWNER}
    assert refused(s3.upload_part, **part, ChecksumAlgorithm="CRC32")[0] == "InvalidRequest"
    assert refused(s3.upload_part, **{**part, "PartNumber": 10_001})[0] == "InvalidArgument"
    assert refused(s3.upload_part, **{**part, "UploadId": "x"})[0] == "NoSuchUpload"
    assert refused(s3.upload_part, **{**part, "Key": "other"})[0] == "NoSuchUpload"


def test_parts_are_listed_with_their_checksums_page_by_page(s3):
    upload_id, parts = upload(s3, [b"x", b"yy", b"zzz"], ChecksumAlgorithm="CRC64NVME")
    where = {"Bucket": BUCKET, "Key": "k", "UploadId": upload_id, **OWNER}
    first = s3.list_parts(**where, MaxParts=2)
    assert (first["IsTruncated"], first["ChecksumAlgorithm"], first["NextPartNumberMarker"]) == (True, "CRC64NVME", 2)
    last = s3.list_parts(**where, PartNumberMarker=2)
    assert last["IsTruncated"] is False
    rows = first["Parts"] + last["Parts"]
    assert [(row["PartNumber"], row["ETag"], row["ChecksumCRC64NVME"], row["Size"]) for row in rows] == [
        (part["PartNumber"], part["ETag"], part["ChecksumCRC64NVME"], part["PartNumber"]) for part in parts
    ]


def test_uploads_under_way_are_listed_with_their_age_and_can_be_aborted(cloud, s3):
    ids = [upload(s3, [], key=key)[0] for key in ("a/1", "a/2 ü", "b")]
    cloud.s3.service.uploads()[0].initiated_at -= 3 * 86400
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=BUCKET, Prefix="a/", PaginationConfig={"PageSize": 1}, **OWNER
    )
    rows = [row for page in pages for row in page["Uploads"]]
    assert [(row["Key"], row["UploadId"]) for row in rows] == [("a/1", ids[0]), ("a/2 ü", ids[1])]
    assert (rows[1]["Initiated"] - rows[0]["Initiated"]).days >= 2
    s3.abort_multipart_upload(Bucket=BUCKET, Key="a/1", UploadId=ids[0], **OWNER)
    assert refused(s3.list_parts, Bucket=BUCKET, Key="a/1", UploadId=ids[0], **OWNER)[:2] == ("NoSuchUpload", 404)


def test_uploads_to_a_bucket_that_is_not_there_are_not_listed_as_none(s3):
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_multipart_uploads(Bucket="nobody-has-this", **OWNER)


@pytest.mark.parametrize(
    ("how", "outcome"),
    [("NoSuchUpload", "NoSuchUpload"), ("PreconditionFailed", "PreconditionFailed"), ("success", "")],
)
def test_a_completion_repeated_after_a_lost_answer_gets_what_the_rules_say(cloud, s3, how, outcome):
    cloud.s3.service.rules = S3Rules(repeated_complete=how)
    upload_id, parts = upload(s3, [b"x"])
    cloud.s3.faults.add(LOST_ANSWER, operation="CompleteMultipartUpload")
    if outcome:
        with pytest.raises(ClientError, match=outcome):
            complete(s3, upload_id, parts, IfNoneMatch="*")
    else:
        complete(s3, upload_id, parts, IfNoneMatch="*")
    assert len(cloud.s3.calls.all("CompleteMultipartUpload")) == 2
    assert cloud.store().get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x"


def test_a_conditional_write_does_not_replace(cloud, s3):
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"first", IfNoneMatch="*", **OWNER)
    again = {"Bucket": BUCKET, "Key": "k", "Body": b"second", "IfNoneMatch": "*", **OWNER}
    assert refused(s3.put_object, **again)[:2] == ("PreconditionFailed", 412)
    upload_id, parts = upload(s3, [b"second"])
    with pytest.raises(ClientError, match="PreconditionFailed"):
        complete(s3, upload_id, parts, IfNoneMatch="*")
    assert cloud.store().get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"first"
    cloud.s3.faults.add(CONDITIONAL_CONFLICT, operation="PutObject")
    assert refused(s3.put_object, **again)[:2] == ("ConditionalRequestConflict", 409)


def test_every_call_says_who_should_own_the_bucket(cloud, s3):
    put = {"Bucket": BUCKET, "Key": "k", "Body": b"x"}
    assert refused(s3.put_object, **put)[:2] == ("AccessDenied", 403)
    assert refused(s3.put_object, **put, ExpectedBucketOwner="999999999999")[:2] == ("AccessDenied", 403)
    cloud.s3.service.rules = S3Rules(owners={BUCKET: "999999999999"})
    assert refused(s3.put_object, **put, **OWNER)[:2] == ("AccessDenied", 403)
    cloud.s3.service.rules = S3Rules(require_owner=False)
    s3.put_object(**put)


def test_a_bucket_of_another_region_is_named_and_reached(cloud):
    cloud.store().create_bucket(Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3 = cloud.client("s3")
    assert s3.head_bucket(Bucket="far", **OWNER)["BucketRegion"] == "eu-west-1"
    assert [call.status for call in cloud.s3.calls.all("HeadBucket")] == [301, 200]
    fresh = cloud.client("s3")
    fresh.put_object(Bucket="far", Key="k", Body=b"x", **OWNER)
    assert [call.status for call in cloud.s3.calls.all("PutObject")] == [400, 200]


def test_a_clock_that_is_wrong_by_more_than_a_quarter_hour_is_refused(cloud, s3):
    cloud.s3.service.rules = S3Rules(skew_s=3600)
    code, status, _ = refused(s3.list_objects_v2, Bucket=BUCKET, **OWNER)
    assert (code, status) == ("RequestTimeTooSkewed", 403)
    cloud.s3.service.rules = S3Rules(skew_s=600)
    answer = s3.list_objects_v2(Bucket=BUCKET, **OWNER)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["date"]


def test_encryption_headers_fit_each_other_and_the_bucket(cloud, s3):
    put = {"Bucket": BUCKET, "Key": "k", "Body": b"x", **OWNER}
    kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"}
    assert refused(s3.put_object, **put, SSEKMSKeyId="key-1")[0] == "InvalidArgument"
    s3.put_object(**put, **kms)
    cloud.s3.service.rules = S3Rules(kms_keys={BUCKET: "key-1"})
    assert refused(s3.put_object, **put)[0] == "AccessDenied"
    s3.put_object(**put, **kms)


def test_a_missing_key_permission_is_named(cloud, s3):
    kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "key-1"}
    cloud.s3.service.rules = S3Rules(denied_kms_actions=frozenset({"kms:Decrypt"}))
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x", **kms, **OWNER)
    upload_id, _ = upload(s3, [], **kms)
    part = {"Bucket": BUCKET, "Key": "k", "UploadId": upload_id, "PartNumber": 1, "Body": b"x", **OWNER}
    code, _, message = refused(s3.upload_part, **part)
    assert (code, "kms:Decrypt" in message) == ("AccessDenied", True)
    cloud.s3.service.rules = S3Rules(denied_kms_actions=frozenset({"kms:GenerateDataKey"}))
    assert "kms:GenerateDataKey" in refused(s3.create_multipart_upload, Bucket=BUCKET, Key="k", **kms, **OWNER)[2]


def test_a_denied_action_is_refused_by_name_whichever_operation_needs_it(cloud, s3):
    cloud.denied.add("s3:PutObject")
    assert "s3:PutObject" in refused(s3.create_multipart_upload, Bucket=BUCKET, Key="k", **OWNER)[2]
    cloud.denied.add("s3:ListBucket")
    assert refused(s3.head_object, Bucket=BUCKET, Key="missing", **OWNER)[1] == 403
    cloud.denied.clear()
    assert refused(s3.head_object, Bucket=BUCKET, Key="missing", **OWNER)[1] == 404


def test_a_new_key_can_stay_out_of_listings_for_a_while(cloud, s3):
    s3.put_object(Bucket=BUCKET, Key="old", Body=b"x", **OWNER)
    cloud.s3.service.rules = S3Rules(list_lag_s=3600)
    s3.put_object(Bucket=BUCKET, Key="new ü", Body=b"x", **OWNER)
    assert s3.list_objects_v2(Bucket=BUCKET, **OWNER)["KeyCount"] == 0
    s3.head_object(Bucket=BUCKET, Key="new ü", **OWNER)
    cloud.s3.service.rules = S3Rules()
    assert [row["Key"] for row in s3.list_objects_v2(Bucket=BUCKET, **OWNER)["Contents"]] == ["new ü", "old"]


@pytest.mark.parametrize("fault", [SLOW_DOWN, LOST_REQUEST, LOST_ANSWER, CUT_REQUEST, CUT_ANSWER, FLIPPED_REQUEST])
def test_a_client_that_tries_again_gets_its_bytes_through(cloud, s3, fault):
    """boto3 alone survives all of these on a small put, a flip included, because the retry carries the right bytes."""
    cloud.s3.faults.add(fault, operation="PutObject")
    if fault is FLIPPED_REQUEST:
        assert refused(s3.put_object, Bucket=BUCKET, Key="k", Body=b"x" * 5000, **OWNER)[0] == "BadDigest"
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x" * 5000, **OWNER)
    assert cloud.store().get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"x" * 5000


def test_a_bit_that_flips_on_the_way_back_is_noticed_by_the_client(cloud, s3):
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"x" * 5000, **OWNER)
    cloud.s3.faults.add(FLIPPED_ANSWER, operation="GetObject")
    with pytest.raises(Exception, match="checksum"):
        s3.get_object(Bucket=BUCKET, Key="k", **OWNER)["Body"].read()


@pytest.mark.parametrize(("fault", "code"), [(EXPIRED_TOKEN, "ExpiredToken"), (CLOCK_SKEW, "RequestTimeTooSkewed")])
def test_the_nth_call_fails_and_all_after_it(cloud, s3, fault, code):
    cloud.s3.faults.add(fault, operation="PutObject", nth=3, times=10)
    outcomes = []
    for number in range(5):
        try:
            s3.put_object(Bucket=BUCKET, Key=str(number), Body=b"x", **OWNER)
            outcomes.append("ok")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["ok", "ok", code, code, code]


def test_calls_are_recorded_with_headers_and_sizes(cloud, s3):
    s3.put_object(Bucket=BUCKET, Key="a b", Body=io.BytesIO(b"x" * 100), **OWNER)
    call = cloud.s3.calls.all("PutObject")[-1]
    assert (call.method, call.path, call.size_bytes, call.status) == ("PUT", f"/{BUCKET}/a%20b", 100, 200)
    assert call.headers["x-amz-expected-bucket-owner"] == ACCOUNT_ID


def test_of_rival_conditional_writes_exactly_one_wins(cloud):
    def write(number: int) -> str:
        try:
            boto3.client("s3").put_object(Bucket=BUCKET, Key="k", Body=b"%d" % number, IfNoneMatch="*", **OWNER)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return "ok"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(write, range(8)))
    assert outcomes == ["PreconditionFailed"] * 7 + ["ok"]


def test_what_a_dying_client_sent_is_not_acted_on(cloud):
    with socket.create_connection(("127.0.0.1", urlsplit(cloud.s3.url).port)) as connection:
        head = f"PUT /{BUCKET}/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        connection.sendall(f"{head}x-amz-expected-bucket-owner: {ACCOUNT_ID}\r\n\r\n".encode() + b"x" * 300)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    assert "Contents" not in cloud.store().list_objects_v2(Bucket=BUCKET)
    (call,) = cloud.s3.calls.all("PutObject")
    assert (call.size_bytes, call.status) == (300, None)
