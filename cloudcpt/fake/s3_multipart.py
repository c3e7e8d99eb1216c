"""Multipart uploads as S3 judges them: their beginning, their parts, their end, and what is under way.

Source: Amazon S3 API reference, CreateMultipartUpload, UploadPart, CompleteMultipartUpload; user guide, "Multipart
upload limits" (10,000 parts).
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from cloudcpt.fake.checksums import (
    CHECKSUM_TYPES,
    DEFAULT_ALGORITHM,
    HEADER_PREFIX,
    checksum_of,
)
from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.passing import Moto
from cloudcpt.fake.s3_body import receive
from cloudcpt.fake.s3_calls import S3Call
from cloudcpt.fake.s3_completion import completion, judge_sizes, judge_whole, named_parts
from cloudcpt.fake.s3_rules import S3Rules, judge_part_keys
from cloudcpt.fake.s3_uploads import (
    Ledger,
    Part,
    StoredChecksum,
    Upload,
    checksum_xml,
    list_parts_xml,
    list_uploads_xml,
)

MAX_PARTS = 10_000
_XML = {"content-type": "application/xml"}
_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_ETAG = re.compile(rb"<ETag>([^<]+)</ETag>")


class Multipart:
    """The five operations of a multipart upload, and their two lists.

    Args:
        moto: Keeps the bytes.
        ledger: Keeps what moto does not.
        rules: How strict to be; asked on every call.
        account_id: Of the caller.
        commit: Held while an object comes into being, so that two conditional writes cannot both win.
    """

    def __init__(
        self, moto: Moto, ledger: Ledger, rules: Callable[[], S3Rules], account_id: str, commit: threading.Lock
    ) -> None:
        self._moto = moto
        self._ledger = ledger
        self._rules = rules
        self._account_id = account_id
        self._commit = commit
        self._encrypted: set[str] = set()
        self._completed: dict[str, Answer] = {}

    def create(self, call: S3Call, request: Request) -> Answer:
        """Begin an upload.

        Raises:
            Refusal: S3 does not know the algorithm, or not with that type.
        """
        declared = request.headers.get(f"{HEADER_PREFIX}algorithm")
        algorithm = (declared or DEFAULT_ALGORITHM).upper()
        types = CHECKSUM_TYPES.get(algorithm)
        if types is None:
            raise _invalid(f"Checksum algorithm provided is unsupported: {algorithm}")
        checksum_type = request.headers.get(f"{HEADER_PREFIX}type", types[0])
        if checksum_type not in types:
            raise _invalid(f"The {checksum_type} checksum type cannot be used with the {algorithm} checksum algorithm.")
        answer = self._moto.pass_on(_plain(request))
        if match := _UPLOAD_ID.search(answer.body):
            upload_id = match[1].decode()
            if request.headers.get("x-amz-server-side-encryption", "").startswith("aws:kms"):
                self._encrypted.add(upload_id)
            self._ledger.uploads[upload_id] = Upload(
                upload_id=upload_id,
                bucket=call.bucket,
                key=call.key,
                algorithm=algorithm,
                checksum_type=checksum_type,
                is_declared=declared is not None,
                initiated_at=time.time(),
            )
        kind = {f"{HEADER_PREFIX}algorithm": algorithm, f"{HEADER_PREFIX}type": checksum_type} if declared else {}
        return replace(answer, headers={**answer.headers, **kind})

    def part(self, call: S3Call, request: Request) -> Answer:
        """Take one part.

        Raises:
            Refusal: no such upload, no such number, another algorithm, or wrong bytes.
        """
        upload = self._ledger.upload(call.bucket, call.key, request.parameter("uploadId") or "")
        number = int(request.parameter("partNumber") or 0)
        if not 1 <= number <= MAX_PARTS:
            message = f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive"
            raise Refusal(status=400, code="InvalidArgument", message=message)
        if upload.upload_id in self._encrypted:
            judge_part_keys(self._rules(), self._account_id)
        received = receive(request, require_checksum=self._rules().require_checksum)
        checksum = received.checksum
        if checksum is not None and upload.is_declared and checksum.algorithm != upload.algorithm:
            expected, actual = upload.algorithm.lower(), checksum.algorithm.lower()
            raise _invalid(f"Checksum Type mismatch occurred, expected checksum Type: {expected}, actual: {actual}")
        answer = self._moto.pass_on(received.request)
        if answer.status >= 500:  # moto stumbles when a rival ends the upload at this moment; S3 says that it is gone
            self._ledger.upload(call.bucket, call.key, upload.upload_id)
        if answer.status == 200:
            upload.parts[number] = Part(
                number=number,
                size_bytes=len(received.request.body),
                etag=answer.headers["etag"],
                checksum=checksum_of(received.request.body, upload.algorithm),
                stored_at=time.time(),
            )
        echo = {checksum.header: checksum.value} if checksum else {}
        return replace(answer, headers={**answer.headers, **echo})

    def complete(self, call: S3Call, request: Request) -> Answer:
        """Make the object, unless anything is wrong with it.

        Raises:
            Refusal: parts missing, too small or in disorder; checksum, size or condition not met.
        """
        upload_id = request.parameter("uploadId") or ""
        with self._commit:
            if upload_id in self._completed:
                return self._again(upload_id, request)
            upload = self._ledger.upload(call.bucket, call.key, upload_id)
            parts = named_parts(upload, request.body)
            judge_sizes(parts, self._rules().min_part_bytes)
            checksum = judge_whole(upload, parts, request.headers)
            answer = self._moto.pass_on(_plain(replace(request, body=completion(parts))))
            if answer.status != 200:
                return answer
            del self._ledger.uploads[upload_id]
            etag = _ETAG.search(answer.body)
            assert etag, "moto completes an upload with an ETag"
            stored = StoredChecksum(
                etag=etag[1].decode().replace("&quot;", '"'), checksum=checksum, checksum_type=upload.checksum_type
            )
            self._ledger.store(call.bucket, call.key, stored)
            more = checksum_xml(checksum) + f"<ChecksumType>{upload.checksum_type}</ChecksumType>"
            end = b"</CompleteMultipartUploadResult>"
            answer = replace(answer, body=answer.body.replace(end, more.encode() + end), length=None)
            self._completed[upload_id] = answer
            return answer

    def abort(self, call: S3Call, request: Request) -> Answer:
        """End an upload without an object.

        Raises:
            Refusal: no such upload.
        """
        upload = self._ledger.upload(call.bucket, call.key, request.parameter("uploadId") or "")
        answer = self._moto.pass_on(request)
        self._ledger.uploads.pop(upload.upload_id, None)
        return answer

    def parts(self, call: S3Call, request: Request) -> Answer:
        """List the parts of an upload.

        Raises:
            Refusal: no such upload.
        """
        upload = self._ledger.upload(call.bucket, call.key, request.parameter("uploadId") or "")
        after = int(request.parameter("part-number-marker") or 0)
        most = min(int(request.parameter("max-parts") or 1000), 1000)
        return Answer(headers=_XML, body=list_parts_xml(upload, after=after, most=most).encode())

    def uploads(self, call: S3Call, request: Request) -> Answer:
        """List the uploads to a bucket."""
        found = self._ledger.uploads_to(
            call.bucket,
            prefix=request.parameter("prefix") or "",
            key_marker=request.parameter("key-marker") or "",
            id_marker=request.parameter("upload-id-marker") or "",
        )
        most = min(int(request.parameter("max-uploads") or 1000), 1000)
        encode = request.parameter("encoding-type") == "url"
        return Answer(headers=_XML, body=list_uploads_xml(found, bucket=call.bucket, most=most, encode=encode).encode())

    def clear(self) -> None:
        """Forget everything."""
        self._encrypted.clear()
        self._completed.clear()

    def _again(self, upload_id: str, request: Request) -> Answer:
        how = self._rules().repeated_complete
        if how == "success":
            return self._completed[upload_id]
        if how == "PreconditionFailed" and request.headers.get("if-none-match") == "*":
            message = "At least one of the pre-conditions you specified did not hold"
            raise Refusal(status=412, code="PreconditionFailed", message=message)
        message = "The specified upload does not exist. The upload ID may be invalid, or it may have been completed."
        raise Refusal(status=404, code="NoSuchUpload", message=message)


def _plain(request: Request) -> Request:
    """Leave out the checksum headers: moto would compute them a second time."""
    kept = {name: value for name, value in request.headers.items() if not name.startswith(HEADER_PREFIX)}
    return replace(request, headers=kept)


def _invalid(message: str) -> Refusal:
    return Refusal(status=400, code="InvalidRequest", message=message)
