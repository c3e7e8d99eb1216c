"""The end of a multipart upload: are these the parts, is this the object that the client meant?

Source: Amazon S3 API reference, CompleteMultipartUpload; user guide, "Checking object integrity", "Multipart upload
limits".
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from cloudcpt.fake.checksums import (
    ALGORITHMS,
    COMPOSITE,
    HEADER_PREFIX,
    Checksum,
    bad_digest,
    combined,
    declared_checksum,
)
from cloudcpt.fake.front import Refusal
from cloudcpt.fake.s3_uploads import Part, Upload


def named_parts(upload: Upload, body: bytes) -> list[Part]:
    """Find the parts that a completion names.

    Raises:
        Refusal: malformed, in disorder, or unknown.
    """
    rows = _completion_rows(body)
    numbers = [int(row.get("PartNumber", "0")) for row in rows]
    if numbers != sorted(set(numbers)):
        message = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise Refusal(status=400, code="InvalidPartOrder", message=message)
    for row, number in zip(rows, numbers, strict=True):
        _judge_row(upload, upload.parts.get(number), row, number)
    return [upload.parts[number] for number in numbers]


def _completion_rows(body: bytes) -> list[dict[str, str]]:
    try:
        root = ET.fromstring(body)  # noqa: S314 - expat has its own limits, and the sender is our own test
    except ET.ParseError:
        root = ET.Element("")
    rows = [{_local(field): field.text or "" for field in row} for row in root if _local(row) == "Part"]
    if not rows:
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        raise Refusal(status=400, code="MalformedXML", message=message)
    return rows


def _judge_row(upload: Upload, part: Part | None, row: Mapping[str, str], number: int) -> None:
    named = row.get(f"Checksum{upload.algorithm}")
    if upload.is_declared and upload.checksum_type == COMPOSITE and named is None:
        raise _invalid(
            f"The upload was created using a {upload.algorithm.lower()} checksum. The complete request must include "
            f"the checksum for each part. It was missing for part {number} in the request."
        )
    is_known = part is not None and row.get("ETag", "").strip('"') == part.etag.strip('"')
    if not is_known or (part is not None and named not in (None, part.checksum.value)):
        message = (
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the "
            "specified entity tag or checksum may not match the part's."
        )
        raise Refusal(status=400, code="InvalidPart", message=message)


def judge_sizes(parts: list[Part], min_part_bytes: int) -> None:
    """Hold every part but the last against the least that it must have.

    Raises:
        Refusal: one is too small.
    """
    if any(part.size_bytes < min_part_bytes for part in parts[:-1]):
        message = "Your proposed upload is smaller than the minimum allowed object size."
        raise Refusal(status=400, code="EntityTooSmall", message=message)


def judge_whole(upload: Upload, parts: list[Part], headers: Mapping[str, str]) -> Checksum:
    """Hold the whole object against what the client says about it.

    Raises:
        Refusal: size, checksum type or checksum differ.
    """
    size = headers.get("x-amz-mp-object-size")
    if size is not None and int(size) != sum(part.size_bytes for part in parts):
        raise _invalid("The provided 'x-amz-mp-object-size' header does not match what was computed.")
    if headers.get(f"{HEADER_PREFIX}type", upload.checksum_type) != upload.checksum_type:
        raise _invalid(f"The upload was created with checksum type {upload.checksum_type}")
    checksum = combined([(part.checksum, part.size_bytes) for part in parts], upload.checksum_type)
    names = {f"{HEADER_PREFIX}{algorithm.lower()}" for algorithm in ALGORITHMS}
    declared = declared_checksum({name: value.partition("-")[0] for name, value in headers.items() if name in names})
    if declared is not None and declared.algorithm != upload.algorithm:
        raise _invalid(f"The upload was created using {upload.algorithm}, the request has {declared.algorithm}")
    if declared is not None and headers[declared.header] != checksum.value:
        raise bad_digest(declared.algorithm)
    return checksum


def completion(parts: list[Part]) -> bytes:
    """Word a completion for moto, which needs no more than numbers and ETags."""
    rows = "".join(f"<Part><PartNumber>{part.number}</PartNumber><ETag>{part.etag}</ETag></Part>" for part in parts)
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _invalid(message: str) -> Refusal:
    return Refusal(status=400, code="InvalidRequest", message=message)
