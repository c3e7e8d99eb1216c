"""Files that are there whole or not at all, whatever is killed."""

import contextlib
import os
import secrets
from pathlib import Path


def commit_text(path: Path, text: str) -> None:
    """Write a file so that a reader, or a power cut, finds the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text, "utf-8")
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def flush(path: Path) -> None:
    """Ask the disk to hold a file's content, or a folder's entries, before we go on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
