"""Services that moto plays well enough: requests are passed on, answers come back, faults and records are ours."""

import http.client
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.json_protocol import json_refusal, target_operation

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server", "expect"})
_PATIENCE_S = 60.0


class Moto:
    """Where moto listens.

    Args:
        url: Of its server.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = urlsplit(url).netloc

    def pass_on(self, request: Request, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request on and give moto's answer.

        Args:
            request: What the client sent.
            headers: What to send instead of the client's own headers.
        """
        sent = {name: value for name, value in (headers or request.headers).items() if name not in _HOP_BY_HOP}
        target = f"{request.path}?{request.query}" if request.query else request.path
        connection = http.client.HTTPConnection(self._address, timeout=_PATIENCE_S)
        try:
            connection.request(request.method, target, request.body, {**sent, "content-length": str(len(request.body))})
            answer = connection.getresponse()
            body = answer.read()
            kept = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            claimed = answer.getheader("content-length") if request.method == "HEAD" else None
            return Answer(status=answer.status, headers=kept, body=body, length=int(claimed) if claimed else None)
        finally:
            connection.close()


class JsonPassing:
    """A service with a JSON protocol that moto plays.

    Args:
        name: Of the service, as the endpoint variables call it.
        prefix: Of its IAM actions.
        moto: Answers.
    """

    def __init__(self, name: str, prefix: str, moto: Moto) -> None:
        self.name = name
        self._prefix = prefix
        self._moto = moto

    def operation(self, head: Request) -> str:
        """Read the target header."""
        return target_operation(head)

    def action(self, operation: str) -> str:
        """Name the action, which is called as the operation is."""
        return f"{self._prefix}:{operation}"

    def answer(self, request: Request) -> Answer:
        """Ask moto."""
        return self._moto.pass_on(request)

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as JSON."""
        return json_refusal(refusal)

    def reset(self) -> None:
        """Moto is reset as a whole."""


class QueryPassing:
    """A service with the query protocol that moto plays.

    Args:
        name: Of the service, as the endpoint variables call it.
        moto: Answers.
        free: Operations that nobody needs a permission for.
    """

    def __init__(self, name: str, moto: Moto, *, free: frozenset[str] = frozenset()) -> None:
        self.name = name
        self._moto = moto
        self._free = free

    def operation(self, head: Request) -> str:
        """Read `Action` from the form; the head alone does not tell."""
        return form(head).get("Action", "")

    def action(self, operation: str) -> str:
        """Name the action, which is called as the operation is."""
        return "" if operation in self._free else f"{self.name}:{operation}"

    def answer(self, request: Request) -> Answer:
        """Ask moto."""
        return self._moto.pass_on(request)

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as the query protocol does."""
        error = f"<Type>Sender</Type><Code>{escape(refusal.code)}</Code><Message>{escape(refusal.message)}</Message>"
        body = f"<ErrorResponse><Error>{error}</Error><RequestId>fake</RequestId></ErrorResponse>"
        return Answer(status=refusal.status, headers={"content-type": "text/xml"}, body=body.encode())

    def reset(self) -> None:
        """Moto is reset as a whole."""


def form(request: Request) -> dict[str, str]:
    """Read the parameters of a query-protocol call."""
    return {name: values[0] for name, values in parse_qs(request.body.decode(), keep_blank_values=True).items()}
