"""The checksums that S3 verifies: computed over what arrived, compared with what the client said.

Source: Amazon S3 user guide, "Checking object integrity"; a checksum is big-endian and base64.
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

from cloudcpt.fake.front import Refusal

HEADER_PREFIX = "x-amz-checksum-"
DEFAULT_ALGORITHM = "CRC64NVME"
"""What S3 computes by itself when the client names nothing."""


def _crc(name: str, size_bytes: int) -> Callable[[bytes], bytes]:
    def compute(data: bytes) -> bytes:
        if name == "crc32":
            return zlib.crc32(data).to_bytes(size_bytes, "big")
        from awscrt import checksums

        return int(getattr(checksums, name)(data)).to_bytes(size_bytes, "big")

    return compute


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "CRC32": _crc("crc32", 4),
    "CRC32C": _crc("crc32c", 4),
    "CRC64NVME": _crc("crc64nvme", 8),
    "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "SHA512": lambda data: hashlib.sha512(data).digest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
}
"""By the name in the API; S3 also takes XXHASH64, XXHASH3 and XXHASH128, which this fake refuses as not implemented."""

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"
CHECKSUM_TYPES: dict[str, tuple[str, ...]] = {
    "CRC32": (COMPOSITE, FULL_OBJECT),
    "CRC32C": (COMPOSITE, FULL_OBJECT),
    "CRC64NVME": (FULL_OBJECT,),
    "SHA1": (COMPOSITE,),
    "SHA256": (COMPOSITE,),
    "SHA512": (COMPOSITE,),
    "MD5": (COMPOSITE,),
}
"""Types that a multipart upload may have, the default first. Source: the same guide, "Checksum types"."""


@dataclass(frozen=True, kw_only=True)
class Checksum:
    """A checksum: which algorithm, and its value as the API shows it."""

    algorithm: str
    value: str

    @property
    def header(self) -> str:
        """Name the header that carries it."""
        return HEADER_PREFIX + self.algorithm.lower()


def checksum_of(data: bytes, algorithm: str) -> Checksum:
    """Compute a checksum."""
    return Checksum(algorithm=algorithm, value=base64.b64encode(ALGORITHMS[algorithm](data)).decode())


def declared_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Read the checksum that a client sent in its headers or trailers.

    Raises:
        Refusal: there are two, it is malformed, or the SDK announced one and sent none.
    """
    found = [
        Checksum(algorithm=name.removeprefix(HEADER_PREFIX).upper(), value=value)
        for name, value in headers.items()
        if name.startswith(HEADER_PREFIX)
        and name not in (f"{HEADER_PREFIX}algorithm", f"{HEADER_PREFIX}type")
        and name != f"{HEADER_PREFIX}mode"
    ]
    if len(found) > 1:
        raise _invalid("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if not found:
        if "x-amz-sdk-checksum-algorithm" in headers:
            message = "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* was found"
            raise _invalid(message)
        return None
    if found[0].algorithm not in ALGORITHMS:
        raise Refusal(status=501, code="NotImplemented", message=f"{found[0].header} is not implemented by this fake")
    if _length(found[0].value) != len(ALGORITHMS[found[0].algorithm](b"")):
        raise _invalid(f"Value for {found[0].header} header is invalid.")
    return found[0]


def verify(data: bytes, checksum: Checksum) -> None:
    """Compare a checksum with what arrived.

    Raises:
        Refusal: it is another one (`BadDigest`).
    """
    if checksum_of(data, checksum.algorithm) != checksum:
        raise bad_digest(checksum.algorithm)


def verify_md5(data: bytes, content_md5: str | None) -> None:
    """Compare a Content-MD5 header, when there is one, with what arrived.

    Raises:
        Refusal: it is another one (`BadDigest`) or no MD5 at all (`InvalidDigest`).
    """
    if content_md5 is None:
        return
    if _length(content_md5) != 16:
        raise Refusal(status=400, code="InvalidDigest", message="The Content-MD5 you specified was invalid.")
    if checksum_of(data, "MD5").value != content_md5:
        raise bad_digest("Content-MD5")


def bad_digest(name: str) -> Refusal:
    """Word what S3 says when bytes and checksum differ."""
    return Refusal(status=400, code="BadDigest", message=f"The {name} you specified did not match what we received.")


def combined(parts: list[tuple[Checksum, int]], checksum_type: str) -> Checksum:
    """Make the checksum of an object from those of its parts.

    Args:
        parts: Checksum and size in bytes of each part, in order; all of one algorithm.
        checksum_type: Over the whole object, or over the parts' checksums with their number behind it.
    """
    algorithm = parts[0][0].algorithm
    if checksum_type == COMPOSITE:
        digests = b"".join(base64.b64decode(checksum.value) for checksum, _ in parts)
        value = f"{checksum_of(digests, algorithm).value}-{len(parts)}"
        return Checksum(algorithm=algorithm, value=value)
    from awscrt import checksums

    combine = getattr(checksums, f"combine_{algorithm.lower()}")
    numbers = [(int.from_bytes(base64.b64decode(checksum.value), "big"), size) for checksum, size in parts]
    total = reduce(lambda left, right: combine(left, right[0], right[1]), numbers[1:], numbers[0][0])
    size_bytes = len(base64.b64decode(parts[0][0].value))
    return Checksum(algorithm=algorithm, value=base64.b64encode(int(total).to_bytes(size_bytes, "big")).decode())


def _length(value: str) -> int:
    try:
        return len(base64.b64decode(value, validate=True))
    except binascii.Error:
        return -1


def _invalid(message: str) -> Refusal:
    return Refusal(status=400, code="InvalidRequest", message=message)
