"""The rows of a job, as each of its processes sees them: some are there before the first step, the rest come later.

    node main    before the first step: whole sources, and as many windows of the others as that step needs
    preparer     while it trains: the windows after those, as far as the job reads (`cloudcpt.train.preparer`)
    every rank   maps a window when a step needs it, and waits for it if it must

A window appears by a rename, so it is there whole or not at all. The preparer holds a lock for as long as it lives:
whoever waits for a window and finds the lock free knows that it waits in vain, however the preparer ended.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Self

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import Plan, Source
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.mix import make_mix
from cloudcpt.train.row_maker import RowMaker, rows_folder, window_folder
from cloudcpt.train.rows import Rows, SourceRows, open_rows
from cloudcpt.train.window_text import WindowText, whole_text
from cloudcpt.train.windowed_rows import WindowedRows
from cloudcpt.train.windows import CUT, Cut, Windows, cut_files, is_cut, read_windows, save_windows
from cloudcpt.wire import Failure, MlFolder, commit_text, failure_in

_POLL_S = 0.05
_LOCK_FILE = "preparer.lock"
_PLAN_FILE = "plan.json"
_FAILURE_FILE = "failure"
_BLOCKS_FILE = "blocks.npy"
_PREPARER_MODULE = "cloudcpt.train.preparer"


class PreparedRows(Mapping[str, SourceRows]):
    """The rows of every source by channel; a context manager that ends the preparation with whoever uses it.

    Args:
        ml: Where the rows are.
        sources: Of the plan.
        cut: Where large ones are cut.
        preparer: The process that makes the windows that are not there yet, on the node main; None elsewhere, and
            where none is needed.
    """

    def __init__(
        self, ml: MlFolder, sources: tuple[Source, ...], cut: Cut, preparer: "subprocess.Popen[bytes] | None"
    ) -> None:
        self._ml = ml
        self._preparer = preparer
        self._closed = Event()
        self._rows = {source.channel: self._opened(source.channel, cut) for source in sources}

    def __getitem__(self, channel: str) -> SourceRows:
        return self._rows[channel]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """End the preparation, and every wait for it."""
        self.abandon()
        if self._preparer is not None:
            if self._preparer.poll() is None:  # otherwise its number may be somebody else's by now
                with suppress(ProcessLookupError):
                    os.killpg(self._preparer.pid, signal.SIGKILL)
            self._preparer.wait()

    def abandon(self) -> None:
        """End every wait for rows on this rank: nobody wants them any more."""
        self._closed.set()

    def check(self) -> None:
        """Learn of a preparation that failed before anybody waits for it; costs a system call on one process of a node.

        Raises:
            TrainingFailure: it failed.
        """
        if self._preparer is not None and self._preparer.poll():
            raise self._failure()

    def finish(self) -> None:
        """Wait for the end of the preparation, which comes once the last window that the job reads is there.

        Raises:
            TrainingFailure: it failed, or the source turned out to be another than the plan counted exactly.
        """
        if self._preparer is not None:
            self._preparer.wait()
            self.check()

    def _opened(self, channel: str, cut: Cut) -> SourceRows:
        blocks = blocks_path(self._ml, channel)
        if not blocks.exists():
            return open_rows(window_folder(self._ml, channel, None))
        windows = read_windows(blocks, cut)
        return WindowedRows(len(windows), lambda number: self._wait_for(window_folder(self._ml, channel, number)))

    def _wait_for(self, folder: Path) -> Rows:
        while not folder.is_dir():
            # Asked in this order: it may have come, and the preparer gone, since the first look.
            if not _is_locked(self._ml) and not folder.is_dir():
                raise self._failure()
            if self._closed.wait(_POLL_S):
                raise _Abandoned
        return open_rows(folder)

    def _failure(self) -> TrainingFailure:
        with suppress(OSError):
            if failure := failure_in(rows_folder(self._ml) / _FAILURE_FILE):
                return TrainingFailure(failure)
        status = self._preparer.poll() if self._preparer is not None else None
        how = f", killed by {signal.Signals(-status).name}" if status and status < 0 else ""
        message = f"the process that prepares rows beside the training ended without a word{how}"
        hint = "its log is in that of the job; it may have run out of memory. Started again, the job goes on preparing"
        return TrainingFailure(Failure(code="CPT614", blame=Blame.PLATFORM, message=message, hint=hint))


class _Abandoned(Exception):
    """Nobody waits for these rows any more."""


def prepare_rows(
    plan: Plan,
    ml: MlFolder,
    tokenizer_folder: Path,
    *,
    is_node_main: bool,
    barrier: Callable[[], None],
    cut: Cut = CUT,
) -> PreparedRows:
    """Make what the first step needs once per node, start making the rest, and map it.

    Args:
        plan: Which sources, and what was counted.
        ml: Where the channels are, and the scratch space for rows.
        tokenizer_folder: Holds tokenizer.json: the base model, or its stand-in.
        is_node_main: True on the one process of each node that does the work.
        barrier: Holds every process until all have called it.
        cut: Where large sources are cut.

    Raises:
        TrainingFailure: a source that the plan counted exactly turns into other rows.
        DatasetError: a line or the tokenizer cannot be read.
    """
    preparer = None
    if is_node_main:
        shutil.rmtree(rows_folder(ml), ignore_errors=True)  # of an earlier attempt
        windows = _cut_sources(plan, ml, cut)
        maker = RowMaker(plan, ml, tokenizer_folder, windows)
        whole = [source for source in plan.sources if source.channel not in windows]
        firsts = [window_text(ml, source, windows[source.channel], 0) for source in plan.sources if source not in whole]
        for _ in maker.make([whole_text(source.channel, source_paths(ml, source)) for source in whole] + firsts):
            pass
        if windows and _make_for_first_step(plan, ml, maker, windows):
            preparer = _started(plan, ml, tokenizer_folder, cut)
    barrier()
    return PreparedRows(ml, plan.sources, cut, preparer)


def source_paths(ml: MlFolder, source: Source) -> tuple[Path, ...]:
    """List the files of a source, in order."""
    return tuple(ml.channel(source.channel) / file.placed for file in source.files)


def window_text(ml: MlFolder, source: Source, windows: Windows, number: int) -> WindowText:
    """Take the text of one window of a source that is cut."""
    ranges = tuple(windows.ranges(number))
    return WindowText(channel=source.channel, number=number, paths=source_paths(ml, source), ranges=ranges)


def blocks_path(ml: MlFolder, channel: str) -> Path:
    """Say where the blocks of a source that is cut are written down."""
    return rows_folder(ml) / channel / _BLOCKS_FILE


def _cut_sources(plan: Plan, ml: MlFolder, cut: Cut) -> dict[str, Windows]:
    """Cut what is large and trained on; held-out sets are whole, so that their first rows are their first lines."""
    windows = {}
    for source in plan.sources_of("train", "replay"):
        paths = source_paths(ml, source)
        if source.weight > 0 and is_cut([path.stat().st_size for path in paths], cut):
            windows[source.channel] = cut_files(paths, cut)
            blocks_path(ml, source.channel).parent.mkdir(parents=True)
            save_windows(windows[source.channel], blocks_path(ml, source.channel))
    return windows


def _make_for_first_step(plan: Plan, ml: MlFolder, maker: RowMaker, windows: Mapping[str, Windows]) -> bool:
    """Make the windows that the first step needs beside the first ones; tell whether there are others."""
    sources = {source.channel: source for source in plan.sources}

    def made(channel: str, number: int) -> Rows:
        folder = window_folder(ml, channel, number)
        if not folder.is_dir():
            list(maker.make([window_text(ml, sources[channel], windows[channel], number)]))
        return open_rows(folder)

    rows: dict[str, SourceRows] = {
        channel: WindowedRows(len(windows[channel]), partial(made, channel))
        if channel in windows
        else open_rows(window_folder(ml, channel, None))
        for channel in sources
    }
    used = make_mix(plan, rows).windows_used(plan.geometry.global_batch_rows)
    return any(max(1, used[channel]) < len(cut) for channel, cut in windows.items())


def _started(plan: Plan, ml: MlFolder, tokenizer_folder: Path, cut: Cut) -> "subprocess.Popen[bytes]":
    """Start the preparer, which gets the lock from its birth on: there is no moment at which it seems dead."""
    commit_text(rows_folder(ml) / _PLAN_FILE, plan.to_json())
    command = [sys.executable, "-P", "-m", _PREPARER_MODULE, "--parent", os.getpid(), "--root", ml.root]
    command += [
        "--plan",
        rows_folder(ml) / _PLAN_FILE,
        "--tokenizer",
        tokenizer_folder,
        "--cut",
        cut.whole_bytes,
        cut.window_bytes,
        cut.block_bytes,
    ]
    with (rows_folder(ml) / _LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A group of its own; the workers that it starts end when it does, at the latest after their block.
        return subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, pass_fds=[lock.fileno()], process_group=0
        )


def leave_failure(ml: MlFolder, failure: Failure) -> None:
    """Say, for whoever waits for rows, why no more of them will come."""
    commit_text(rows_folder(ml) / _FAILURE_FILE, failure.text())


def _is_locked(ml: MlFolder) -> bool:
    """Tell whether the preparer of this node is alive."""
    with (rows_folder(ml) / _LOCK_FILE).open("r") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
