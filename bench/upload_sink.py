"""Where the uploads of bench/upload.py go: S3's answers to an upload, and no memory of the bytes.

    python bench/upload_sink.py [CERTIFICATE]

It prints its port and serves until it is killed; with a certificate over TLS.
"""

import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

CHECKSUM = "x-amz-checksum-crc64nvme"
SIZE = "x-amz-mp-object-size"
BLOCK = 1024**2


class Sink(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    rbufsize = BLOCK
    disable_nagle_algorithm = True
    objects: ClassVar[dict[str, tuple[str, str]]] = {}  # size and checksum as they were announced
    buffers = threading.local()

    def do_HEAD(self) -> None:
        """Describe an object that was announced with size and checksum."""
        found = self.objects.get(urlsplit(self.path).path)
        if found is None:
            self._answer(404)
        else:
            self._answer(200, headers={"Content-Length": found[0], CHECKSUM: found[1]})

    def do_GET(self) -> None:
        """Say that no upload is under way."""
        self._answer(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")

    def do_POST(self) -> None:
        """Begin or complete an upload."""
        self._drop_body()
        url = urlsplit(self.path)
        if "uploads" in parse_qs(url.query, keep_blank_values=True):
            self._answer(200, _document("InitiateMultipartUploadResult", url.path, "<UploadId>upload</UploadId>"))
            return
        self.objects[url.path] = (self.headers.get(SIZE, "0"), self.headers.get(CHECKSUM, ""))
        self._answer(200, _document("CompleteMultipartUploadResult", url.path, "<ETag>&quot;e&quot;</ETag>"))

    def do_PUT(self) -> None:
        """Take a part or a small object."""
        self._drop_body()
        echo = {name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-checksum-")}
        self._answer(200, headers={"ETag": '"e"', **echo})

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _drop_body(self) -> None:
        if self.headers.get("Transfer-Encoding") != "chunked":
            self._drop(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline(), 16):
            self._drop(size + len(b"\r\n"))
        while self.rfile.readline().strip():
            pass

    def _drop(self, left: int) -> None:
        buffer = self.buffers.__dict__.setdefault("block", memoryview(bytearray(BLOCK)))
        while left > 0 and (count := self.rfile.readinto(buffer[: min(left, BLOCK)])):
            left -= count

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _document(root: str, path: str, inside: str) -> bytes:
    _, bucket, key = path.split("/", 2)
    head = f"<Bucket>{bucket}</Bucket><Key>{key}</Key>"
    return (
        f'<?xml version="1.0"?><{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{head}{inside}</{root}>'.encode()
    )


class Server(ThreadingHTTPServer):
    """One thread per connection; TLS shakes hands there, not in the thread that accepts."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, certificate: str | None) -> None:
        super().__init__(("127.0.0.1", 0), Sink)
        if certificate is None:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, Path(certificate).with_suffix(".key"))
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, *_: object) -> None:
        """Let a client hang up as it likes."""


if __name__ == "__main__":
    server = Server(sys.argv[1] if len(sys.argv) > 1 else None)
    print(server.server_address[1], flush=True)
    server.serve_forever()
