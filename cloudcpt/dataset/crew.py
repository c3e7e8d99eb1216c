"""Worker processes that do the same work on many blocks, and give the results back in the order of the blocks.

    Feed.fill --> a free buffer of shared memory --(where it is)--> worker --(result)--> in order --> the buffer is free

The parent reads, each byte once, straight into memory that all processes see; what goes through a pipe is small.
It is one of the workers itself: a block that nobody else has room for it does on the spot, so that no core waits, not
even while the others start. A buffer is free again when its result has been handed on, so one slow block holds up the
reading, not the memory.

Nothing can be left behind: the memory has no name, so it ends with the last process that holds it; a worker ends when
its channel does, however the parent went; and a worker that dies, for want of memory perhaps, is an error at once.
Workers are fresh interpreters, not copies of this process: copying one that has threads is not safe.
"""

import contextlib
import json
import mmap
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from cloudcpt.dataset.blocks import Block
from cloudcpt.dataset.channel import Channel
from cloudcpt.dataset.cuts import BUFFER_LIMIT_BYTES, Cut
from cloudcpt.dataset.feed import Feed
from cloudcpt.dataset.worker import block_at
from cloudcpt.errors import SetupError, error

_START: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from cloudcpt.dataset.worker import main; main()"
)
_SAFE_PATH: Final = "-P"
"""Python's own word for not importing from the current folder, where a dataset may bring a `json.py` along."""

_AHEAD: Final = 4
"""Blocks that another process has at a time, so that it never waits while this one does one itself. Source: measured
with bench/validate.py, 2026-11: with 2 it waits a sixth of the time, more than 4 changes nothing."""

_ROOM_BYTES: Final = -(-BUFFER_LIMIT_BYTES // mmap.PAGESIZE) * mmap.PAGESIZE
"""Of a buffer. Only the pages that are used take memory: about a block, more where there are very long lines."""

_PATIENCE_S: Final = 10

_Answer = tuple[Any, Exception | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Order:
    """A block that somebody works on: its number, its buffer's number, and what stands there."""

    number: int
    buffer: int
    cut: Cut


class _Worker:
    """One process and the channel to it.

    Args:
        memory: Descriptor of what is shared.
    """

    def __init__(self, memory: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [
                sys.executable,
                _SAFE_PATH,
                "-c",
                _START,
                json.dumps(sys.path),
                str(theirs.fileno()),
                str(memory),
            ]
            # A group of its own, so that Ctrl-C in a terminal does not reach it before it can ignore it.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), memory), process_group=0
            )
        self.channel = Channel(ours.detach())
        self.orders: deque[_Order] = deque()
        self.is_ready = False

    def begin(self, payload: bytes) -> None:
        """Tell it what its work is: the pickled `make_work`."""
        self._send(payload)

    def give(self, order: _Order) -> None:
        """Let it work on one more block."""
        self.orders.append(order)
        self._send(pickle.dumps((order.buffer * _ROOM_BYTES, order.cut)))

    def receive(self) -> tuple[int | None, _Answer]:
        """Take the next answer, and the number of its block; None for the word that it has started.

        Raises:
            SetupError: the process has died.
        """
        try:
            answer: _Answer = self.channel.receive()
        except ConnectionError:
            raise self._died() from None
        if self.is_ready:
            return self.orders.popleft().number, answer
        self.is_ready = True
        return None, answer

    def _send(self, content: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # it has died: `receive` says so
            self.channel.send(content)

    def _died(self) -> SetupError:
        status = self.process.wait(_PATIENCE_S)
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        hint = "if memory ran out, free some; `cloudcpt data` with `--workers 1` does everything in one process"
        return SetupError(error("CPT354", f"a worker process {how} before its work was done", hint=hint))


class Crew:
    """Some workers and the memory that they share; a context that ends them, whatever happens.

    Args:
        workers: How many, this process among them; at least 2.
        make_work: As in `map_blocks`.
    """

    def __init__(self, workers: int, make_work: Callable[[], Callable[[Block], Any]]) -> None:
        self._make_work = make_work
        self._workers: list[_Worker] = []
        self._done: dict[int, _Answer] = {}
        payload = pickle.dumps(make_work)
        num_buffers = (_AHEAD + 1) * workers
        assert workers > 1, "one worker needs no other process"
        memory = os.memfd_create("cloudcpt")
        try:
            os.ftruncate(memory, num_buffers * _ROOM_BYTES)
            shared = memoryview(mmap.mmap(memory, 0))
            self._buffers = [shared[start : start + BUFFER_LIMIT_BYTES] for start in range(0, len(shared), _ROOM_BYTES)]
            for _ in range(workers - 1):
                self._workers.append(_Worker(memory))
            for worker in self._workers:  # all of them are starting by now, and read when they have started
                worker.begin(payload)
        except BaseException:
            self._end()
            raise
        finally:
            os.close(memory)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *problem: object) -> None:
        self._end()

    def run(self, feed: Feed) -> Iterator[tuple[Cut, memoryview, Any]]:
        """Do the work on every block of a feed; yield it, where it lies until the next one, and its result, in order.

        Raises:
            SetupError: a worker has died.
        """
        free = deque(range(len(self._buffers)))
        under_way: deque[_Order] = deque()
        given, is_more = 0, True
        while is_more or under_way:
            if is_more and free:
                cut = feed.fill(self._buffers[free[0]])
                if cut:
                    under_way.append(_Order(number=given, buffer=free.popleft(), cut=cut))
                    given += 1
                    self._begin(under_way[-1])
                is_more = cut is not None
            can_go_on = (is_more and free) or not under_way or under_way[0].number in self._done
            self._collect(must_wait=not can_go_on)
            while under_way and under_way[0].number in self._done:
                order = under_way.popleft()
                result, problem = self._done.pop(order.number)
                if problem:
                    raise problem
                yield order.cut, self._buffers[order.buffer][: order.cut.size_bytes], result
                free.append(order.buffer)

    def _idlest(self) -> _Worker | None:
        ready = [worker for worker in self._workers if worker.is_ready and len(worker.orders) < _AHEAD]
        return min(ready, key=lambda worker: len(worker.orders), default=None)

    def _begin(self, order: _Order) -> None:
        worker = self._idlest()
        if worker:
            worker.give(order)
            return
        try:
            result = self._own_work(block_at(order.cut, self._buffers[order.buffer]))
        except Exception as exc:  # noqa: BLE001 whatever it is, it is raised when its turn comes
            self._done[order.number] = (None, exc)
        else:
            self._done[order.number] = (result, None)

    @cached_property
    def _own_work(self) -> Callable[[Block], Any]:
        return self._make_work()

    def _collect(self, *, must_wait: bool) -> None:
        """Take the answers that are there; wait for one if nothing else can be done."""
        poll = select.poll()  # `select.select` ends at descriptor 1023
        silent = {worker.channel.fileno(): worker for worker in self._workers if worker.orders or not worker.is_ready}
        for descriptor in silent:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(None if must_wait else 0):
            number, answer = silent[descriptor].receive()
            if number is not None:
                self._done[number] = answer
            elif problem := answer[1]:
                raise problem

    def _end(self) -> None:
        """End the workers. What they would still do is of no use to anybody."""
        for worker in self._workers:
            worker.channel.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
