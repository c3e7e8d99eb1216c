"""The other end of `cloudcpt.dataset.crew`: a process that does the same work on one block after another.

It is told what to make of a block and says that it can, or why not; then it is told where a block is and what it is,
and answers with a result or an exception, until the parent hangs up.
"""

import mmap
import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any

from cloudcpt.dataset.blocks import Block
from cloudcpt.dataset.channel import Channel
from cloudcpt.dataset.cuts import Cut


def main() -> None:
    """Work until the parent has no more, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends us
    parent, memory = Channel(int(sys.argv[-2])), int(sys.argv[-1])
    os.dup2(2, 1)  # whatever a library prints is not for the parent's stdout
    try:
        _serve(parent, memoryview(mmap.mmap(memory, 0)))
    except ConnectionError:
        return


def _serve(parent: Channel, buffers: memoryview) -> None:
    try:
        work = parent.receive()()
    except Exception as exc:  # noqa: BLE001 whatever it is, it is raised in the parent
        parent.send(_answer(None, exc))
        return
    parent.send(_answer(None, None))
    while True:
        start, cut = parent.receive()
        parent.send(_done(work, cut, buffers[start:]))


def _done(work: Callable[[Block], Any], cut: Cut, buffer: memoryview) -> bytes:
    try:
        return _answer(work(block_at(cut, buffer)), None)
    except Exception as exc:  # noqa: BLE001 whatever it is, it is raised in the parent
        return _answer(None, exc)


def _answer(result: object, problem: Exception | None) -> bytes:
    """Pickle a result, or an exception with its traceback as a note; one that cannot be pickled is told in words."""
    if problem is None:
        return pickle.dumps((result, None), protocol=pickle.HIGHEST_PROTOCOL)
    import traceback

    trace = "".join(traceback.format_exception(problem))
    problem.add_note(f"in a worker process:\n{trace}")
    try:
        pickled = pickle.dumps((None, problem), protocol=pickle.HIGHEST_PROTOCOL)
        pickle.loads(pickled)  # noqa: S301 some exceptions can be written and not read
    except Exception:  # noqa: BLE001 anything can go wrong there
        return pickle.dumps((None, RuntimeError(trace)))
    return pickled


def block_at(cut: Cut, buffer: memoryview) -> Block:
    """Take a block out of the buffer that it was cut into."""
    content = bytes(buffer[: cut.size_bytes])
    return Block(file=cut.file, shown=cut.shown, line=cut.line, byte=cut.byte, content=content, refused=cut.refused)
