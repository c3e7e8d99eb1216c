"""Files to upload and a client that uploads them, for the tests of cloudcpt.jobs.upload."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.tally import UploadProgress
from cloudcpt.jobs.upload import upload
from cloudcpt.plan.keys import object_key
from tests.fake_objects import FakeObjects, JournalOnLine, Killed, Line

PART = 64
RESUME = "cloudcpt submit plan.json"


def content_of(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def local_file(path: Path, content: bytes) -> LocalFile:
    path.write_bytes(content)
    digest = blake3(content).hexdigest()
    key = object_key("team/cpt", blake3=digest, name=path.name)
    return LocalFile(path=path, size_bytes=len(content), blake3=digest, key=key)


def small_store() -> FakeObjects:
    return FakeObjects(min_part_bytes=PART)


def run(
    store: FakeObjects,
    files: Sequence[LocalFile],
    folder: Path,
    *,
    line: Line | None = None,
    parts_in_flight: int = 1,
    progress: Callable[[UploadProgress], None] | None = None,
) -> UploadProgress:
    """Be one run of a client; `folder` is what it keeps from one run to the next."""
    line = line or Line()
    return upload(
        line.store(store),
        files,
        journal=JournalOnLine(line, folder),
        resume=RESUME,
        parts_in_flight=parts_in_flight,
        smallest_part_bytes=PART,
        progress=progress,
    )


def outcome(*arguments: Any, **options: Any) -> CloudcptError | Killed | None:
    """Give how a run ended; None when it went well."""
    try:
        run(*arguments, **options)
    except (CloudcptError, Killed) as problem:
        return problem
    return None


@dataclass(frozen=True)
class Corpus:
    """Files and where each must end."""

    files: tuple[LocalFile, ...]

    @classmethod
    def make(cls, folder: Path, *sizes: int) -> "Corpus":
        folder.mkdir(parents=True, exist_ok=True)
        return cls(
            tuple(
                local_file(folder / f"part-{number}.jsonl", content_of(size, seed=number))
                for number, size in enumerate(sizes)
            )
        )

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def objects(self) -> dict[str, bytes]:
        return {file.key: file.path.read_bytes() for file in self.files}
