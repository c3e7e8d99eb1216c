"""Hugging Face, or a mirror of it, as a publisher of models.

    GET /api/models/REPO/revision/REVISION?blobs=true   the commit, and name, size and hashes of every file
    GET /REPO/resolve/COMMIT/FILE                       its bytes, mostly by way of a redirect to a store

A large file is known by its SHA-256, a small one by the hash that git gives it; both are verified. After the first
answer everything is asked for by commit, so that nobody can change a model while it comes.

Source: huggingface_hub 2.4.0, `hf_api.HfApi.model_info`, `constants`, `utils/_http.hf_raise_for_status`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, UsageProblem, error
from cloudcpt.hub.connection import Connection, Refusal
from cloudcpt.jobs.published import Publication, PublishedFile

ENDPOINT = "https://huggingface.co"
NEWEST = "main"

_SIGN_IN = "sign in with `hf auth login`, or set $HF_TOKEN"


class HuggingFace:
    """One endpoint that answers like Hugging Face; see `cloudcpt.jobs.published.Publisher`.

    Args:
        endpoint: Its address, without a `/` at its end.
        token: Of the user; empty when there is none, or none for this endpoint.
        sleep: Waits so many seconds.
    """

    def __init__(self, endpoint: str, *, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        secrets = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = Connection(endpoint, secrets=secrets, sleep=sleep)
        self._endpoint = endpoint
        self._has_token = bool(token)

    def find(self, repo: str, revision: str) -> Publication:
        """List what a model consists of; see `Publisher.find`."""
        wanted = revision or NEWEST
        path = f"/api/models/{repo}/revision/{quote(wanted, safe='')}?blobs=true"
        answer = self._connection.document(path, lambda refusal: self._meaning(refusal, repo, wanted))
        try:
            commit, name = str(answer["sha"]), str(answer["id"])
            files = tuple(_file(row) for row in answer["siblings"] if "/" not in row["rfilename"])
        except (TypeError, KeyError, AttributeError, ValueError) as exc:
            message = f"`{self._endpoint}` does not say which files `{repo}` has, or how large they are"
            raise ServiceRefused(error("CPT736", message, hint="check `--endpoint`")) from exc
        return Publication(
            source="hub", endpoint=self._endpoint, repo=name, revision=wanted, commit=commit, files=files
        )

    def stream(self, publication: Publication, file: PublishedFile, start: int, stop: int) -> Iterator[bytes]:
        """Give the bytes of a file; see `Publisher.stream`."""
        repo, revision = publication.repo, publication.revision
        path = f"/{repo}/resolve/{publication.commit}/{quote(file.name)}"
        return self._connection.stream(path, start, stop, lambda refusal: self._meaning(refusal, repo, revision))

    def _meaning(self, refusal: Refusal, repo: str, revision: str) -> CloudcptError:
        """Turn a refusal into what the user can do about it."""
        kind, reason = refusal.headers.get("x-error-code", ""), refusal.reason
        if kind == "GatedRepo":
            return self._gated(repo)
        if kind == "RevisionNotFound":
            hint = "a revision is a branch, a tag or a commit; without `--revision` it is the newest state"
            return UsageProblem(error("CPT733", f"`{repo}` has no revision `{revision}`", hint=hint))
        if refusal.status == 401 and self._has_token:
            hint = "sign in again with `hf auth login`, or correct $HF_TOKEN"
            return SetupError(error("CPT732", f"`{self._endpoint}` does not accept the token: {reason}", hint=hint))
        if kind == "RepoNotFound" or refusal.status in (401, 404):  # 401: it does not tell strangers what exists
            return self._not_found(repo)
        message = f"`{self._endpoint}` refuses `{repo}` (HTTP {refusal.status}): {reason}"
        if refusal.status == 403:
            return SetupError(error("CPT732", message, hint="a fine-grained token needs read access to this model"))
        return ServiceRefused(error("CPT736", message))

    def _gated(self, repo: str) -> SetupError:
        then = "the token must be of the account that did" if self._has_token else f"then {_SIGN_IN}"
        hint = f"accept the licence at {ENDPOINT}/{repo}; {then}"
        return SetupError(error("CPT731", f"`{repo}` is for those only who have accepted its licence", hint=hint))

    def _not_found(self, repo: str) -> UsageProblem:
        private = "" if self._has_token else f"; for a private one {_SIGN_IN}"
        hint = f"look the name up at {ENDPOINT}/models{private}"
        return UsageProblem(error("CPT730", f"there is no model `{repo}` at `{self._endpoint}`", hint=hint))


def _file(row: Mapping[str, Any]) -> PublishedFile:
    large, blob = row.get("lfs") or {}, str(row.get("blobId") or "")
    sha256 = str(large.get("sha256") or "")
    return PublishedFile(
        name=str(row["rfilename"]),
        size_bytes=int(large["size"] if large else row["size"]),
        mark=sha256 or blob,
        sha256=sha256,
        git_sha1="" if large else blob,  # of a large file it is the hash of a pointer, not of the content
    )
