"""Clients that can be killed: a program forks them, they count what happens to them, and die where they are told to.

A program reads orders line by line, each a JSON object, and answers each with a line. What a client needs is imported
and made once, in the program; a child is ready in milliseconds. Every order has, besides what its clients want to know,

    die_at          for each client to start at once: the event at which it kills itself; null for never
    kill_after_s    when we kill them, if they are not done by then; null for never

and the answer has for each client the signal that ended it, how many events it saw, and the codes of its error.

Events are: a request about to be sent, an answer that has come, and whatever an order adds: a file about to be opened
for writing, renamed or removed below its folder.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cloudcpt.errors import CloudcptError

Order = dict[str, Any]
_WRITES = {"open": 0, "os.rename": 1, "os.remove": 0}
"""Audit events, and which of their arguments says where. Source: Python library reference, "Audit events table"."""


class Events:
    """Counts events, and is the last thing that happens at the chosen one."""

    def __init__(self, die_at: int | None) -> None:
        self.count = 0
        self._die_at = die_at
        self._lock = threading.Lock()

    def happen(self, **_: Any) -> None:
        with self._lock:
            if self.count == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            self.count += 1

    def watch_client(self, client: Any, service: str) -> None:
        """Count the requests and answers of a boto3 client."""
        client.meta.events.register(f"before-send.{service}", self.happen)
        client.meta.events.register(f"response-received.{service}", self.happen)

    def watch_files(self, folder: str) -> None:
        """Count what is done to files below a folder, just before it is; for as long as the process lives."""

        def look(event: str, arguments: tuple[Any, ...]) -> None:
            place = _WRITES.get(event)
            if place is None or (event == "open" and not set(arguments[1] or "") & set("wax+")):
                return
            if str(arguments[place]).startswith(folder):
                self.happen()

        sys.addaudithook(look)


def serve(be_a_client: Callable[[Order, Events], None]) -> None:
    """Carry out orders until stdin ends."""
    for line in sys.stdin:
        order = json.loads(line)
        children = [_start(be_a_client, order, die_at) for die_at in order["die_at"]]
        until = None if order["kill_after_s"] is None else time.monotonic() + order["kill_after_s"]
        sys.stdout.write(json.dumps([_end(child, pipe, until) for child, pipe in children]) + "\n")
        sys.stdout.flush()


def _start(be_a_client: Callable[[Order, Events], None], order: Order, die_at: int | None) -> tuple[int, int]:
    """Fork a client; give its process and where it will say how it ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    events, codes = Events(die_at), []
    try:
        be_a_client(order, events)
    except CloudcptError as exc:
        codes = [found.code for found in exc.diagnostics]
    except BaseException as exc:  # noqa: BLE001 - a child must not become a second program
        codes = [repr(exc)]
    os.write(writer, json.dumps({"events": events.count, "codes": codes}).encode())
    os._exit(0)


def _end(child: int, pipe: int, until: float | None) -> dict[str, Any]:
    with os.fdopen(pipe) as said:
        if until is not None and not select.select([said], [], [], max(0.0, until - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
        text = said.read()
    _, status = os.waitpid(child, 0)
    killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return {"events": None, "codes": None, **json.loads(text or "{}"), "signal": killed_by}


class Mortals:
    """A program that forks clients, seen from a test.

    Args:
        module: Which program; started with the environment of the moment.
    """

    def __init__(self, module: str) -> None:
        root = str(Path(__file__).parents[1])
        self._program = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": root},
        )

    def run(
        self, order: Order, *, die_at: Sequence[int | None] = (None,), kill_after_s: float | None = None
    ) -> list[dict[str, Any]]:
        """Let clients carry out an order at once; give how each of them ended."""
        assert self._program.stdin
        self._program.stdin.write(json.dumps({**order, "die_at": list(die_at), "kill_after_s": kill_after_s}) + "\n")
        self._program.stdin.flush()
        assert self._program.stdout
        ended: list[dict[str, Any]] = json.loads(self._program.stdout.readline())
        return ended

    def end(self) -> None:
        """Let the program end."""
        self._program.communicate(timeout=30)
