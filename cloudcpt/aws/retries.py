"""What botocore sends again behind our back, so that a person who waits can see why."""

import re
import threading
from typing import Any

_ATTEMPT = re.compile(rb"attempt=(\d+); max=(\d+)")


class Retries:
    """Counts the repeated requests of a client, from any of its threads.

    Args:
        client: Of boto3, in retry mode `standard`.
    """

    def __init__(self, client: Any) -> None:
        self.total = 0
        self.last = ""
        self._lock = threading.Lock()
        self._reason = threading.local()  # a request and its repetitions are one thread's
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"needs-retry.{service}", self._note_reason)
        client.meta.events.register(f"before-send.{service}", self._count)

    def _note_reason(self, response: Any, caught_exception: Exception | None, **_: Any) -> None:
        if caught_exception is not None:
            self._reason.text = type(caught_exception).__name__
        elif response is not None:
            http, parsed = response
            self._reason.text = str(parsed.get("Error", {}).get("Code") or http.status_code)

    def _count(self, request: Any, **_: Any) -> None:
        """Notice a request that is not the first of its kind; botocore numbers them in a header."""
        found = _ATTEMPT.search(_as_bytes(request.headers.get("amz-sdk-request", b"")))
        if found is None or found[1] == b"1":
            return
        with self._lock:
            self.total += 1
            self.last = f"retry {int(found[1]) - 1}/{int(found[2]) - 1}: {self._reason.text}"


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
