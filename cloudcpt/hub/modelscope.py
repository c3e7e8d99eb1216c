"""ModelScope as a publisher of models, for where Hugging Face is out of reach.

    GET /api/v1/models/REPO/repo/files?Revision=...            name, size and SHA-256 of the files
    GET /api/v1/models/REPO/repo?Revision=...&FilePath=...     the bytes of one

It does not say which commit a branch stands for. The SHA-256 of every file pins the content all the same: a file that
changes while the model comes is refused as damaged.

Source: modelscope-hub 0.5.1, `_legacy_api.LegacyClient` and `errors`: paths, fields, and how a token is sent. Written
from that code alone; the site was not in reach from where this was made.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, UsageProblem, error
from cloudcpt.hub.connection import Connection, Refusal
from cloudcpt.jobs.published import Publication, PublishedFile

ENDPOINT = "https://modelscope.cn"
NEWEST = "master"

_COMMIT = re.compile(r"[0-9a-f]{40}")


class ModelScope:
    """One endpoint that answers like ModelScope; see `cloudcpt.jobs.published.Publisher`.

    Args:
        endpoint: Its address, without a `/` at its end.
        token: Of the user; empty when there is none.
        sleep: Waits so many seconds.
    """

    def __init__(self, endpoint: str, *, token: str, sleep: Callable[[float], None] = time.sleep) -> None:
        # Older parts of the site know the token as a cookie, newer ones as a header.
        secrets = {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
        self._connection = Connection(endpoint, secrets=secrets, sleep=sleep)
        self._endpoint = endpoint

    def find(self, repo: str, revision: str) -> Publication:
        """List what a model consists of; see `Publisher.find`."""
        wanted = revision or NEWEST
        query = urlencode({"Revision": wanted, "Recursive": "False"})
        path = f"/api/v1/models/{repo}/repo/files?{query}"
        answer = self._connection.document(path, lambda refusal: self._meaning(refusal, repo, wanted))
        try:
            if (code := int(answer.get("Code", 200))) != 200:  # some refusals come as a success
                raise self._meaning(Refusal(status=code, headers={}, text=json.dumps(answer)), repo, wanted)
            rows = [row for row in answer["Data"]["Files"] if row.get("Type") != "tree"]
            files = tuple(_file(row) for row in rows if "/" not in row["Path"])
        except (TypeError, KeyError, AttributeError, ValueError) as exc:
            message = f"`{self._endpoint}` does not say which files `{repo}` has, or how large they are"
            raise ServiceRefused(error("CPT736", message, hint="check `--endpoint`")) from exc
        commit = wanted if _COMMIT.fullmatch(wanted) else ""
        return Publication(
            source="modelscope", endpoint=self._endpoint, repo=repo, revision=wanted, commit=commit, files=files
        )

    def stream(self, publication: Publication, file: PublishedFile, start: int, stop: int) -> Iterator[bytes]:
        """Give the bytes of a file; see `Publisher.stream`."""
        repo, revision = publication.repo, publication.revision
        query = urlencode({"Revision": revision, "FilePath": file.name}, quote_via=quote)
        path = f"/api/v1/models/{repo}/repo?{query}"
        return self._connection.stream(path, start, stop, lambda refusal: self._meaning(refusal, repo, revision))

    def _meaning(self, refusal: Refusal, repo: str, revision: str) -> CloudcptError:
        """Turn a refusal into what the user can do about it."""
        if refusal.status == 404:
            return self._missing(repo, revision)
        if refusal.status == 401:
            message = f"`{self._endpoint}` does not accept the token: {refusal.reason}"
            return SetupError(error("CPT732", message, hint="set $MODELSCOPE_API_TOKEN to one from your account page"))
        if refusal.status == 403:
            hint = f"accept its terms at {self._endpoint}/models/{repo}, and set $MODELSCOPE_API_TOKEN"
            message = f"`{repo}` is for those only who have accepted its terms: {refusal.reason}"
            return SetupError(error("CPT731", message, hint=hint))
        return ServiceRefused(
            error("CPT736", f"`{self._endpoint}` refuses `{repo}` (HTTP {refusal.status}): {refusal.reason}")
        )

    def _missing(self, repo: str, revision: str) -> CloudcptError:
        """Find out whether it is the model or the revision that is not there: the answer is the same for both."""
        hint = f"organisations have other names there than at Hugging Face: look it up at {self._endpoint}/models"
        no_model = UsageProblem(error("CPT730", f"there is no model `{repo}` at `{self._endpoint}`", hint=hint))
        try:
            self._connection.document(f"/api/v1/models/{repo}", lambda _: no_model)
        except CloudcptError as exc:
            return exc
        hint = "a revision is a branch, a tag or a commit; without `--revision` it is the newest state"
        return UsageProblem(error("CPT733", f"`{repo}` has no revision `{revision}`", hint=hint))


def _file(row: Mapping[str, Any]) -> PublishedFile:
    sha256 = str(row.get("Sha256") or "")
    return PublishedFile(name=str(row["Path"]), size_bytes=int(row["Size"]), mark=sha256, sha256=sha256)
