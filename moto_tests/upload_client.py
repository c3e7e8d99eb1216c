"""A client that can be killed: reads what to do line by line, forks, uploads in the child, says how the child ended.

boto3 is imported once, in the parent; a child is ready in milliseconds. Each line on stdin is a JSON object:

    files           [path, size in bytes, BLAKE3, key] each
    journal         folder
    die_at          number of the event at which the child kills itself with SIGKILL; null for never
    kill_after_s    when we kill it, if it is not done by then; null for never
    parts_in_flight

Events are: a request about to be sent, an answer that has come, a journal write about to happen or done, in order.
Each line on stdout answers one: {"signal": ..., "events": ..., "codes": [...]}.
"""

import json
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from cloudcpt.aws.object_store import S3ObjectStore
from cloudcpt.aws.session import AwsSession
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.journal import JournalEntry, UploadJournal
from cloudcpt.jobs.local_file import LocalFile
from cloudcpt.jobs.upload import upload

PART = 5 * 1024**2


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


class CountedJournal(UploadJournal):
    """A journal whose writes are events."""

    def __init__(self, folder: Path, events: Events) -> None:
        super().__init__(folder)
        self._events = events

    def write(self, entry: JournalEntry) -> None:
        self._events.happen()
        super().write(entry)
        self._events.happen()

    def forget(self, uri: str) -> None:
        self._events.happen()
        super().forget(uri)
        self._events.happen()


def be_a_client(session: AwsSession, order: dict[str, Any], answer: int) -> None:
    """Upload as ordered and write how it ended to a descriptor."""
    events = Events(order["die_at"])
    store = S3ObjectStore(session, bucket="bucket", owner="123456789012")
    store._client.meta.events.register("before-send.s3", events.happen)
    store._client.meta.events.register("response-received.s3", events.happen)
    files = [
        LocalFile(path=Path(path), size_bytes=size, blake3=blake3, key=key)
        for path, size, blake3, key in order["files"]
    ]
    codes: list[str] = []
    try:
        upload(
            store,
            files,
            journal=CountedJournal(Path(order["journal"]), events),
            resume="again",
            parts_in_flight=order["parts_in_flight"],
            smallest_part_bytes=PART,
        )
    except CloudcptError as exc:
        codes = [found.code for found in exc.diagnostics]
    os.write(answer, json.dumps({"events": events.count, "codes": codes}).encode())


def main() -> None:
    """Serve orders until stdin ends."""
    session = AwsSession(region="us-east-1")
    session.client("s3")  # reads the service models, so that children need not
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            be_a_client(session, order, writer)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            if not select.select([pipe], [], [], order["kill_after_s"])[0]:
                os.kill(child, signal.SIGKILL)
            said = pipe.read()
        _, status = os.waitpid(child, 0)
        ended = {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        }
        sys.stdout.write(json.dumps({"events": None, "codes": None, **json.loads(said or "{}"), **ended}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
