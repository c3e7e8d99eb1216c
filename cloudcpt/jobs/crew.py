"""The threads that send: a few, the same ones for all files of an upload.

They are daemons, which those of `concurrent.futures` cannot be. A request that hangs may take minutes to give up;
after Ctrl-C nobody waits for it, and nothing is lost, for an upload can be cut off at any moment.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from types import TracebackType
from typing import Any, Self, TypeVar

Result = TypeVar("Result")


class Crew:
    """Runs tasks, as many at once as it has threads, in the order in which they were given.

    Args:
        size: Threads; started when the crew is entered as a context, told to end when it is left.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        for number in range(self.size):
            threading.Thread(target=self._work, name=f"send-{number}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(self.size):
            self._tasks.put(None)

    def give(self, task: Callable[[], Result]) -> "Future[Result]":
        """Have a task done; the future gives what it returns or raises."""
        future: Future[Result] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = task()
            except BaseException as exc:  # noqa: BLE001 - whoever asks the future gets it
                future.set_exception(exc)
            else:
                future.set_result(result)

        self._tasks.put(run)
        return future

    @staticmethod
    def call_off(futures: "Iterable[Future[Any]]") -> None:
        """Begin none of these tasks any more, and wait for those that are being done."""
        given = list(futures)
        for future in given:
            future.cancel()
        wait(given)

    def _work(self) -> None:
        while (run := self._tasks.get()) is not None:
            run()
            del run  # a finished task must not keep its bytes until the next one comes
