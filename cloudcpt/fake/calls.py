"""The record of every call that reached a service, for assertions."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudcpt.fake.http import Request

KEPT_BODY_BYTES = 1 << 18
"""A longer body is counted, not kept."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call, as it arrived.

    Args:
        number: In the order of arrival at its service, from 1.
        service: Name of the service, such as `s3`.
        operation: Name of the API operation, such as `UploadPart`.
        method: HTTP method.
        path: Percent-encoded, as sent.
        query: As sent.
        headers: By lower-case name.
        size_bytes: How much of the body arrived.
        body: The body when it is small, else empty.
        status: HTTP status of the answer; None when the connection was broken instead.
        fault: What was made to go wrong, empty when nothing was.
    """

    number: int
    service: str
    operation: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    size_bytes: int
    body: bytes
    status: int | None
    fault: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Give the parameters of a call of a JSON service."""
        parameters: dict[str, Any] = json.loads(self.body or b"{}")
        return parameters


class CallLog:
    """Every call to one service, in the order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = 0
        self._calls: list[Call] = []

    def start(self) -> int:
        """Number a call that begins to arrive."""
        with self._lock:
            self._started += 1
            return self._started

    def end(
        self, number: int, *, service: str, operation: str, request: Request, status: int | None, fault: str
    ) -> None:
        """Record how a call ended."""
        kept = request.body if len(request.body) <= KEPT_BODY_BYTES else b""
        call = Call(
            number=number,
            service=service,
            operation=operation,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            size_bytes=len(request.body),
            body=kept,
            status=status,
            fault=fault,
        )
        with self._lock:
            self._calls.append(call)

    def all(self, operation: str = "") -> tuple[Call, ...]:
        """Give the calls so far, of one operation or of all."""
        with self._lock:
            calls = sorted(self._calls, key=lambda call: call.number)
        return tuple(call for call in calls if operation in ("", call.operation))

    def operations(self) -> tuple[str, ...]:
        """Name the operations called, in order."""
        return tuple(call.operation for call in self.all())

    def clear(self) -> None:
        """Forget everything so far."""
        with self._lock:
            self._calls.clear()
