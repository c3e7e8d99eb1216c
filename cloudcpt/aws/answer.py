"""What an error answer of a service says, besides its code: which permission is missing, how wrong our clock is."""

import re
import time
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

_ACTIONS = {
    "HeadObject": "`s3:GetObject` (and `s3:ListBucket`, without which a missing object looks forbidden)",
    "HeadBucket": "`s3:ListBucket`",
    "CreateMultipartUpload": "`s3:PutObject`",
    "UploadPart": "`s3:PutObject`",
    "CompleteMultipartUpload": "`s3:PutObject`",
    "ListParts": "`s3:ListMultipartUploadParts`",
    "ListMultipartUploads": "`s3:ListBucketMultipartUploads`",
    "ListObjectsV2": "`s3:ListBucket`",
    "PutObject": "`s3:PutObject`",
    "GetObject": "`s3:GetObject`",
    "AbortMultipartUpload": "`s3:AbortMultipartUpload`",
    "GetBucketPolicyStatus": "`s3:GetBucketPolicyStatus`",
    "GetPublicAccessBlock": "`s3:GetBucketPublicAccessBlock`",
    "GetBucketLifecycleConfiguration": "`s3:GetLifecycleConfiguration`",
}
"""Operations that ask for a permission of another name. Source: Amazon S3 user guide, "Required permissions for S3 API
operations", 2026-11. S3 names the action in its text only when caller and bucket are of one organization."""

_NOT_AUTHORIZED = re.compile(
    r"not authorized to perform:? (?P<action>[\w-]+:\w+)(?: on (?:the )?resource:? \"?(?P<resource>[^\s\"]+))?"
)


def facts_of(exc: ClientError) -> dict[str, str]:
    """Read an answer: `code`, `text`, `action`, `resource`, `skew` and `attempts`, each fit to stand in a sentence."""
    answer = exc.response.get("Error", {})
    text = str(answer.get("Message") or "no reason was given")
    named = _NOT_AUTHORIZED.search(text)
    retries = exc.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    return {
        "code": str(answer.get("Code") or "an error without a code"),
        "text": text,
        "action": f"`{named['action']}`" if named else _ACTIONS.get(exc.operation_name, f"`{exc.operation_name}`"),
        "resource": f"`{named['resource']}`" if named and named["resource"] else "it",
        "skew": _skew(exc),
        "attempts": f"tried {retries + 1} times" if retries else "tried once",
    }


def _skew(exc: ClientError) -> str:
    """Say how far this machine's clock is from the server's: every answer has a date."""
    try:
        served_at = parsedate_to_datetime(exc.response["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, ValueError, TypeError):
        return "too far"
    return f"{time.time() - served_at.timestamp():+.0f} s"
