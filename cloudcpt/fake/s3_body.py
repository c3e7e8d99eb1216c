"""How the body of an upload is received: decoded, then held against everything that the client said about it."""

import hashlib
import re
from dataclasses import dataclass, replace

from cloudcpt.fake.aws_chunked import decode, is_aws_chunked
from cloudcpt.fake.checksums import HEADER_PREFIX, Checksum, declared_checksum, verify, verify_md5
from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Request

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_OF_THE_JOURNEY = ("x-amz-trailer", "x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", "content-md5")


@dataclass(frozen=True, kw_only=True)
class Received:
    """A body that is what its sender meant to send.

    Args:
        request: To send on to moto: the body decoded, no header left that speaks of the journey.
        checksum: What the client declared, verified; None when it declared an MD5 or nothing.
    """

    request: Request
    checksum: Checksum | None


def receive(request: Request, *, require_checksum: bool) -> Received:
    """Decode and verify a body.

    Args:
        request: A PutObject or an UploadPart.
        require_checksum: Refuse a body that nobody can verify.

    Raises:
        Refusal: `BadDigest` and its relatives.
    """
    trailers: dict[str, str] = {}
    data = request.body
    if is_aws_chunked(request.headers):
        data, trailers = decode(request)
    checksum = declared_checksum({**request.headers, **trailers})
    if checksum is not None:
        verify(data, checksum)
    content_md5 = request.headers.get("content-md5")
    verify_md5(data, content_md5)
    if require_checksum and checksum is None and content_md5 is None:
        message = f"strict: the body has no checksum; send `{HEADER_PREFIX}*` or Content-MD5"
        raise Refusal(status=400, code="InvalidRequest", message=message)
    _verify_signed_payload(data, request.headers.get("x-amz-content-sha256", ""))
    return Received(request=_without_journey(request, data), checksum=checksum)


def _verify_signed_payload(data: bytes, declared: str) -> None:
    """Compare the SHA-256 that plain-HTTP clients sign; over HTTPS it says UNSIGNED-PAYLOAD."""
    if _SHA256_HEX.fullmatch(declared) and hashlib.sha256(data).hexdigest() != declared:
        message = "The provided 'x-amz-content-sha256' header does not match what was computed."
        raise Refusal(status=400, code="XAmzContentSHA256Mismatch", message=message)


def _without_journey(request: Request, data: bytes) -> Request:
    headers = {name: value for name, value in request.headers.items() if name not in _OF_THE_JOURNEY}
    headers = {name: value for name, value in headers.items() if not name.startswith(HEADER_PREFIX)}
    encodings = [one.strip() for one in headers.pop("content-encoding", "").split(",")]
    if kept := ",".join(one for one in encodings if one not in ("", "aws-chunked")):
        headers["content-encoding"] = kept
    if headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
    return replace(request, headers=headers, body=data)
