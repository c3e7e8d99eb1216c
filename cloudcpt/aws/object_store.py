"""The `ObjectStore` port over S3: bucket, owner and key bound to every call, and nothing decided here.

The owner goes with every request: a bucket of the right name in another account answers 403 instead of taking our data.
Whoever uploads computes the checksums; S3 verifies each part before it stores it and the whole before it shows it.
"""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from botocore.exceptions import ClientError

from cloudcpt.aws.body import WholeBody
from cloudcpt.aws.errors import translated
from cloudcpt.aws.retries import Retries
from cloudcpt.aws.session import AwsSession
from cloudcpt.jobs.objects import Bytes, PendingUpload, StoredObject, StoredPart, UploadGone

_ALGORITHM = {"ChecksumAlgorithm": "CRC64NVME"}


class S3ObjectStore:
    """One bucket; see `cloudcpt.jobs.objects.ObjectStore`.

    Args:
        session: Credentials and region.
        bucket: Its name.
        owner: The account that it must belong to, twelve digits.
        kms_key_id: Id or ARN of the key that objects are encrypted with; the bucket's default when empty.
    """

    def __init__(self, session: AwsSession, *, bucket: str, owner: str, kms_key_id: str = "") -> None:
        self._client = session.client("s3")
        self._bucket = bucket
        self._bound = {"Bucket": bucket, "ExpectedBucketOwner": owner}
        self._sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
        self._retries = Retries(self._client)
        # After an answer that it does not understand botocore asks by itself which region the bucket is in.
        self._client.meta.events.register("provide-client-params.s3.HeadBucket", self._name_owner)

    def _name_owner(self, params: dict[str, Any], **_: object) -> None:
        params.update(self._bound)

    @property
    def uri(self) -> str:
        """Name the bucket."""
        return f"s3://{self._bucket}"

    @property
    def encryption(self) -> str:
        """Name the key."""
        return self._sealed.get("SSEKMSKeyId", "")

    @property
    def retries(self) -> int:
        """Count what botocore sent again."""
        return self._retries.total

    @property
    def last_retry(self) -> str:
        """Say why it did so last."""
        return self._retries.last

    def head(self, key: str) -> StoredObject | None:
        """Look at an object."""
        with translated(f"look at `{self.uri}/{key}`"):
            try:
                found = self._client.head_object(**self._bound, Key=key, ChecksumMode="ENABLED")
            except ClientError as exc:
                if exc.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                self._raise_reason(exc)
        return StoredObject(
            size_bytes=found["ContentLength"],
            crc64nvme=found.get("ChecksumCRC64NVME", ""),
            is_encrypted_as_asked=self._is_sealed(found),
        )

    def get(self, key: str, *, start: int = 0, stop: int | None = None) -> bytes | None:
        """Read bytes of an object; when it is read whole its checksum is verified on the way."""
        end = "" if stop is None else stop - 1
        some = {"Range": f"bytes={start}-{end}"} if start or stop is not None else {"ChecksumMode": "ENABLED"}
        with translated(f"read `{self.uri}/{key}`"):
            try:
                answer = self._client.get_object(**self._bound, Key=key, **some)
            except self._client.exceptions.NoSuchKey:
                return None
            return bytes(answer["Body"].read())

    def put(self, key: str, content: Bytes, *, crc64nvme: str) -> None:
        """Write a small object at once."""
        checked = {**_ALGORITHM, "ChecksumCRC64NVME": crc64nvme}
        with translated(f"write `{self.uri}/{key}`"):
            self._client.put_object(
                **self._bound, **self._sealed, **checked, Key=key, Body=_body(content), IfNoneMatch="*"
            )

    def create_upload(self, key: str) -> str:
        """Begin an upload in parts."""
        with translated(f"begin to upload `{self.uri}/{key}`"):
            answer = self._client.create_multipart_upload(
                **self._bound, **self._sealed, **_ALGORITHM, ChecksumType="FULL_OBJECT", Key=key
            )
        return str(answer["UploadId"])

    def put_part(self, key: str, upload_id: str, number: int, content: Bytes, *, crc64nvme: str) -> str:
        """Send one part."""
        upload = {"Key": key, "UploadId": upload_id, "PartNumber": number}
        checked = {**_ALGORITHM, "ChecksumCRC64NVME": crc64nvme}
        with translated(f"upload part {number} of `{self.uri}/{key}`"):
            answer = self._client.upload_part(**self._bound, **upload, **checked, Body=_body(content))
        return str(answer["ETag"])

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, StoredPart]:
        """Give the parts that have arrived."""
        pages = self._client.get_paginator("list_parts")
        with translated(f"list the parts of `{self.uri}/{key}`"):
            return {
                part["PartNumber"]: StoredPart(
                    size_bytes=part["Size"],
                    crc64nvme=part.get("ChecksumCRC64NVME", ""),
                    etag=part["ETag"],
                    arrived_at=part["LastModified"].timestamp(),
                )
                for page in pages.paginate(**self._bound, Key=key, UploadId=upload_id)
                for part in page.get("Parts", ())
            }

    def complete(self, key: str, upload_id: str, etags: Mapping[int, str], *, size_bytes: int, crc64nvme: str) -> None:
        """Make the parts one object."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(etags.items())]
        whole = {"ChecksumType": "FULL_OBJECT", "ChecksumCRC64NVME": crc64nvme, "MpuObjectSize": size_bytes}
        with translated(f"complete `{self.uri}/{key}`"):
            self._client.complete_multipart_upload(
                **self._bound, **whole, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )

    def abort(self, key: str, upload_id: str) -> None:
        """Drop an upload."""
        with contextlib.suppress(UploadGone), translated(f"abort the upload of `{self.uri}/{key}`"):
            self._client.abort_multipart_upload(**self._bound, Key=key, UploadId=upload_id)

    def list_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """Find the uploads that were neither completed nor aborted."""
        pages = self._client.get_paginator("list_multipart_uploads")
        with translated(f"list the uploads below `{self.uri}/{prefix}`"):
            for page in pages.paginate(**self._bound, Prefix=prefix):
                for found in page.get("Uploads", ()):
                    yield PendingUpload(
                        key=found["Key"],
                        upload_id=found["UploadId"],
                        started_at=found["Initiated"].timestamp(),
                        is_checked_whole=found.get("ChecksumAlgorithm") == "CRC64NVME",
                    )

    def _raise_reason(self, exc: ClientError) -> NoReturn:
        """Ask again in a way that gets an answer with a body: that of a HEAD has none, so it says 400 and no more."""
        try:
            self._client.list_multipart_uploads(**self._bound, MaxUploads=1)
        except ClientError as reason:
            if reason.response["Error"]["Code"] != "AccessDenied":  # that would be about the listing
                raise reason from exc
        raise exc

    def _is_sealed(self, found: Mapping[str, Any]) -> bool:
        """Compare the key as far as it can be: an alias is never in an answer."""
        if not self.encryption:
            return True
        key = found.get("SSEKMSKeyId", "")
        is_alias = "alias/" in self.encryption
        return found.get("ServerSideEncryption") == "aws:kms" and (is_alias or key.endswith(self.encryption))


def _body(content: Bytes) -> WholeBody | bytes:
    """Wrap what is not empty: with a file botocore waits for `100 Continue`, and for nothing some servers send none."""
    return WholeBody(content) if len(content) else b""
