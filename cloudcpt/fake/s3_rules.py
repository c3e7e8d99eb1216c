"""What S3 looks at before it looks at the body: the clock, the region, the owner of the bucket, the keys.

Source: Amazon S3 API reference ("Error responses", "Verifying bucket ownership with bucket owner condition"), user
guide ("Specifying server-side encryption with AWS KMS").
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cloudcpt.fake.front import Refusal, denied
from cloudcpt.fake.http import Request
from cloudcpt.fake.s3_calls import S3Call

ALLOWED_SKEW_S = 900.0
"""Source: S3 error `RequestTimeTooSkewed`, 15 minutes."""

OWNER_HEADER = "x-amz-expected-bucket-owner"
_WITHOUT_OWNER = frozenset({"ListBuckets", "CreateBucket"})
_SSE, _SSE_KEY = "x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id"
_SSE_VALUES = ("AES256", "aws:kms", "aws:kms:dsse")
_CREDENTIAL = re.compile(r"Credential=[^/]+/\d{8}/(?P<region>[^/]+)/[^/]+/aws4_request")


@dataclass(frozen=True, kw_only=True)
class S3Rules:
    """How strict the front is, and what the buckets are like; replace `cloud.s3.service.rules` to change it.

    Args:
        require_owner: Refuse a request that does not say who should own the bucket. S3 does not; a careful client does.
        require_checksum: Refuse bytes without a checksum that S3 can verify. S3 computes one of its own instead.
        owners: Account that owns a bucket, where it is not the caller's.
        open_buckets: Buckets of other accounts whose policy lets the caller in.
        kms_keys: Key that a bucket's policy demands for every object.
        denied_kms_actions: `kms:GenerateDataKey` and `kms:Decrypt` that the caller lacks.
        min_part_bytes: The least that every part of an upload but the last must have: 5 MiB in S3. Tests of many
            uploads want smaller ones.
        list_lag_s: How long a new key stays out of listings. S3 has no lag since 2020; stores that look like it do.
        skew_s: How far the clock of S3 is ahead of ours.
        repeated_complete: What the second of two equal CompleteMultipartUpload calls gets: `NoSuchUpload`,
            `PreconditionFailed` when it is conditional, or `success`. AWS documents the first and has been seen to do
            the last, so a client must live with all.
    """

    require_owner: bool = True
    require_checksum: bool = True
    owners: Mapping[str, str] = field(default_factory=dict)
    open_buckets: frozenset[str] = frozenset()
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    denied_kms_actions: frozenset[str] = frozenset()
    min_part_bytes: int = 5 * 1024**2
    list_lag_s: float = 0.0
    skew_s: float = 0.0
    repeated_complete: str = "NoSuchUpload"


def judge_clock(request: Request, rules: S3Rules) -> None:
    """Refuse a request that was signed too long ago or ahead.

    Raises:
        Refusal: `RequestTimeTooSkewed`.
    """
    signed = request.headers.get("x-amz-date")
    if signed is None:
        return
    signed_at = datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    server_time = time.time() + rules.skew_s
    if abs(signed_at - server_time) > ALLOWED_SKEW_S:
        message = "The difference between the request time and the current time is too large."
        now = datetime.fromtimestamp(server_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        extra = (("RequestTime", signed), ("ServerTime", now), ("MaxAllowedSkewMilliseconds", "900000"))
        raise Refusal(status=403, code="RequestTimeTooSkewed", message=message, extra=extra)


def judge_region(call: S3Call, request: Request, region: str) -> None:
    """Refuse a request that was signed for another region than the bucket's.

    Raises:
        Refusal: 301 to a HEAD, `AuthorizationHeaderMalformed` to anything else; both name the right region.
    """
    match = _CREDENTIAL.search(request.headers.get("authorization", ""))
    if match is None or match["region"] == region or call.operation in ("CreateBucket", "GetBucketLocation"):
        return
    headers = (("x-amz-bucket-region", region),)
    if request.method == "HEAD":
        raise Refusal(status=301, code="PermanentRedirect", message="", headers=headers)
    message = f"The authorization header is malformed; the region '{match['region']}' is wrong; expecting '{region}'"
    extra = (("Region", region),)
    raise Refusal(status=400, code="AuthorizationHeaderMalformed", message=message, extra=extra, headers=headers)


def judge_owner(call: S3Call, request: Request, rules: S3Rules, account_id: str) -> None:
    """Refuse a request that expects another owner of the bucket, or says nothing about it.

    Raises:
        Refusal: `AccessDenied`.
    """
    if call.operation in _WITHOUT_OWNER:
        return
    expected, owner = request.headers.get(OWNER_HEADER), rules.owners.get(call.bucket, account_id)
    if expected is None and rules.require_owner:
        message = f"Access Denied (strict: `{OWNER_HEADER}` is missing on {call.operation})"
        raise Refusal(status=403, code="AccessDenied", message=message)
    is_let_in = expected is not None or owner == account_id or call.bucket in rules.open_buckets
    if (expected or owner) != owner or not is_let_in:
        raise Refusal(status=403, code="AccessDenied", message="Access Denied")


def judge_encryption(call: S3Call, request: Request, rules: S3Rules, account_id: str) -> None:
    """Refuse wrong or missing encryption headers, and keys that the caller may not use.

    Raises:
        Refusal: `InvalidArgument`, or `AccessDenied` with the KMS action in its text.
    """
    mode, key = request.headers.get(_SSE), request.headers.get(_SSE_KEY)
    if call.operation in ("UploadPart", "CompleteMultipartUpload") and (mode or key):
        message = f"{_SSE} header is not supported for this operation."
        raise Refusal(status=400, code="InvalidArgument", message=message)
    if mode is not None and mode not in _SSE_VALUES:
        raise Refusal(status=400, code="InvalidArgument", message="The encryption method specified is not supported")
    if key is not None and (mode is None or not mode.startswith("aws:kms")):
        message = f"Server Side Encryption with AWS KMS managed key requires HTTP header {_SSE} : aws:kms"
        raise Refusal(status=400, code="InvalidArgument", message=message)
    demanded = rules.kms_keys.get(call.bucket)
    if call.operation not in ("UploadPart", "CompleteMultipartUpload") and demanded is not None and key != demanded:
        raise Refusal(status=403, code="AccessDenied", message="Access Denied")
    if mode is not None and mode.startswith("aws:kms"):
        _judge_kms_actions(rules, account_id, "kms:GenerateDataKey")


def judge_part_keys(rules: S3Rules, account_id: str) -> None:
    """Refuse a part of an encrypted upload when the caller may not use the key both ways.

    Raises:
        Refusal: `AccessDenied` with the action in its text.
    """
    _judge_kms_actions(rules, account_id, "kms:GenerateDataKey", "kms:Decrypt")


def _judge_kms_actions(rules: S3Rules, account_id: str, *actions: str) -> None:
    for action in actions:
        if action in rules.denied_kms_actions:
            raise denied(action, account_id)
