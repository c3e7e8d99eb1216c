"""The same work on every block of many files, in as many processes as there are cores; results in the files' order."""

import mmap
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from cloudcpt.dataset.blocks import BLOCK_BYTES, Block
from cloudcpt.dataset.cores import usable_cores
from cloudcpt.dataset.cuts import BUFFER_LIMIT_BYTES, Cut
from cloudcpt.dataset.feed import Feed
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.worker import block_at
from cloudcpt.errors import DatasetError

Result = TypeVar("Result")

MOST_PER_CORE: Final = 4
"""Processes that somebody may ask for: some, to see that their number changes nothing."""

ALONE_BYTES: Final = 8 << 20
"""Less data than this is done here: two interpreters start in the time in which one core reads it a few times over."""


def map_blocks(
    place: DataPlace,
    files: Sequence[InputFile],
    make_work: Callable[[], Callable[[Block], Result]],
    *,
    workers: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[Block, Result]]:
    """Do some work on every block; yield each block and its result, in order, as soon as it is there.

    Args:
        place: Where the files are.
        files: In order.
        make_work: Called once in every process; makes what is then called with each block. It must be possible to
            pickle it (a function of a module, a `functools.partial` of one, an instance of a class of a module), and
            what the work returns.
        workers: Processes; 1 to do everything here; 0 for that if there is little data, and else one per core.
        block_bytes: About how large a block is.

    Raises:
        DatasetError: a file cannot be opened or read, or changed meanwhile.
        SetupError: a worker process has died.
    """
    with Feed(place, files, block_bytes) as feed:
        ended = 0
        for cut, content, result in map_feed(feed, make_work, processes(files, workers)):
            _require_sound(feed, ended, cut.file)
            ended = cut.file
            yield block_at(cut, content), result
        _require_sound(feed, ended, len(files))


def _require_sound(feed: Feed, start: int, stop: int) -> None:
    for end in feed.ends[start:stop]:
        if end.findings:
            raise DatasetError(*end.findings)


def processes(
    files: Sequence[InputFile], workers: int, *, alone_bytes: int = ALONE_BYTES, most: int | None = None
) -> int:
    """Say how many processes are to read some files when nobody asked for a number: one for little data.

    Args:
        files: With their sizes.
        workers: As in `map_blocks`.
        alone_bytes: How much data is little.
        most: How many are of use, however many cores there are.
    """
    is_little = sum(file.size_bytes for file in files) < alone_bytes
    cores = usable_cores()
    # More than a few for each core would only take time to start.
    return min(workers, MOST_PER_CORE * cores) or (1 if is_little else min(cores, most or cores))


def map_feed(
    feed: Feed, make_work: Callable[[], Callable[[Block], Result]], workers: int
) -> Iterator[tuple[Cut, memoryview, Result]]:
    """Do some work on every block of a feed; yield it, where it lies until the next one is asked for, and the result.

    Args:
        feed: Open.
        make_work: As in `map_blocks`.
        workers: Processes, from 1.
    """
    if workers > 1:
        # Only now: sockets and pipes are not loaded for a small file.
        from cloudcpt.dataset.crew import Crew

        with Crew(workers, make_work) as crew:
            yield from crew.run(feed)
        return
    work = make_work()
    buffer = memoryview(mmap.mmap(-1, BUFFER_LIMIT_BYTES))  # pages that are not used cost nothing
    while cut := feed.fill(buffer):
        yield cut, buffer[: cut.size_bytes], work(block_at(cut, buffer))
