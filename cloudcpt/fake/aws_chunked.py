r"""The `aws-chunked` content encoding: a body in chunks, each perhaps signed, and trailers that hold its checksum.

    400;chunk-signature=...\r\n <0x400 bytes> \r\n ... 0\r\n x-amz-checksum-crc32:AAAAAA==\r\n \r\n

Signatures of chunks are read over. Source: Amazon S3 API reference, "Signature calculations: transferring payload in
multiple chunks" and "with trailing headers".
"""

from collections.abc import Mapping

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Request


def is_aws_chunked(headers: Mapping[str, str]) -> bool:
    """Tell whether a body is encoded this way."""
    encodings = headers.get("content-encoding", "").replace(" ", "").split(",")
    return "aws-chunked" in encodings or headers.get("x-amz-content-sha256", "").startswith("STREAMING-")


def decode(request: Request) -> tuple[bytes, dict[str, str]]:
    """Decode a body.

    Returns:
        The body, and the trailers by lower-case name.

    Raises:
        Refusal: the chunks are malformed, or the body is not as long as the request said.
    """
    body, rest = _chunks(request.body)
    declared = request.headers.get("x-amz-decoded-content-length")
    if declared is not None and int(declared) != len(body):
        message = "You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header"
        raise Refusal(status=400, code="IncompleteBody", message=message)
    lines = (line.partition(b":") for line in rest.split(b"\r\n") if b":" in line)
    return body, {name.decode().strip().lower(): value.decode().strip() for name, _, value in lines}


def _chunks(encoded: bytes) -> tuple[bytes, bytes]:
    """Give the decoded body and what follows its last chunk."""
    body, at = bytearray(), 0
    while True:
        end = encoded.find(b"\r\n", at)
        try:
            size = int(encoded[at:end].split(b";")[0], 16) if end >= 0 else -1
        except ValueError:
            size = -1
        chunk = encoded[end + 2 : end + 2 + size]
        if size < 0 or len(chunk) != size:
            raise Refusal(status=400, code="IncompleteBody", message="The request body terminated unexpectedly")
        at = end + 2 + size
        if size == 0:
            return bytes(body), encoded[at:]
        body += chunk
        at += 2
