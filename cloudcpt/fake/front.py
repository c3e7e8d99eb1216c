"""What stands before every service: it records the call, lets things go wrong, and asks the service for the answer.

A service is an object that can name an operation, answer a request and word a refusal in its own protocol. The order is
always the same: the head of the request arrives, a fault is chosen, the body arrives, permissions are looked at, the
service acts, the answer leaves. A mistake of ours in there becomes a 500 and is kept in `crashes`, because a client
that retries would hide it.
"""

import threading
import traceback
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import Protocol

from cloudcpt.fake.calls import CallLog
from cloudcpt.fake.faults import Fault, FaultKind, Faults, flipped
from cloudcpt.fake.http import Answer, ConnectionDropped, LoopbackServer, ReadBody, Request

CUT_REQUEST_BYTES = 1000
"""How much of a body arrives before the connection is cut, at most half of it."""


@dataclass(kw_only=True, eq=False)
class Refusal(Exception):
    """A service says no.

    Args:
        status: HTTP status.
        code: The service's own code, such as `ValidationException`.
        message: The service's text.
        extra: Further fields of the error answer, by name.
        headers: Further headers of the error answer.
    """

    status: int
    code: str
    message: str
    extra: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


class Service(Protocol):
    """One AWS service."""

    name: str
    """As the endpoint variables call it: `AWS_ENDPOINT_URL_<NAME>`, with underscores."""

    def operation(self, head: Request) -> str:
        """Name the API operation of a request; empty when only the body tells."""

    def action(self, operation: str) -> str:
        """Name the IAM action that an operation needs; empty when it needs none."""

    def answer(self, request: Request) -> Answer:
        """Act and answer.

        Raises:
            Refusal: the service says no.
        """

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal in the service's protocol."""

    def reset(self) -> None:
        """Forget everything that calls have changed."""


class Front:
    """A service on a port of its own.

    Args:
        service: Answers.
        denied: IAM actions that the caller may not do, such as `s3:PutObject`; read on every call.
        account_id: Of the caller.
        port: 0 for any free one.
        skew_s: How far the service's clock is ahead.
        before: Called before each request is acted on.
    """

    def __init__(
        self,
        service: Service,
        *,
        denied: Set[str] = frozenset(),
        account_id: str,
        port: int = 0,
        skew_s: Callable[[], float] = lambda: 0.0,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.service = service
        self.faults = Faults()
        self.calls = CallLog()
        self.crashes: list[str] = []
        self._denied = denied
        self._account_id = account_id
        self._before = before
        self._closing = threading.Event()
        self._server = LoopbackServer(self._serve, port=port, skew_s=skew_s)

    @property
    def url(self) -> str:
        """Give the endpoint URL."""
        return self._server.url

    def reset(self) -> None:
        """Forget calls, faults and whatever the service keeps."""
        self.service.reset()
        self.faults.clear()
        self.calls.clear()
        self.crashes.clear()

    def close(self) -> None:
        """End stalls, stop listening and end the open connections."""
        self._closing.set()
        self._server.close()

    def _serve(self, head: Request, read_body: ReadBody) -> Answer:
        number, operation = self.calls.start(), self.service.operation(head)
        fault = self.faults.next(operation) if operation else None
        if fault and fault.kind is FaultKind.CUT_REQUEST:
            most = min(CUT_REQUEST_BYTES, int(head.headers.get("content-length") or 0) // 2)
            body, is_whole = read_body(most)
        else:
            body, is_whole = read_body(None)
        request = replace(head, body=body, is_whole=is_whole)
        if not operation:
            operation = self.service.operation(request)
            fault = self.faults.next(operation)
        status: int | None = None
        try:
            answer = self._answer(operation, request, fault)
            status = answer.status
            return answer
        finally:
            name = fault.kind.value if fault else ""
            self.calls.end(
                number, service=self.service.name, operation=operation, request=request, status=status, fault=name
            )

    def _answer(self, operation: str, request: Request, fault: Fault | None) -> Answer:
        """Act as the fault allows.

        Raises:
            ConnectionDropped: there will be no answer.
        """
        if fault is None:
            return self._act(operation, request)
        if fault.kind is FaultKind.STALL:
            self._closing.wait(fault.seconds)
        if fault.kind is FaultKind.REFUSE:
            return self._error(fault)
        if fault.kind in (FaultKind.DROP_BEFORE, FaultKind.CUT_REQUEST):
            raise ConnectionDropped
        if fault.kind is FaultKind.FLIP_REQUEST:
            request = replace(request, body=flipped(request.body, fault.position))
        answer = self._act(operation, request)
        if fault.kind is FaultKind.DROP_AFTER:
            raise ConnectionDropped
        if fault.kind is FaultKind.REFUSE_AFTER:
            return self._error(fault)
        if fault.kind is FaultKind.FLIP_ANSWER:
            return replace(answer, body=flipped(answer.body, fault.position))
        if fault.kind is FaultKind.CUT_ANSWER:
            return replace(answer, cut_at=len(answer.body) // 2)
        return answer

    def _error(self, fault: Fault) -> Answer:
        return self.service.refuse(Refusal(status=fault.status, code=fault.code, message=fault.message))

    def _act(self, operation: str, request: Request) -> Answer:
        if not request.is_whole:
            raise ConnectionDropped
        try:
            self._before()
            self._permit(operation)
            return self.service.answer(request)
        except Refusal as refusal:
            return self.service.refuse(refusal)
        except Exception:  # noqa: BLE001 - whatever it is, it is our bug: it must reach the test, not a retry loop
            self.crashes.append(traceback.format_exc())
            return self.service.refuse(Refusal(status=500, code="InternalFailure", message="the fake has a bug"))

    def _permit(self, operation: str) -> None:
        action = self.service.action(operation)
        if action and action in self._denied:
            raise denied(action, self._account_id)


def denied(action: str, account_id: str) -> Refusal:
    """Word the refusal of a call for which the caller has no permission, as IAM does."""
    user = f"arn:aws:iam::{account_id}:user/fake"
    why = f"because no identity-based policy allows the {action} action"
    message = f"User: {user} is not authorized to perform: {action} {why}"
    return Refusal(status=403, code="AccessDenied", message=message)
