"""One large file in parts: resumed after any kill, verified by the store, completed once or not at all.

    find the upload     journal -> an upload of the same key that nobody finished -> a new one, journalled
    send what lacks     in order: read, hash, compare with what has arrived, hand over to the crew
    the last question   is the BLAKE3 of all that was read the one that was validated? Only then:
    complete            on condition that nothing is at the key; the store verifies size and checksum of the whole
    look                what counts is the object, not the answers: those get lost

Whoever is killed anywhere in here loses at most the parts that were under way.
"""

import contextlib
from collections.abc import Mapping

from cloudcpt.dataset.checksum import as_text
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.delivery import ATTEMPTS, given_up, is_delivered
from cloudcpt.jobs.flight import Flight, Landed, Means, Upload
from cloudcpt.jobs.journal import JournalEntry
from cloudcpt.jobs.local_file import Content, FileChanged, LocalFile
from cloudcpt.jobs.objects import BytesDamaged, ObjectExists, UploadGone, WriteConflict
from cloudcpt.jobs.parts import Cut, cut


def send_in_parts(means: Means, file: LocalFile) -> None:
    """Send a file that does not fit in one part, unless it is there.

    Raises:
        InputError: it is not the file that was validated; nothing of it is at its key.
        SetupError: another object is at its key.
        TransientError: the store, or somebody else, did not let it through; what has arrived stays.
    """
    uri = f"{means.store.uri}/{file.key}"
    if is_delivered(means.store, file):
        if left_over := means.journal.read(uri):  # somebody else was faster, or we were killed just after the end
            _drop(means, file, left_over.upload_id)
        return
    for _ in range(ATTEMPTS):
        crc, trouble = _attempt(means, file)
        if is_delivered(means.store, file, crc64nvme=crc):
            means.journal.forget(uri)
            return
    raise given_up(file, trouble) from trouble


def _attempt(means: Means, file: LocalFile) -> tuple[str, CloudcptError | None]:
    """Carry one upload to its end; give the checksum of the file if it was read whole, and what got in the way."""
    means.tally.start_over(file)
    upload = _find_upload(means, file)
    try:
        return _send(means, file, upload), None
    except FileChanged:
        _drop(means, file, upload.upload_id)
        raise
    except (ObjectExists, WriteConflict) as exc:
        # The upload is still there, and S3 wants a new one after a conflict: these parts cannot become an object.
        _drop(means, file, upload.upload_id)
        return "", exc
    except (UploadGone, BytesDamaged) as exc:
        return "", exc  # the next attempt looks again: for another upload, or for the part that is not as it was listed


def _drop(means: Means, file: LocalFile, upload_id: str) -> None:
    with contextlib.suppress(CloudcptError):  # there is a better reason to tell, and `clean` finds what stays
        means.store.abort(file.key, upload_id)
    means.journal.forget(f"{means.store.uri}/{file.key}")


def _find_upload(means: Means, file: LocalFile) -> Upload:
    """Go on with the upload in the journal, or with one that nobody finished, or begin one."""
    store, uri = means.store, f"{means.store.uri}/{file.key}"
    entry = means.journal.read(uri)
    if entry and entry.encryption == store.encryption:
        with contextlib.suppress(UploadGone):
            arrived = store.list_parts(file.key, entry.upload_id)
            kept = Cut(size_bytes=file.size_bytes, part_bytes=entry.part_bytes)
            return Upload(upload_id=entry.upload_id, cut=kept, arrived=arrived)
    upload = _adopt(means, file) or Upload(
        upload_id=store.create_upload(file.key),
        cut=cut(file.size_bytes, smallest=means.smallest_part_bytes),
        arrived={},
    )
    means.journal.write(
        JournalEntry(
            uri=uri,
            size_bytes=file.size_bytes,
            upload_id=upload.upload_id,
            part_bytes=upload.cut.part_bytes,
            encryption=store.encryption,
        )
    )
    return upload


def _adopt(means: Means, file: LocalFile) -> Upload | None:
    """Take over an upload for the same key: ours from before a kill, or a colleague's.

    A listing does not say with which key an upload was begun. Where the key matters, none is adopted.
    """
    if means.store.encryption:
        return None
    pending = [
        found for found in means.store.list_uploads(file.key) if found.key == file.key and found.is_checked_whole
    ]
    for found in sorted(pending, key=lambda found: found.started_at, reverse=True):
        with contextlib.suppress(UploadGone):  # listed late: it has ended since
            arrived = means.store.list_parts(file.key, found.upload_id)
            planned = cut(file.size_bytes, smallest=means.smallest_part_bytes)
            return Upload(upload_id=found.upload_id, cut=planned, arrived=arrived)
    return None


def _send(means: Means, file: LocalFile, upload: Upload) -> str:
    with Content(file) as content:
        landed = Flight(means, file, upload).carry(content)
        content.require_whole()
        crc = as_text(content.crc64nvme)
    _complete(means, file, upload, landed, crc)
    return crc


def _complete(means: Means, file: LocalFile, upload: Upload, landed: Mapping[int, Landed], crc: str) -> None:
    """Complete with the etags that we got, or with those that the same parts have by now.

    Clients that share an upload send the same parts; the last one's etags count. They are only taken when checksum and
    size are those of our bytes.
    """
    etags = {number: part.etag for number, part in landed.items()}
    for is_last in (*[False] * (ATTEMPTS - 1), True):
        try:
            means.store.complete(file.key, upload.upload_id, etags, size_bytes=file.size_bytes, crc64nvme=crc)
        except BytesDamaged:
            listed = means.store.list_parts(file.key, upload.upload_id)
            if is_last or any(not part.is_same(listed.get(number)) for number, part in landed.items()):
                raise
            etags = {number: listed[number].etag for number in landed}
        else:
            return
