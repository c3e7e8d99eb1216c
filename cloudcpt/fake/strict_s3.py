"""S3 as a judge: every byte, owner, region, key and condition is looked at before moto may store anything.

Through a line that flips bits, `upload_file` onto moto alone succeeds with wrong bytes; through this it fails with
`BadDigest`, as it does on S3. Requests that pass are sent on to moto with their bodies decoded. Signatures are not
verified: who the caller is does not matter here, only what arrives.
"""

import re
import threading
from collections.abc import Mapping, Set
from dataclasses import replace
from urllib.parse import unquote
from xml.sax.saxutils import escape, unescape

from cloudcpt.fake.checksums import DEFAULT_ALGORITHM, FULL_OBJECT, HEADER_PREFIX, checksum_of
from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.passing import Moto
from cloudcpt.fake.s3_body import receive
from cloudcpt.fake.s3_calls import S3Call, s3_action, s3_call
from cloudcpt.fake.s3_multipart import Multipart
from cloudcpt.fake.s3_rules import S3Rules, judge_clock, judge_encryption, judge_owner, judge_region
from cloudcpt.fake.s3_uploads import Ledger, StoredChecksum, Upload

_CONTENTS = re.compile(r"<Contents>.*?</Contents>", re.DOTALL)
_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)
_KEY_COUNT = re.compile(r"<KeyCount>\d+</KeyCount>")
_WRITES = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")


class StrictS3:
    """The S3 service in front of moto's.

    Args:
        moto: Stores.
        account_id: Of the caller.
        denied: IAM actions that the caller may not do; without `s3:ListBucket` a missing key is a 403.
    """

    name = "s3"

    def __init__(self, moto: Moto, *, account_id: str, denied: Set[str] = frozenset()) -> None:
        self.rules = S3Rules()
        self._moto = moto
        self._account_id = account_id
        self._denied = denied
        self._regions: dict[str, str] = {}
        self._commit = threading.Lock()
        self._ledger = Ledger()
        self._multipart = Multipart(moto, self._ledger, lambda: self.rules, account_id, self._commit)

    def operation(self, head: Request) -> str:
        """Read method, path and query."""
        return s3_call(head).operation

    def action(self, operation: str) -> str:
        """Name the IAM action."""
        return s3_action(operation)

    def uploads(self) -> tuple[Upload, ...]:
        """Give the multipart uploads under way; their `initiated_at` may be changed to make one old."""
        return tuple(self._ledger.uploads.values())

    def answer(self, request: Request) -> Answer:
        """Judge a request, and pass on what S3 would accept.

        Raises:
            Refusal: what S3 would refuse.
        """
        call = s3_call(request)
        judge_clock(request, self.rules)
        if region := self._region(call.bucket):
            judge_region(call, request, region)
            judge_owner(call, request, self.rules, self._account_id)
        elif call.operation == "ListMultipartUploads":  # moto is not asked about uploads, so nobody else says it
            raise Refusal(status=404, code="NoSuchBucket", message="The specified bucket does not exist")
        if call.operation in _WRITES:
            judge_encryption(call, request, self.rules, self._account_id)
        return self._handle(call, request)

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as S3 does."""
        fields = (("Code", refusal.code), ("Message", refusal.message), *refusal.extra, ("RequestId", "FAKE"))
        body = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields)
        document = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'
        headers = {"content-type": "application/xml", **dict(refusal.headers)}
        return Answer(status=refusal.status, headers=headers, body=document.encode())

    def reset(self) -> None:
        """Forget uploads, checksums, regions and rules."""
        self.rules = S3Rules()
        self._regions.clear()
        self._ledger.clear()
        self._multipart.clear()

    def _handle(self, call: S3Call, request: Request) -> Answer:
        special = {
            "PutObject": self._put,
            "GetObject": self._get,
            "HeadObject": self._get,
            "DeleteObject": self._delete,
            "ListObjects": self._list,
            "ListObjectsV2": self._list,
            "CreateMultipartUpload": self._multipart.create,
            "UploadPart": self._multipart.part,
            "CompleteMultipartUpload": self._multipart.complete,
            "AbortMultipartUpload": self._multipart.abort,
            "ListParts": self._multipart.parts,
            "ListMultipartUploads": self._multipart.uploads,
        }
        handle = special.get(call.operation)
        return handle(call, request) if handle else self._moto.pass_on(request)

    def _region(self, bucket: str) -> str:
        """Ask moto, once, where a bucket is; empty for a bucket that is not there."""
        if bucket and bucket not in self._regions:
            answer = self._moto.pass_on(Request(method="HEAD", path=f"/{bucket}", headers=_AS_S3))
            if answer.status != 200:
                return ""
            self._regions[bucket] = answer.headers.get("x-amz-bucket-region", "")
        return self._regions.get(bucket, "")

    def _put(self, call: S3Call, request: Request) -> Answer:
        received = receive(request, require_checksum=self.rules.require_checksum)
        checksum = received.checksum or checksum_of(received.request.body, DEFAULT_ALGORITHM)
        with self._commit:
            answer = self._moto.pass_on(received.request)
            if answer.status != 200:
                return answer
            stored = StoredChecksum(etag=answer.headers["etag"], checksum=checksum, checksum_type=FULL_OBJECT)
            self._ledger.store(call.bucket, call.key, stored)
        return replace(answer, headers={**answer.headers, **_integrity(stored)})

    def _get(self, call: S3Call, request: Request) -> Answer:
        with self._commit:  # an object is never seen without its checksum
            answer = self._moto.pass_on(request)
            stored = self._ledger.stored.get((call.bucket, call.key))
        if answer.status == 404 and "s3:ListBucket" in self._denied:
            raise Refusal(status=403, code="AccessDenied", message="Access Denied")
        if stored is None or stored.etag != answer.headers.get("etag"):
            return answer
        kept = {name: value for name, value in answer.headers.items() if not name.startswith(HEADER_PREFIX)}
        is_wanted = request.headers.get(f"{HEADER_PREFIX}mode") == "ENABLED" and "range" not in request.headers
        return replace(answer, headers={**kept, **(_integrity(stored) if is_wanted else {})})

    def _delete(self, call: S3Call, request: Request) -> Answer:
        answer = self._moto.pass_on(request)
        self._ledger.forget(call.bucket, call.key)
        return answer

    def _list(self, call: S3Call, request: Request) -> Answer:
        answer = self._moto.pass_on(request)
        hidden = self._ledger.younger_than(call.bucket, self.rules.list_lag_s) if self.rules.list_lag_s else set()
        if not hidden or answer.status != 200:
            return answer
        is_encoded = request.parameter("encoding-type") == "url"
        text = _CONTENTS.sub(
            lambda match: "" if _listed_key(match[0], is_encoded) in hidden else match[0], answer.body.decode()
        )
        count = len(_CONTENTS.findall(text))
        text = _KEY_COUNT.sub(f"<KeyCount>{count}</KeyCount>", text)
        return replace(answer, body=text.encode())


_AS_S3: Mapping[str, str] = {
    "authorization": "AWS4-HMAC-SHA256 Credential=fake/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
    "Signature=fake",
    "host": "s3.amazonaws.com",
}


def _integrity(stored: StoredChecksum) -> dict[str, str]:
    return {stored.checksum.header: stored.checksum.value, f"{HEADER_PREFIX}type": stored.checksum_type}


def _listed_key(contents: str, is_encoded: bool) -> str:
    match = _KEY.search(contents)
    key = unescape(match[1]) if match else ""
    return unquote(key) if is_encoded else key
