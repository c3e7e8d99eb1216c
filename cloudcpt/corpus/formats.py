"""Formats of files by their names: which can be turned into documents, and what to do first with those that cannot."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final


class Format(StrEnum):
    """A format that is read; the value names it in messages and in the report."""

    CSV = "CSV"
    TSV = "TSV"
    JSON = "JSON"
    JSON_LINES = "JSON lines"
    PARQUET = "Parquet"
    ARROW = "Arrow"
    TEXT = "text"
    MARKDOWN = "Markdown"
    HTML = "HTML"


class Compression(StrEnum):
    """What a file may be packed with, one file in each."""

    NONE = ""
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"


FORMATS: Final = {
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".tab": Format.TSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSON_LINES,
    ".ndjson": Format.JSON_LINES,
    ".parquet": Format.PARQUET,
    ".arrow": Format.ARROW,
    ".feather": Format.ARROW,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".md": Format.MARKDOWN,
    ".markdown": Format.MARKDOWN,
    ".html": Format.HTML,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
}
"""By extension, in small letters."""

COMPRESSIONS: Final = {
    ".gz": Compression.GZIP,
    ".bz2": Compression.BZIP2,
    ".xz": Compression.XZ,
    ".zst": Compression.ZSTD,
}

_UNPACK: Final = "unpack it first, and give the folder"
_SAVE_TEXT: Final = "save it as plain text or HTML first; pandoc does that for many formats"
_SAVE_TABLE: Final = "save the sheet as CSV in UTF-8 first"
_ADVICE: Final = {
    ".pdf": "extract its text first, with `pdftotext` for one; scanned pages need text recognition",
    **dict.fromkeys((".docx", ".doc", ".odt", ".rtf", ".epub", ".pptx", ".tex", ".rst"), _SAVE_TEXT),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _SAVE_TABLE),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), _UNPACK),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb"), "export the table as CSV or Parquet first"),
    **dict.fromkeys((".warc", ".wet", ".wat"), "take the pages out of the archive first"),
    ".xml": "take the texts out of it first: which elements hold them is different in every XML",
    ".orc": "save it as Parquet first",
    ".avro": "save it as Parquet first",
}
"""What to do first, by extension."""

_SEEK: Final = (Format.PARQUET, Format.ARROW)
"""They are read here and there, not from the start to the end, and pack their columns themselves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What a file is."""

    format: Format
    compression: Compression = Compression.NONE


def kind_of(name: str) -> Kind | None:
    """Tell by its name what a file is; None for what cannot be read."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1], Compression.NONE) if suffixes else Compression.NONE
    if compression:
        suffixes.pop()
    found = FORMATS.get(suffixes[-1]) if suffixes else None
    return None if found is None or (compression and found in _SEEK) else Kind(format=found, compression=compression)


def why_not(name: str) -> tuple[str, str]:
    """Say why a file cannot be read, in words that follow `it`, and what to do first."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    if len(suffixes) > 1 and suffixes[-1] in COMPRESSIONS and FORMATS.get(suffixes[-2]) in _SEEK:
        return f"is packed once more, as {COMPRESSIONS[suffixes[-1]]}", "unpack it first"
    if len(suffixes) > 1 and suffixes[-2] == ".tar":
        return f"is a `{''.join(suffixes[-2:])}`", _UNPACK
    known = next((suffix for suffix in reversed(suffixes) if suffix in _ADVICE), None)
    if known is not None:
        return f"is a `{known}`", _ADVICE[known]
    hint = "rename it to what it is; if it is text, let it end in `.txt`"
    return "has a name that says nothing of what it holds", hint
