"""Hashes of objects that were read whole once, so that the weights of a model are not read for every plan.

An ETag stands for one content of one object, so what was hashed under it need not be hashed again. The trainer
verifies every file all the same: a wrong entry could stop a job, never change what it trains on.
"""

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cloudcpt.aws.s3_ranges import StoredContent

MOST = 10_000
"""Entries; the oldest give way. A model has at most some hundred files."""


class KnownHashes:
    """A file of hashes that may be lost, damaged or written by several processes: then something is read once more.

    Args:
        path: Of the file; it and its folder are made when there is something to remember.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, stored: StoredContent) -> str:
        """Recall the BLAKE3 of a content; empty when it is not known."""
        return self._read().get(_name(stored), "")

    def remember(self, stored: StoredContent, blake3: str) -> None:
        """Keep the BLAKE3 of a content. A disk that is full or cannot be written to is no reason to stop."""
        known = {**self._read(), _name(stored): blake3}
        kept = dict(list(known.items())[-MOST:])
        draft = self._path.with_name(f".{self._path.name}-{secrets.token_hex(8)}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(json.dumps(kept, indent=0), "utf-8")
            os.replace(draft, self._path)  # noqa: PTH105 - the same, and Path.replace says less
        except OSError:
            with suppress(OSError):
                draft.unlink()

    def _read(self) -> dict[str, str]:
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(found, dict):
            return {}
        return {name: value for name, value in found.items() if isinstance(value, str) and _is_blake3(value)}


def _name(stored: StoredContent) -> str:
    return json.dumps([stored.bucket, stored.key, stored.etag, stored.size_bytes])


def _is_blake3(text: str) -> bool:
    return len(text) == 64 and all(char in "0123456789abcdef" for char in text)
