"""The checksum that travels with the bytes and that the store verifies: CRC64NVME.

It finds what wires and memory do to data, in 20 ms per gigabyte; who the data *is* is said by its BLAKE3. Of all that
S3 verifies over a whole object it is the widest, and the one that S3 computes itself when nobody asks.

Source: Amazon S3 user guide, "Checking object integrity" (2026-11): CRC64NVME, full object, big-endian in base64.
"""

import base64


def crc64nvme(content: bytes | bytearray | memoryview, previous: int = 0) -> int:
    """Compute the checksum of bytes, or go on with the one of the bytes before them."""
    from awscrt.checksums import crc64nvme as compute

    # awscrt asks for `bytes`, and takes whatever has a buffer: no copy is made.
    return int(compute(content, previous))


def as_text(crc: int) -> str:
    """Write a checksum as it stands in headers and listings."""
    return base64.b64encode(crc.to_bytes(8, "big")).decode("ascii")
