"""Uploads that nobody will finish: found below our prefix, and dropped when they have been still for long enough.

The store keeps the parts of a cut-off upload for ever and bills them. A rule on the bucket that aborts incomplete
uploads does the same as this and needs nobody to remember it; not every user may set one.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from cloudcpt.jobs.journal import JournalEntry, UploadJournal
from cloudcpt.jobs.objects import ObjectStore, UploadGone
from cloudcpt.plan.keys import is_object_key, objects_prefix


@dataclass(frozen=True, kw_only=True, slots=True)
class StaleUpload:
    """An upload that has not moved for a while.

    Args:
        key: Where its object would be.
        upload_id: The store's name for it.
        last_moved_at: When its last part arrived, or it was begun, in seconds since 1970.
        size_bytes: Of the parts that have arrived.
    """

    key: str
    upload_id: str
    last_moved_at: float
    size_bytes: int


def stale_uploads(store: ObjectStore, prefix: str, *, older_than_s: float, now: float) -> tuple[StaleUpload, ...]:
    """Find our own uploads below a prefix that have not moved since `now - older_than_s`.

    Args:
        store: Where to look.
        prefix: Of all that cloudcpt writes, without a `/` at its ends. Keys that are not ours are passed over.
        older_than_s: How long nothing must have arrived, in seconds.
        now: In seconds since 1970.
    """
    found = []
    for pending in store.list_uploads(objects_prefix(prefix)):
        if not is_object_key(prefix, pending.key) or pending.started_at > now - older_than_s:
            continue
        with contextlib.suppress(UploadGone):
            parts = store.list_parts(pending.key, pending.upload_id).values()
            last_moved_at = max([pending.started_at, *(part.arrived_at for part in parts)])
            if last_moved_at <= now - older_than_s:
                size_bytes = sum(part.size_bytes for part in parts)
                found.append(
                    StaleUpload(
                        key=pending.key,
                        upload_id=pending.upload_id,
                        last_moved_at=last_moved_at,
                        size_bytes=size_bytes,
                    )
                )
    return tuple(found)


def abort_stale(store: ObjectStore, uploads: Iterable[StaleUpload], journal: UploadJournal) -> None:
    """Drop uploads and what the journal says about them."""
    for upload in uploads:
        store.abort(upload.key, upload.upload_id)
        uri = f"{store.uri}/{upload.key}"
        entry = journal.read(uri)
        if entry and entry.upload_id == upload.upload_id:
            journal.forget(uri)


def lost_entries(store: ObjectStore, prefix: str, journal: UploadJournal) -> tuple[JournalEntry, ...]:
    """Find what a journal says about uploads below a prefix that the store does not have any more."""
    lost = []
    for entry in journal.entries():
        key = entry.uri.removeprefix(f"{store.uri}/")
        if key == entry.uri or not is_object_key(prefix, key):
            continue
        try:
            store.list_parts(key, entry.upload_id)
        except UploadGone:
            lost.append(entry)
    return tuple(lost)
