"""A container registry on loopback: enough of the distribution protocol for an engine to push to it and pull from it.

Source: OCI Distribution Specification 1.1, sections "Push" and "Pull".
"""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

TAKEN = (
    "The image tag '{tag}' already exists in the '{name}' repository and cannot be overwritten "
    "because the tag is immutable."
)
"""What ECR answers, as `TAG_INVALID`."""


class Registry(ThreadingHTTPServer):
    """Blobs and manifests in memory.

    Args:
        password: Of the user `AWS`; anybody may do anything when it is empty.
        is_immutable: A tag stays where it is.
    """

    daemon_threads = True

    def __init__(self, *, password: str = "", is_immutable: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.password, self.is_immutable = password, is_immutable
        self.blobs: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}

    @property
    def name(self) -> str:
        """Give host and port, as images of it begin."""
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: Any) -> None:
        """An engine that has heard enough hangs up; that is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, *_: Any) -> None:
        pass

    def _serve(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        expected = "Basic " + base64.b64encode(f"AWS:{self.server.password}".encode()).decode()
        if self.server.password and self.headers.get("Authorization") != expected:
            return self._refuse(401, "UNAUTHORIZED", "Not Authorized", **{"WWW-Authenticate": 'Basic realm="here"'})
        path = urlsplit(self.path).path
        if path == "/v2/":
            return self._answer(200)
        if found := re.fullmatch(r"/v2/(.+)/blobs/uploads/([^/]*)", path):
            return self._upload(*found.groups())
        if found := re.fullmatch(r"/v2/(.+)/blobs/([^/]+)", path):
            content = self.server.blobs.get(found[2])
            return self._refuse(404, "BLOB_UNKNOWN", "no such blob") if content is None else self._answer(200, content)
        if found := re.fullmatch(r"/v2/(.+)/manifests/([^/]+)", path):
            return self._put(*found.groups()) if self.command == "PUT" else self._manifest(*found.groups())
        return self._refuse(404, "NAME_UNKNOWN", "no such place")

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = _serve  # noqa: N815 - names that the base class looks for

    def _upload(self, name: str, upload: str) -> None:
        if self.command == "POST":
            upload = str(len(self.server.uploads))
            self.server.uploads[upload] = bytearray()
        content = self.server.uploads[upload]
        content += self._chunked() if self.headers.get("Transfer-Encoding") == "chunked" else self._body
        place = {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": f"0-{max(len(content) - 1, 0)}"}
        if self.command != "PUT":
            return self._answer(202, **place)
        (digest,) = parse_qs(urlsplit(self.path).query)["digest"]
        if digest != _digest(bytes(content)):
            return self._refuse(400, "DIGEST_INVALID", "other bytes arrived")
        self.server.blobs[digest] = bytes(content)
        return self._answer(201, **{"Docker-Content-Digest": digest})

    def _chunked(self) -> bytes:
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _put(self, name: str, tag: str) -> None:
        digest = _digest(self._body)
        known = self.server.manifests.get((name, tag))
        if self.server.is_immutable and known is not None:
            return self._refuse(400, "TAG_INVALID", TAKEN.format(tag=tag, name=name))
        for reference in (tag, digest):
            self.server.manifests[name, reference] = (self.headers["Content-Type"], self._body)
        return self._answer(201, **{"Docker-Content-Digest": digest})

    def _manifest(self, name: str, reference: str) -> None:
        if (name, reference) not in self.server.manifests:
            return self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        kind, content = self.server.manifests[name, reference]
        return self._answer(200, content, **{"Content-Type": kind, "Docker-Content-Digest": _digest(content)})

    def _refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        self._answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), **headers)

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()
