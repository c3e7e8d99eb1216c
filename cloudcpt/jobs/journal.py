"""Which uploads are under way: one small file for each, written before the first part is sent.

It is a hint and never the truth: what has arrived is asked of the store. Losing the journal costs a listing; a journal
that lies (another machine completed the upload) costs one refused call.
"""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from cloudcpt.errors import SetupError, error
from cloudcpt.jobs.parts import Cut
from cloudcpt.wire import SCHEMA_VERSION, commit_text


@dataclass(frozen=True, kw_only=True, slots=True)
class JournalEntry:
    """One upload under way.

    Args:
        uri: Where the object will be, which also says what it is.
        size_bytes: Of its content.
        upload_id: The store's name for the upload.
        part_bytes: Size of every part but the last.
        encryption: The key that it was begun with, as `ObjectStore.encryption`.
    """

    uri: str
    size_bytes: int
    upload_id: str
    part_bytes: int
    encryption: str


class UploadJournal:
    """The entries of one user on one machine.

    Args:
        folder: Where they are kept; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, uri: str) -> JournalEntry | None:
        """Give the entry of an object; None when there is none that can be used."""
        return self._entry(self._path(uri))

    def entries(self) -> tuple[JournalEntry, ...]:
        """Give every entry that can be used, in order of their URIs."""
        if not self.folder.is_dir():
            return ()
        found = (self._entry(path) for path in self.folder.glob("*.json"))
        return tuple(sorted(filter(None, found), key=lambda entry: entry.uri))

    def write(self, entry: JournalEntry) -> None:
        """Keep an entry, so that it survives whatever happens next.

        Raises:
            SetupError: it cannot be written.
        """
        document = {"schema_version": SCHEMA_VERSION, **asdict(entry)}
        try:
            commit_text(self._path(entry.uri), json.dumps(document, indent=2) + "\n")
        except OSError as exc:
            message = f"cannot write the upload journal in `{self.folder}`: {exc.strerror or exc}"
            hint = "name a folder on a local disk in $CLOUDCPT_STATE_DIR"
            raise SetupError(error("CPT417", message, hint=hint)) from exc

    def forget(self, uri: str) -> None:
        """Drop the entry of an object, if there is one."""
        with contextlib.suppress(OSError):
            self._path(uri).unlink()

    def _path(self, uri: str) -> Path:
        from blake3 import blake3

        return self.folder / f"{blake3(uri.encode()).hexdigest(16)}.json"

    @staticmethod
    def _entry(path: Path) -> JournalEntry | None:
        try:
            found = json.loads(path.read_text("utf-8"))
            if found.pop("schema_version") != SCHEMA_VERSION:
                return None
            entry = JournalEntry(**found)
            return entry if Cut(size_bytes=entry.size_bytes, part_bytes=entry.part_bytes).is_allowed else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # somebody else's file or half of one: the store knows better anyway
