"""Files that are named `.jsonl` and are something else, told by their first bytes."""

from typing import Final

from cloudcpt.errors import Diagnostic, Place, error

HEAD_BYTES: Final = 512
"""How much of a file `disguise_of` looks at: a tar names itself at byte 257."""

_UNPACK: Final = "unpack it and give the JSON lines inside"
_EXPORT: Final = "export it as JSON lines with one field, `text`"
_MAGIC: Final = (
    (b"\x1f\x8b", "gzip", _UNPACK),
    (b"PK\x03\x04", "zip", _UNPACK),
    (b"PK\x05\x06", "an empty zip", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd", _UNPACK),
    (b"BZh", "bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "xz", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "7z", _UNPACK),
    (b"\x04\x22\x4d\x18", "lz4", _UNPACK),
    (b"PAR1", "Parquet", _EXPORT),
    (b"ARROW1", "an Arrow file", _EXPORT),
    (b"SQLite format 3\x00", "a SQLite database", _EXPORT),
    (b"%PDF-", "a PDF", "extract its text first"),
)
"""First bytes, what the file is, what to do. None of them can begin a JSON line.

Source: RFC 1952, RFC 8878, PKWARE APPNOTE 4.3, the xz, lz4, 7-Zip, Parquet, Arrow, SQLite and PDF file format pages.
"""

_WIDE_MARKS: Final = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
    (b"{\x00\x00\x00", "UTF-32"),
    (b"\x00\x00\x00{", "UTF-32"),
    (b'{\x00"\x00', "UTF-16"),
    (b'\x00{\x00"', "UTF-16"),
)
"""Byte order marks, and the opening of an object in wide characters without one."""


def disguise_of(head: bytes, shown: str) -> Diagnostic | None:
    """Say what a file is when it is certainly not JSON lines in UTF-8.

    Args:
        head: The first `HEAD_BYTES` of the file, or its whole first line; no magic number holds a line end.
        shown: The file as the user named it.
    """
    place = Place(path=shown, byte=0)
    for magic, kind, hint in _MAGIC:
        if head.startswith(magic):
            return error("CPT307", f"this is {kind}, not JSON lines", place=place, hint=hint)
    # A NUL is never part of a JSON line, so this cannot refuse one that happens to say `ustar` there.
    if head[257:262] == b"ustar" and b"\0" in head[:257]:
        return error("CPT307", "this is a tar archive, not JSON lines", place=place, hint=_UNPACK)
    for magic, kind in _WIDE_MARKS:
        if head.startswith(magic):
            return error("CPT308", f"this is {kind}, not UTF-8", place=place, hint=f"convert it from {kind} to UTF-8")
    return None
