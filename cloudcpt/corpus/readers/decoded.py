"""Open a file, unpack it, and decode it: bytes become text, and a byte that is no text is named with its place."""

import codecs
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, cast

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.formats import Compression
from cloudcpt.corpus.readers.rows import ROW_LIMIT_BYTES, damaged
from cloudcpt.errors import DatasetError

CHUNK_BYTES: Final = 256 << 10

_MARKS: Final = (
    (b"\x1f\x8b", "gzip: let its name end in `.gz`"),
    (b"BZh", "bzip2: let its name end in `.bz2`"),
    (b"\xfd7zXZ\x00", "xz: let its name end in `.xz`"),
    (b"\x28\xb5\x2f\xfd", "zstd: let its name end in `.zst`"),
    (b"PK\x03\x04", "zip, or a file of an office program: unpack it, or save it as text"),
    (b"%PDF-", "PDF: extract its text first"),
    (b"PAR1", "Parquet: let its name end in `.parquet`"),
    (b"ARROW1", "Arrow: let its name end in `.arrow`"),
    (b"\xff\xfe", "UTF-16: add `--encoding utf-16`"),
    (b"\xfe\xff", "UTF-16: add `--encoding utf-16`"),
)
"""First bytes of what is often named otherwise."""


@contextmanager
def unpacked(raw: io.RawIOBase, shown: str, compression: Compression) -> Iterator[BinaryIO]:
    """Read what is packed in a file.

    Args:
        raw: The file, at its start.
        shown: As the user named it.
        compression: What its name says.

    Raises:
        DatasetError: it is damaged, or is not packed so.
    """
    try:
        with _opened(raw, compression) as stream:
            yield stream
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise  # the system's, not the library's
        hint = "it was not copied whole, or its name is wrong; test it with the program that packed it"
        raise damaged(shown, f"`{shown}` cannot be unpacked as {compression}: {exc}", hint=hint) from exc


def _opened(raw: io.RawIOBase, compression: Compression) -> BinaryIO:
    import bz2
    import gzip

    packed = cast("BinaryIO", raw)
    match compression:
        case Compression.GZIP:
            return cast("BinaryIO", gzip.GzipFile(fileobj=packed))
        case Compression.BZIP2:
            return cast("BinaryIO", bz2.BZ2File(packed))
        case Compression.XZ:
            return cast("BinaryIO", lzma.LZMAFile(packed))
        case Compression.ZSTD:
            require("pyarrow")
            import pyarrow as pa

            return cast("BinaryIO", pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd"))
    return io.BufferedReader(raw, CHUNK_BYTES)


def text_of(stream: BinaryIO, shown: str, encoding: str) -> Iterator[str]:
    """Decode a stream piece by piece; a byte order mark at its start is no text.

    Args:
        stream: At its start.
        shown: The file as the user named it.
        encoding: Of Python's codecs.

    Raises:
        DatasetError: a byte is not text.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)()
    done = lines = 0
    head = b""
    while True:
        piece = stream.read(CHUNK_BYTES)
        head = head or piece[:8]
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeError as exc:
            raise _not_text(exc, shown, encoding, head, done + len(piece), lines) from exc
        lines += text.count("\n")
        done += len(piece)
        if text:
            yield text
        if not piece:
            return


def whole_text(stream: BinaryIO, shown: str, encoding: str) -> str:
    """Decode a whole stream, which must be of a size that memory holds.

    Raises:
        DatasetError: it is larger, or a byte is not text.
    """
    return "".join(text_of(limited(stream, shown), shown, encoding))


def limited(stream: BinaryIO, shown: str) -> BinaryIO:
    """Take a whole stream into memory.

    Raises:
        DatasetError: it is larger than a row may be.
    """
    content = stream.read(ROW_LIMIT_BYTES + 1)
    if len(content) > ROW_LIMIT_BYTES:
        limit = f"{ROW_LIMIT_BYTES >> 20} MiB"
        hint = "a text can be cut with `--documents paragraphs` or `--documents lines`"
        raise damaged(shown, f"`{shown}` is larger than {limit}, which is too much for one document", hint=hint)
    return io.BytesIO(content)


def lines_of(pieces: Iterator[str], shown: str) -> Iterator[str]:
    r"""Cut text into lines, each with its end; only `\n` ends one.

    Raises:
        DatasetError: a line is longer than a row may be.
    """
    rest: list[str] = []
    size = 0
    for piece in pieces:
        first, end, others = piece.partition("\n")
        rest.append(first + end)
        size += len(first)
        if size > ROW_LIMIT_BYTES:
            raise damaged(shown, f"`{shown}` has a line of more than {ROW_LIMIT_BYTES >> 20} MiB")
        if end:
            yield "".join(rest)
            *whole, last = others.split("\n")
            yield from (f"{line}\n" for line in whole)
            rest, size = [last], len(last)
    if line := "".join(rest):
        yield line


def _not_text(exc: UnicodeError, shown: str, encoding: str, head: bytes, end: int, lines: int) -> DatasetError:
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return damaged(shown, f"`{shown}` is not text in {encoding}", hint=f"it looks like {kind}")
    if not isinstance(exc, UnicodeDecodeError):
        return damaged(shown, f"`{shown}` is not text in {encoding}: {exc}")
    line = lines + 1 + exc.object[: exc.start].count(b"\n")
    at, byte = end - len(exc.object) + exc.start, exc.object[exc.start : exc.start + 1].hex()
    hint = "name its encoding, such as `--encoding cp1252` (Western Windows), `gb18030` (Chinese), `shift_jis`"
    message = f"`{shown}` is not text in {encoding}: byte `{byte}` at offset {at:,}, {exc.reason}"
    return damaged(shown, message, line=line, hint=hint)
