"""Hubs of models on loopback: what Hugging Face and ModelScope answer to the requests that fetch a model.

`FakeHuggingFace` is also believed by `huggingface_hub` itself, see `tests/hub/test_against_huggingface_hub.py`. Large
files are behind a redirect to a second server, as in reality, which must never see a token.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from cloudcpt.fake.http import Answer, LoopbackServer, ReadBody, Request

TOKEN = "hf_SecretOfTheUser"


def safetensors(seed: int, **shapes: list[int]) -> bytes:
    """Write a file of float32 tensors whose bytes depend on a seed."""
    header: dict[str, Any] = {}
    at = 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + hashlib.shake_128(bytes([seed])).digest(at)


CONFIG = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 16,
    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 1024, "eos_token_id": 0,
    "max_position_embeddings": 64,
}  # fmt: skip

TOKENIZER = json.dumps(
    {
        "version": "1.0",
        **dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder")),
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": {"<end>": 0, "<unk>": 1, "a": 2}, "unk_token": "<unk>"},
    }
).encode()

WEIGHT_MAP = {"model.embed_tokens.weight": "a.safetensors", "model.norm.weight": "b.safetensors"}

MODEL: dict[str, bytes] = {
    "config.json": json.dumps(CONFIG).encode(),
    "generation_config.json": b"{}",
    "tokenizer.json": TOKENIZER,
    "LICENSE": b"do what you like",
    "USE_POLICY.md": b"but nicely",
    "README.md": b"# A model",
    "a.safetensors": safetensors(1, **{"model.embed_tokens.weight": [1024, 256]}),
    "b.safetensors": safetensors(2, **{"model.norm.weight": [4096, 256]}),
    "model.safetensors.index.json": json.dumps({"weight_map": WEIGHT_MAP}).encode(),
}
"""What a job needs: two shards of 1 and 4 MiB and their companions."""

LEFT_OUT: dict[str, bytes] = {
    "consolidated.safetensors": b"the same weights again",
    "pytorch_model.bin": b"a pickle",
    "modeling_x.py": b"raise SystemExit",
    "original/params.json": b"{}",
    ".gitattributes": b"*.safetensors filter=lfs",
    "staged.json": b"{}",
    "picture.png": b"png",
}
"""What people publish beside it."""


@dataclass
class Repo:
    """One published model.

    Args:
        files: Their content by name, with `/`.
        gated: Given only to whoever has the token.
        private: Shown only to whoever has the token.
        revisions: Names of this state beside its commit.
    """

    files: dict[str, bytes]
    gated: bool = False
    private: bool = False
    revisions: tuple[str, ...] = ("main", "master", "v1.0", "refs/pr/1")

    @property
    def commit(self) -> str:
        """Name the state by its content."""
        state = hashlib.sha1()
        for name, body in sorted(self.files.items()):
            state.update(b"%s\0%d\0%s" % (name.encode(), len(body), body))
        return state.hexdigest()


OnTheWay = Callable[[Request, Answer], Answer]
"""Does something to an answer before the client sees it."""


@dataclass
class FakeHub:
    """What both hubs have in common.

    Args:
        repos: The models.
        on_the_way: Changes answers.
        token: The one that is accepted.
        knows_ranges: Says whether parts of files are served.
        seen: Every request, in the order of arrival.
    """

    repos: dict[str, Repo] = field(default_factory=lambda: {"org/model": Repo({**MODEL, **LEFT_OUT})})
    on_the_way: OnTheWay = lambda _, answer: answer
    token: str = TOKEN
    knows_ranges: bool = True
    seen: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = LoopbackServer(self._serve)
        self.url = self._server.url

    def close(self) -> None:
        self._server.close()

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def downloads(self, name: str) -> list[str]:
        """Give the ranges of a file that were asked for, in order."""
        return [request.headers.get("range", "") for request in self.seen if self.named(request) == name]

    def named(self, request: Request) -> str:
        """Name the file that a request asks this server for; empty when it asks for something else."""
        raise NotImplementedError

    def content(self, request: Request, body: bytes, **headers: str) -> Answer:
        """Serve a file, or the part of it that is asked for."""
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")) if self.knows_ranges else None
        if not found:
            return Answer(headers={"Content-Type": "application/octet-stream", **headers}, body=body)
        start, stop = int(found[1]), min(int(found[2] or len(body)) + 1, len(body))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"
        return Answer(status=206, headers=headers, body=body[start:stop])

    def _serve(self, request: Request, _: ReadBody) -> Answer:
        self.seen.append(request)
        return self.on_the_way(request, self.answer(request))


def as_json(document: object, status: int = 200, **headers: str) -> Answer:
    return Answer(
        status=status, headers={"Content-Type": "application/json", **headers}, body=json.dumps(document).encode()
    )


class FakeHuggingFace(FakeHub):
    """Hugging Face: `/api/models/REPO[/revision/REV]`, `/REPO/resolve/REV/FILE`, and a store behind redirects."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.store_seen: list[Request] = []
        self._store = LoopbackServer(self._serve_store)

    def close(self) -> None:
        super().close()
        self._store.close()

    def answer(self, request: Request) -> Answer:
        path = unquote(request.path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            return self._described(request, found[1], found[2] or "main")
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolved(request, found[1], found[2], found[3])
        return as_json({"error": "Sorry, we can't find the page you are looking for."}, 404)

    def named(self, request: Request) -> str:
        found = re.fullmatch(r"/[^/]+/[^/]+/resolve/[^/]+/(.+)", unquote(request.path))
        return found[1] if found else ""

    def _described(self, request: Request, name: str, revision: str) -> Answer:
        if refusal := self._refused(request, name, revision, to_see=True):
            return refusal
        repo = self.repos[name]
        siblings = [self._sibling(file, body) for file, body in repo.files.items()]
        if "blobs=true" not in request.query.lower():
            siblings = [{"rfilename": row["rfilename"]} for row in siblings]
        whole = {"_id": "1", "id": name, "sha": repo.commit, "gated": repo.gated and "manual", "private": repo.private}
        return as_json({**whole, "siblings": siblings, "tags": [], "downloads": 1, "likes": 1})

    def _sibling(self, name: str, body: bytes) -> dict[str, Any]:
        row: dict[str, Any] = {"rfilename": name, "size": len(body), "blobId": git_hash(body)}
        if is_large(name):
            row["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 134}
            row["blobId"] = git_hash(b"version https://git-lfs.github.com/spec/v1\n")
        return row

    def _resolved(self, request: Request, name: str, revision: str, file: str) -> Answer:
        if refusal := self._refused(request, name, revision, to_see=False):
            return refusal
        repo = self.repos[name]
        if file not in repo.files:
            return as_json({"error": "Entry not found"}, 404, **{"X-Error-Code": "EntryNotFound"})
        body = repo.files[file]
        etag = hashlib.sha256(body).hexdigest() if is_large(file) else git_hash(body)
        told = {"X-Repo-Commit": repo.commit, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if not is_large(file):
            return self.content(request, body, **told)
        told |= {"X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(len(body))}
        return Answer(status=302, headers={**told, "Location": f"{self._store.url}/{name}/{file}?Signature=secret"})

    def _refused(self, request: Request, name: str, revision: str, *, to_see: bool) -> Answer | None:
        token = request.headers.get("authorization", "")
        if token and token != f"Bearer {self.token}":
            return as_json({"error": "Invalid credentials in Authorization header"}, 401)
        repo = self.repos.get(name)
        if repo is None or (repo.private and not token):
            status = 404 if token else 401
            return as_json({"error": "Repository not found"}, status, **{"X-Error-Code": "RepoNotFound"})
        if revision not in (*repo.revisions, repo.commit):
            return as_json({"error": f"Invalid rev id: {revision}"}, 404, **{"X-Error-Code": "RevisionNotFound"})
        if repo.gated and not to_see and not token:
            return as_json({"error": "Access to model is restricted"}, 401, **{"X-Error-Code": "GatedRepo"})
        return None

    def _serve_store(self, request: Request, _: ReadBody) -> Answer:
        self.store_seen.append(request)
        _, organisation, model, file = request.path.split("/", 3)
        answer = self.content(request, self.repos[f"{organisation}/{model}"].files[file])
        return self.on_the_way(request, answer)


class FakeModelScope(FakeHub):
    """ModelScope: `/api/v1/models/REPO`, `.../repo/files` and `.../repo`."""

    def answer(self, request: Request) -> Answer:
        found = re.fullmatch(r"/api/v1/models/([^/]+/[^/]+?)(/repo/files|/repo)?", request.path)
        if not found or found[1] not in self.repos:
            return self._failed(10010205001, "model not found", 404)
        repo, what = self.repos[found[1]], found[2]
        if repo.gated and request.headers.get("cookie") != f"m_session_id={self.token}":
            return self._failed(10010205003, "no permission", 403)
        if what is None:
            return as_json({"Code": 200, "Success": True, "Data": {"Name": found[1]}})
        revision = request.parameter("Revision")
        if revision not in (*repo.revisions, repo.commit):
            return self._failed(10010206001, "revision not found", 404)
        if what == "/repo":
            return self.content(request, repo.files[request.parameter("FilePath") or ""])
        rows = [self._row(name, body) for name, body in repo.files.items() if "/" not in name]
        folders = [{"Name": "original", "Path": "original", "Type": "tree", "Size": 0, "Sha256": ""}]
        return as_json({"Code": 200, "Success": True, "Message": "success", "Data": {"Files": folders + rows}})

    def named(self, request: Request) -> str:
        return request.parameter("FilePath") or "" if request.path.endswith("/repo") else ""

    def _row(self, name: str, body: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(body).hexdigest()
        return {
            "Name": name,
            "Path": name,
            "Type": "blob",
            "Size": len(body),
            "Sha256": digest,
            "IsLFS": is_large(name),
        }

    def _failed(self, code: int, message: str, status: int) -> Answer:
        return as_json({"Code": code, "Success": False, "Message": message, "Data": None}, status)


def is_large(name: str) -> bool:
    """Tell what the hub keeps in its store from what git keeps."""
    return name.endswith((".safetensors", ".bin", "tokenizer.json"))


def git_hash(body: bytes) -> str:
    """Hash like `git hash-object`."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


def flipped(answer: Answer) -> Answer:
    """Change one bit in the middle of a body."""
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 1
    return replace(answer, body=bytes(body))
