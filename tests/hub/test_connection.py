"""Bytes arrive whatever happens on the way, or a sentence says why they do not."""

import base64
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, TransientError, UsageProblem, error
from cloudcpt.fake.http import Answer, LoopbackServer, ReadBody, Request
from cloudcpt.hub.connection import BREAKS, TRIES, Connection, Refusal

BODY = bytes(range(256)) * 5000
SIZE = len(BODY)


class Server:
    """Answers with `BODY`, or with whatever a test has put in front."""

    def __init__(self) -> None:
        self.first: list[Answer] = []
        self.always: Callable[[Request], Answer] = self.part
        self.seen: list[Request] = []
        self._server = LoopbackServer(self._serve)
        self.url = self._server.url
        self.close = self._server.close

    def part(self, request: Request) -> Answer:
        start, stop = (int(end) for end in request.headers["range"].removeprefix("bytes=").split("-"))
        body = BODY[start : stop + 1]
        return Answer(status=206, headers={"Content-Range": f"bytes {start}-{stop}/{SIZE}"}, body=body)

    def _serve(self, request: Request, _: ReadBody) -> Answer:
        self.seen.append(request)
        return self.first.pop(0) if self.first else self.always(request)

    @property
    def ranges(self) -> list[str]:
        return [request.headers["range"].removeprefix("bytes=") for request in self.seen]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def connection(server: Server, pauses: list[float]) -> Connection:
    return Connection(server.url, secrets={}, sleep=pauses.append)


def refused(refusal: Refusal) -> CloudcptError:
    return UsageProblem(error("CPT730", f"{refusal.status}: {refusal.reason}"))


def read(connection: Connection, start: int = 0, stop: int = SIZE) -> bytes:
    return b"".join(connection.stream("/file", start, stop, refused))


def failure(action: Callable[[], object]) -> CloudcptError:
    with pytest.raises(CloudcptError) as caught:
        action()
    return caught.value


@pytest.mark.parametrize(("start", "stop"), [(0, SIZE), (0, 1), (7, 8), (SIZE - 1, SIZE), (1000, 900_000)])
def test_a_stretch_of_a_file_is_exactly_that(connection: Connection, start: int, stop: int) -> None:
    assert read(connection, start, stop) == BODY[start:stop]


def test_nothing_is_asked_for_nothing(connection: Connection, server: Server) -> None:
    assert read(connection, 5, 5) == b""
    assert server.seen == []


def test_a_broken_answer_is_gone_on_with_at_the_byte_where_it_broke(connection: Connection, server: Server) -> None:
    server.always = lambda request: replace(server.part(request), cut_at=300_000)
    assert read(connection) == BODY
    starts = [int(ranges.split("-")[0]) for ranges in server.ranges]
    assert starts == sorted(set(starts))
    assert len(starts) > 2
    assert {ranges.split("-")[1] for ranges in server.ranges} == {str(SIZE - 1)}


def test_answers_without_a_byte_are_given_up_after_a_few(connection: Connection, server: Server) -> None:
    server.always = lambda request: replace(server.part(request), cut_at=0)
    given_up = failure(lambda: read(connection))
    assert isinstance(given_up, TransientError)
    assert given_up.diagnostics[0].code == "CPT735"
    assert len(server.seen) == BREAKS


def test_an_answer_that_ends_early_without_an_error_is_gone_on_with(connection: Connection, server: Server) -> None:
    server.first = [Answer(status=206, body=BODY[:1000])]
    assert read(connection) == BODY
    assert server.ranges[1] == f"1000-{SIZE - 1}"


def test_a_server_without_ranges_gives_the_same_bytes(connection: Connection, server: Server) -> None:
    server.always = lambda _: Answer(body=BODY)
    assert read(connection, 123_456, 1_200_000) == BODY[123_456:1_200_000]
    assert read(connection) == BODY


def test_more_than_was_asked_for_is_not_taken(connection: Connection, server: Server) -> None:
    server.always = lambda _: Answer(status=206, body=BODY)
    assert read(connection, 0, 1000) == BODY[:1000]


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry-After": "7"}, 7),
        ({"RateLimit": '"resolvers";r=0;t=41', "Retry-After": "7"}, 42),
        ({}, 1),
        ({"Retry-After": "soon"}, 1),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_asks_for_a_pause_gets_it(
    connection: Connection, server: Server, pauses: list[float], headers: dict[str, str], pause: float, status: int
) -> None:
    server.first = [Answer(status=status, headers=headers)]
    assert read(connection) == BODY
    assert pauses == [pause]


def test_a_date_is_a_pause_too(connection: Connection, server: Server, pauses: list[float]) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    server.first = [Answer(status=429, headers={"Retry-After": format_datetime(soon, usegmt=True)})]
    assert read(connection) == BODY
    assert 25 < pauses[0] <= 30


def test_nobody_waits_for_an_hour(connection: Connection, server: Server, pauses: list[float]) -> None:
    server.always = lambda _: Answer(status=429, headers={"Retry-After": "3600"})
    refusal = failure(lambda: read(connection))
    assert isinstance(refusal, TransientError)
    assert (refusal.diagnostics[0].code, refusal.diagnostics[0].hint) == (
        "CPT734",
        "try again in 3600 s; who is signed in may ask more often",
    )
    assert pauses == []


@pytest.mark.parametrize(("status", "code"), [(429, "CPT734"), (500, "CPT735"), (503, "CPT735"), (408, "CPT735")])
def test_trouble_that_does_not_pass_ends_after_growing_pauses(
    connection: Connection, server: Server, pauses: list[float], status: int, code: str
) -> None:
    server.always = lambda _: Answer(status=status, body=b'{"error": "overloaded"}')
    refusal = failure(lambda: read(connection))
    assert (type(refusal), refusal.diagnostics[0].code) == (TransientError, code)
    assert pauses == [1, 2, 4, 8]
    assert len(server.seen) == TRIES


def test_a_refusal_is_not_asked_again_and_its_reason_is_read(connection: Connection, server: Server) -> None:
    for body, reason in (
        (b'{"error": "no"}', "no"),
        (b'{"Message": "not so"}', "not so"),
        (b"<html>", "no reason given"),
        (b"[1]", "no reason given"),
        (b'{"error": 5}', "no reason given"),
    ):
        server.always = lambda _, body=body: Answer(status=404, body=body)  # type: ignore[misc]
        assert failure(lambda: read(connection)).diagnostics[0].message == f"404: {reason}"
    assert len(server.seen) == 5


def test_a_machine_that_is_not_there_is_said_without_the_path(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    unreachable = Connection(f"http://127.0.0.1:{port}", secrets={}, sleep=pauses.append)
    refusal = failure(lambda: unreachable.document("/x?Signature=secret", refused))
    assert isinstance(refusal, TransientError)
    assert "refused" in refusal.diagnostics[0].message
    assert "secret" not in str(refusal)
    assert pauses == [1]


def test_a_machine_that_was_there_a_moment_ago_is_waited_for_longer(pauses: list[float]) -> None:
    gone = Server()
    connection = Connection(gone.url, secrets={}, sleep=pauses.append)
    assert read(connection) == BODY
    gone.close()
    assert isinstance(failure(lambda: read(connection)), TransientError)
    assert pauses == [1, 2, 4, 8]


def test_a_document_is_json_or_no_document(connection: Connection, server: Server) -> None:
    server.always = lambda _: Answer(body=b'{"a": [1]}')
    assert connection.document("/x", refused) == {"a": [1]}
    for body in (b"<html>sign in to this network</html>", b"", b"[" * 100_000):
        server.always = lambda _, body=body: Answer(body=body)  # type: ignore[misc]
        refusal = failure(lambda: connection.document("/x", refused))
        assert (type(refusal), refusal.diagnostics[0].code) == (ServiceRefused, "CPT736")


def test_redirects_in_a_circle_end(connection: Connection, server: Server) -> None:
    server.always = lambda _: Answer(status=302, headers={"Location": "/file"})
    assert failure(lambda: read(connection)).diagnostics[0].code == "CPT735"


def test_a_secret_stays_with_its_host_when_a_redirect_leads_elsewhere(pauses: list[float]) -> None:
    store, front = Server(), Server()
    front.always = lambda _: Answer(status=302, headers={"Location": f"{store.url}/file"})
    secrets = {"Authorization": "Bearer secret", "Cookie": "m_session_id=secret"}
    try:
        assert read(Connection(front.url, secrets=secrets, sleep=pauses.append)) == BODY
    finally:
        store.close()
        front.close()
    assert {name: front.seen[0].headers[name.lower()] for name in secrets} == secrets
    assert not {"authorization", "cookie"} & store.seen[0].headers.keys()


def test_a_proxy_of_the_environment_is_used_with_its_password(
    server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.replace("//", "//user:word@"))
    monkeypatch.setenv("no_proxy", "other.example")
    assert read(Connection("http://hub.example", secrets={}, sleep=pauses.append)) == BODY
    assert server.seen[0].path == "http://hub.example/file"
    credentials = server.seen[0].headers["proxy-authorization"].removeprefix("Basic ")
    assert base64.b64decode(credentials) == b"user:word"


def test_a_host_that_needs_no_proxy_gets_none(
    server: Server, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert read(Connection(server.url, secrets={}, sleep=pauses.append)) == BODY


def test_a_proxy_that_cannot_be_used_is_said(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    refusal = failure(lambda: Connection("http://hub.example", secrets={}, sleep=pauses.append))
    assert (type(refusal), refusal.diagnostics[0].code) == (SetupError, "CPT735")
    assert "`socks5`" in refusal.diagnostics[0].message


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 that nobody vouches for, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    certificate = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    kind, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, none))
    return paths


def test_a_certificate_that_nobody_vouches_for_is_no_passing_trouble(tmp_path: Path, pauses: list[float]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            plain, _ = listener.accept()
            try:
                context.wrap_socket(plain, server_side=True).close()
            except OSError:
                plain.close()

        thread = threading.Thread(target=greet)
        thread.start()
        connection = Connection(f"https://localhost:{listener.getsockname()[1]}", secrets={}, sleep=pauses.append)
        refusal = failure(lambda: connection.document("/x", refused))
        thread.join()
    assert (type(refusal), refusal.diagnostics[0].code) == (SetupError, "CPT735")
    assert "SSL_CERT_FILE" in str(refusal.diagnostics[0].hint)
    assert pauses == []


def test_every_error_carries_its_cause(connection: Connection, server: Server) -> None:
    server.always = lambda _: Answer(body=b"<html>")
    cause: Any = failure(lambda: connection.document("/x", refused)).__cause__
    assert isinstance(cause, ValueError)
