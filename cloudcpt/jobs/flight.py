r"""The parts of one upload that are in the air: a few buffers that go round between the reader and the crew.

    free --> read, hash, compare --> the store has it already --> free
                                 \--> a thread of the crew sends it --> landed --> free

There is one buffer more than parts travel at once, so that the next is read meanwhile; whatever the size of the file,
no more memory is used. A part that is being read and has not been handed over costs nothing when we are killed.
"""

import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass

from cloudcpt.dataset.checksum import as_text
from cloudcpt.errors import TransientError
from cloudcpt.jobs.crew import Crew
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.local_file import Content, LocalFile
from cloudcpt.jobs.objects import Bytes, BytesDamaged, ObjectStore, StoredPart
from cloudcpt.jobs.parts import Cut, Part
from cloudcpt.jobs.tally import Tally

PART_ATTEMPTS = 3
"""How often a part is sent when it arrives damaged. The store's adapter retries everything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Means:
    """What sending a file takes.

    Args:
        store: Where it goes.
        journal: Remembers what is under way.
        crew: Sends parts; as many as it has threads travel at once.
        tally: Counts.
        smallest_part_bytes: Of every part but the last.
    """

    store: ObjectStore
    journal: UploadJournal
    crew: Crew
    tally: Tally
    smallest_part_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """An upload under way: how its file is cut, and the parts that had arrived when we looked."""

    upload_id: str
    cut: Cut
    arrived: Mapping[int, StoredPart]


@dataclass(frozen=True, kw_only=True, slots=True)
class Landed:
    """A part that is in the store, whoever sent it: which bytes, and the store's name for them."""

    size_bytes: int
    crc64nvme: str
    etag: str

    def is_same(self, listed: StoredPart | None) -> bool:
        """Tell whether a listed part has these bytes."""
        return listed is not None and (listed.size_bytes, listed.crc64nvme) == (self.size_bytes, self.crc64nvme)


class Flight:
    """One passage of a file's parts.

    Args:
        means: What it takes.
        file: Whose parts.
        upload: Which upload they belong to.
    """

    def __init__(self, means: Means, file: LocalFile, upload: Upload) -> None:
        self._means = means
        self._file = file
        self._upload = upload
        self._travelling: dict[int, Future[Landed]] = {}
        self._free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        for _ in range(upload.cut.in_flight(means.crew.size) + 1):
            self._free.put(bytearray(upload.cut.part_bytes))

    def carry(self, content: Content) -> dict[int, Landed]:
        """Read all parts in order, send those that have not arrived as they are, and give where all of them stand.

        Raises:
            InputError: the file is not what it was.
            UploadGone: somebody ended the upload.
            TransientError: a part did not get through.
        """
        landed: dict[int, Landed] = {}
        try:
            for number in range(1, self._upload.cut.count + 1):
                buffer = self._free.get()
                landed |= self._collect()
                part = self._upload.cut.part(number)
                crc = as_text(content.fill(memoryview(buffer)[: part.size_bytes]))
                if there := self._arrived_before(part, crc):
                    landed[number] = there
                    self._free.put(buffer)
                else:
                    self._travelling[number] = self._means.crew.give(self._sending(part, buffer, crc))
            wait(self._travelling.values())
            return landed | self._collect()
        except Exception:
            # Whatever comes next must not meet parts of this passage.
            self._means.crew.call_off(self._travelling.values())
            raise

    def _collect(self) -> dict[int, Landed]:
        """Give the parts that have arrived since the last time, or raise what befell one."""
        done = [number for number, future in self._travelling.items() if future.done()]
        return {number: self._travelling.pop(number).result() for number in done}

    def _arrived_before(self, part: Part, crc: str) -> Landed | None:
        listed = self._upload.arrived.get(part.number)
        if listed is None:
            return None
        there = Landed(size_bytes=part.size_bytes, crc64nvme=crc, etag=listed.etag)
        if not there.is_same(listed):
            return None
        self._means.tally.add_found(self._file, part.size_bytes)
        return there

    def _sending(self, part: Part, buffer: bytearray, crc: str) -> Callable[[], Landed]:
        def send() -> Landed:
            try:
                return self._deliver(part, memoryview(buffer)[: part.size_bytes], crc)
            finally:
                self._free.put(buffer)

        return send

    def _deliver(self, part: Part, content: Bytes, crc: str) -> Landed:
        store, key, upload_id = self._means.store, self._file.key, self._upload.upload_id
        damage: BytesDamaged | None = None
        for _ in range(PART_ATTEMPTS):
            try:
                etag = store.put_part(key, upload_id, part.number, content, crc64nvme=crc)
            except BytesDamaged as exc:
                damage = exc
            else:
                self._means.tally.add_sent(self._file, part.size_bytes)
                return Landed(size_bytes=part.size_bytes, crc64nvme=crc, etag=etag)
        assert damage, "an attempt that did not return left its reason"
        raise TransientError(*damage.diagnostics) from damage
