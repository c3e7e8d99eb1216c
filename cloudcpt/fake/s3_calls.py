"""Which S3 operation a request is, and which permission it needs.

Path-style addressing only, which is what boto3 uses for an endpoint that is an IP address.
Source: Amazon S3 API reference (request syntax of each operation) and service authorization reference (actions).
"""

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from cloudcpt.fake.http import Request


@dataclass(frozen=True, kw_only=True)
class S3Call:
    """What a request asks for: the operation, and the bucket and key it names, empty when it names none."""

    operation: str
    bucket: str
    key: str


_BUCKET: dict[tuple[str, str], str] = {
    ("GET", "location"): "GetBucketLocation",
    ("GET", "policyStatus"): "GetBucketPolicyStatus",
    ("GET", "policy"): "GetBucketPolicy",
    ("GET", "publicAccessBlock"): "GetPublicAccessBlock",
    ("GET", "encryption"): "GetBucketEncryption",
    ("GET", "lifecycle"): "GetBucketLifecycleConfiguration",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "versions"): "ListObjectVersions",
    ("GET", ""): "ListObjects",
    ("HEAD", ""): "HeadBucket",
    ("PUT", ""): "CreateBucket",
    ("POST", "delete"): "DeleteObjects",
    ("DELETE", ""): "DeleteBucket",
}
"""By method and the query parameter that decides; the first that is there."""

_OBJECT: dict[tuple[str, str], str] = {
    ("PUT", "uploadId"): "UploadPart",
    ("PUT", "tagging"): "PutObjectTagging",
    ("PUT", ""): "PutObject",
    ("GET", "uploadId"): "ListParts",
    ("GET", "attributes"): "GetObjectAttributes",
    ("GET", "tagging"): "GetObjectTagging",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("DELETE", ""): "DeleteObject",
}

_ACTIONS: dict[str, str] = {
    "HeadObject": "s3:GetObject",
    "GetObjectAttributes": "s3:GetObject",
    "UploadPart": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "ListParts": "s3:ListMultipartUploadParts",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "HeadBucket": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListBuckets": "s3:ListAllMyBuckets",
    "DeleteObjects": "s3:DeleteObject",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
}
"""Actions that are not called as their operation is."""


def s3_call(head: Request) -> S3Call:
    """Read what a request asks for from its head."""
    bucket, _, key = unquote(head.path.removeprefix("/")).partition("/")
    if not bucket:
        return S3Call(operation="ListBuckets", bucket="", key="")
    operation = _operation(_OBJECT if key else _BUCKET, head)
    if operation == "PutObject" and "x-amz-copy-source" in head.headers:
        operation = "CopyObject"
    return S3Call(operation=operation, bucket=bucket, key=key)


def s3_action(operation: str) -> str:
    """Name the IAM action that an operation needs."""
    return _ACTIONS.get(operation, f"s3:{operation}")


def _operation(table: dict[tuple[str, str], str], head: Request) -> str:
    names = parse_qs(head.query, keep_blank_values=True)
    for (method, parameter), operation in table.items():
        if method == head.method and (not parameter or parameter in names):
            return operation
    return f"{head.method}?{','.join(names)}"
