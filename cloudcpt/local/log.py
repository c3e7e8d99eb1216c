"""How a growing log file is read: whole lines, each once, from a position that can be kept.

A position is the number of bytes already given, in decimal.
"""

from pathlib import Path

from cloudcpt.jobs.ports import START, LogChunk
from cloudcpt.wire import Progress, parse_progress

CHUNK_BYTES = 1 << 20
"""Most that one read gives; a longer line comes in pieces."""

TAIL_BYTES = 1 << 16
"""How far from the end to look for the last progress line."""


def read_log(path: Path, position: str = START, *, is_final: bool, chunk_bytes: int = CHUNK_BYTES) -> LogChunk:
    """Read the next lines of a log.

    Args:
        path: The log; a file that is not there yet is an empty one.
        position: As an earlier chunk gave it.
        is_final: Nobody writes any more, so an unfinished last line is a line too.
        chunk_bytes: Most to read at once, at least 4, the longest UTF-8 character.
    """
    start = int(position or 0)
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(chunk_bytes + 1)
    except FileNotFoundError:
        data = b""
    has_more = len(data) > chunk_bytes
    data = data[:chunk_bytes]
    used = data.rfind(b"\n") + 1
    if has_more and not used:
        used = _character_end(data)
    elif is_final and not has_more:
        used = len(data)
    given = data[:used].removesuffix(b"\n")
    lines = tuple(line.decode("utf-8", "replace") for line in given.split(b"\n")) if used else ()
    return LogChunk(lines=lines, position=str(start + used), ended=not has_more)


def last_progress(path: Path) -> Progress | None:
    """Find the last progress line near the end of a log."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return None
    tail = read_log(path, str(max(0, size - TAIL_BYTES)), is_final=False)
    return next((found for line in reversed(tail.lines) if (found := parse_progress(line))), None)


def _character_end(data: bytes) -> int:
    """Where to cut so that no UTF-8 character is split: a character has at most three continuation bytes."""
    end = len(data)
    while end > len(data) - 4 and end > 0 and data[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1 if end > 1 else len(data)
