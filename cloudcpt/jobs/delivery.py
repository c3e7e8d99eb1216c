"""One file in one piece, and the question that every way of sending ends with: is it there?"""

from cloudcpt.dataset.checksum import as_text
from cloudcpt.errors import CloudcptError, SetupError, TransientError, error
from cloudcpt.jobs.local_file import Content, LocalFile
from cloudcpt.jobs.objects import BytesDamaged, ObjectExists, ObjectStore, WriteConflict
from cloudcpt.jobs.parts import PART_BYTES
from cloudcpt.jobs.tally import Tally

ATTEMPTS = 5
"""How often an upload is begun when others keep getting in its way, or bytes keep arriving damaged."""


def send_at_once(store: ObjectStore, file: LocalFile, tally: Tally) -> None:
    """Write a small file with one conditional request, unless it is there.

    Raises:
        InputError: it is not the file that was validated; nothing was sent.
        SetupError: another object is at its key.
        TransientError: the store, or somebody else, did not let it through.
    """
    content = bytearray(file.size_bytes)
    with Content(file) as opened:
        crc = as_text(opened.fill(memoryview(content)))
        opened.require_whole()
    trouble: CloudcptError | None = None
    for _ in range(ATTEMPTS):
        if is_delivered(store, file, crc64nvme=crc):
            return
        try:
            store.put(file.key, content, crc64nvme=crc)
        except (ObjectExists, WriteConflict, BytesDamaged) as exc:
            trouble = exc
        else:
            tally.add_sent(file, file.size_bytes)
            return
    raise given_up(file, trouble) from trouble


def is_delivered(store: ObjectStore, file: LocalFile, *, crc64nvme: str = "") -> bool:
    """Tell whether a file's object is there, and insist that what is there is the file.

    Args:
        store: Where to look.
        file: What should be there.
        crc64nvme: Of its content, when it is known; otherwise the file is read, in constant memory.

    Raises:
        InputError: the file had to be read and is not the one that was validated.
        SetupError: another object is at its key, or it is not encrypted as it should be.
    """
    stored = store.head(file.key)
    if stored is None:
        return False
    if stored.size_bytes != file.size_bytes:
        raise _another(store, file, f"it has {stored.size_bytes:,} bytes instead of {file.size_bytes:,}")
    if not stored.crc64nvme:
        raise _another(store, file, "it has no CRC64NVME to compare, so something else put it there")
    expected = crc64nvme or _checksum_of(file)
    if stored.crc64nvme != expected:
        raise _another(store, file, f"its CRC64NVME is `{stored.crc64nvme}` instead of `{expected}`")
    if not stored.is_encrypted_as_asked:
        raise _another(store, file, f"it is not encrypted with the key `{store.encryption}`")
    return True


def given_up(file: LocalFile, trouble: CloudcptError | None) -> TransientError:
    """Say that a file was tried often enough, with the reason of the last time if there was one."""
    message = f"gave up on `{file.path}` after {ATTEMPTS} attempts"
    return TransientError(*(trouble.diagnostics if trouble else ()), error("CPT415", message))


def _checksum_of(file: LocalFile) -> str:
    buffer = memoryview(bytearray(min(PART_BYTES, file.size_bytes)))
    with Content(file) as content:
        for start in range(0, file.size_bytes, PART_BYTES):
            content.fill(buffer[: file.size_bytes - start])
        content.require_whole()
        return as_text(content.crc64nvme)


def _another(store: ObjectStore, file: LocalFile, how: str) -> SetupError:
    return SetupError(
        error(
            "CPT413",
            f"another object is where `{file.path}` belongs: {how}",
            hint=f"find out who wrote `{store.uri}/{file.key}`, delete it, or upload to another prefix",
        )
    )
