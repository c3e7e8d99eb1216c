"""HTTP/1.1 on loopback: a request read when it is wanted, an answer written, connections broken on purpose.

One thread per connection, connections are kept alive, `Expect: 100-continue` is honoured. A client that dies while it
sends is seen: its request has `is_whole` False and must not be acted on.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client sent.

    Args:
        method: In upper case.
        path: As sent, percent-encoded, without the query.
        query: As sent, without the question mark.
        headers: By lower-case name.
        body: Without HTTP's own chunking; other encodings are still there.
        is_whole: False when the connection ended before the body did.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = True

    def parameter(self, name: str) -> str | None:
        """Give a query parameter, decoded; None when it is not there."""
        values = parse_qs(self.query, keep_blank_values=True).get(name)
        return values[0] if values else None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the client gets.

    Args:
        status: HTTP status.
        headers: Names as they are sent; length and date are added.
        body: Sent unless the request was a HEAD.
        length: The Content-Length to claim instead of the body's own: a HEAD describes a body that is not sent.
        cut_at: Send only so many bytes of the body, then break the connection.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    cut_at: int | None = None


class ConnectionDropped(Exception):
    """Raised instead of answering: the client sees a reset and cannot know what was done."""


ReadBody = Callable[[int | None], tuple[bytes, bool]]
"""Reads the body, or at most so many bytes of it; gives it and whether that is all of it."""

Serve = Callable[[Request, ReadBody], Answer]
"""Answers a request whose body has not been read; called from many threads."""


class LoopbackServer:
    """One port on loopback.

    Args:
        serve: Answers a request.
        port: 0 for any free one.
        skew_s: How far the server's clock, which the `Date` header shows, is ahead of ours.
    """

    def __init__(self, serve: Serve, *, port: int = 0, skew_s: Callable[[], float] = lambda: 0.0) -> None:
        self._server = _Server(serve, skew_s, port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Give the endpoint URL."""
        return f"http://{LOOPBACK}:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening and end the open connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._server.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, serve: Serve, skew_s: Callable[[], float], port: int) -> None:
        self.serve, self.skew_s = serve, skew_s
        self.connections: set[socket.socket] = set()
        super().__init__((LOOPBACK, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is what half of the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        """Say nothing: the call log has it all."""

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        head = Request(method=self.command, path=path, query=query, headers=headers)
        try:
            self._write(self.server.serve(head, self._read_body))
        except ConnectionDropped:
            self._reset()

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve  # noqa: N815 - names that the base class looks for

    def _read_body(self, most: int | None) -> tuple[bytes, bool]:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body, is_whole = self._read_chunks(most)
        else:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length if most is None else min(most, length))
            is_whole = len(body) == length
        if not is_whole:
            self.close_connection = True
        return body, is_whole

    def _read_chunks(self, most: int | None) -> tuple[bytes, bool]:
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0] or b"-1", 16):
            chunk = self.rfile.read(size) if size > 0 else b""
            body += chunk
            if len(chunk) != size or not self.rfile.readline() or (most is not None and len(body) >= most):
                return bytes(body), False
        while self.rfile.readline() not in (b"\r\n", b"\n", b""):
            continue  # trailers of HTTP itself; those of S3 travel inside the body
        return bytes(body), True

    def _write(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
        self.send_header("Date", formatdate(time.time() + self.server.skew_s(), usegmt=True))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.cut_at])
        if answer.cut_at is not None:
            self._reset()

    def _reset(self) -> None:
        """End with RST instead of FIN, as a dying machine or a firewall does."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()  # the socket itself closes with the streams on it, before anybody sends a FIN
