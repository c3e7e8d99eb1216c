"""Memory does not grow with the file: a few buffers go round, whatever passes through them."""

import tracemalloc
from pathlib import Path

from blake3 import blake3

from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.objects import StoredObject
from cloudcpt.jobs.parts import cut
from cloudcpt.jobs.upload import upload
from tests.fake_objects import FakeObjects

KIBIBYTE = 1024
PART = 256 * KIBIBYTE


class Sink(FakeObjects):
    """A store that keeps no bytes and believes every checksum."""

    stored: StoredObject | None = None

    def put_part(self, *_, **__):
        return '"etag"'

    def complete(self, *_, size_bytes, crc64nvme):
        self.stored = StoredObject(size_bytes=size_bytes, crc64nvme=crc64nvme, is_encrypted_as_asked=True)
        self.uploads = {}

    def head(self, _):
        return self.stored


def sparse_file(path: Path, size_bytes: int) -> LocalFile:
    with path.open("wb") as file:
        file.truncate(size_bytes)
    hasher, zeros = blake3(), bytes(1024 * KIBIBYTE)
    for _ in range(size_bytes // len(zeros)):
        hasher.update(zeros)
    return LocalFile(path=path, size_bytes=size_bytes, blake3=hasher.hexdigest(), key="k")


def peak_while_uploading(tmp_path: Path, size_bytes: int, parts_in_flight: int) -> int:
    file = sparse_file(tmp_path / "big", size_bytes)
    journal = UploadJournal(tmp_path / "journal")
    tracemalloc.start()
    try:
        upload(Sink(), [file], journal=journal, resume="x", parts_in_flight=parts_in_flight, smallest_part_bytes=PART)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_of_256_mib_needs_only_the_parts_in_flight_and_one(tmp_path):
    for parts_in_flight in (1, 4):
        buffers = (parts_in_flight + 1) * cut(256 * KIBIBYTE**2, smallest=PART).part_bytes
        peak = peak_while_uploading(tmp_path, 256 * KIBIBYTE**2, parts_in_flight)
        assert buffers <= peak <= buffers + 1024 * KIBIBYTE


def test_looking_at_an_object_that_is_there_reads_the_file_in_pieces(tmp_path):
    file = sparse_file(tmp_path / "big", 128 * KIBIBYTE**2)
    store, journal = Sink(), UploadJournal(tmp_path / "journal")
    upload(store, [file], journal=journal, resume="x", smallest_part_bytes=PART)
    tracemalloc.start()
    try:
        done = upload(store, [file], journal=journal, resume="x", smallest_part_bytes=PART)
        assert tracemalloc.get_traced_memory()[1] < 10 * KIBIBYTE**2
    finally:
        tracemalloc.stop()
    assert done.resumed_bytes == file.size_bytes
