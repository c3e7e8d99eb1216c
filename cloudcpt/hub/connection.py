"""HTTP to a hub: asked again when that may help, read on where a connection broke, and a token for nobody else.

Over urllib3, which boto3 brings. The hubs' own libraries do not do what is wanted here: `huggingface_hub` 2.4.0 begins
a file anew after a kill (`file_download.py`, `_download_to_tmp_and_move`: a new temporary name each time), compares
sizes and no hashes, and comes with the training stack only; `modelscope` 1.40.2 has 69 MB and keeps its login in a
pickle. What they ask of the servers comes down to two kinds of GET: a document, and the bytes of a file.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

import cloudcpt
from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, TransientError, error
from cloudcpt.hub.transport import asked_pause, is_untrusted, pool_for, reason_of

TRIES = 5
"""Of one request; the pauses between them double from one second, unless the hub says how long to wait."""

PATIENCE_S = 60.0
"""The longest pause that a hub is granted; when it asks for more, the command ends and says so."""

BREAKS = 5
"""Answers in a row that may break off without a single byte."""

REQUEST_BYTES = 8 << 30
"""Asked for at once: Hugging Face gives no answer above 50 GB over plain HTTP.

Source: huggingface_hub 2.4.0, `constants.MAX_HTTP_DOWNLOAD_SIZE`."""

DOCUMENT_BYTES = 64 << 20
"""The longest document that a hub may answer with; real ones have some hundred kilobytes."""

_PIECE_BYTES = 1 << 20
_REASON_CHARACTERS = 200
# urllib3 leaves `Authorization` and `Cookie` out when a redirect leads to another host.
_REDIRECTS = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=5, raise_on_status=False)
_TIMEOUT = urllib3.Timeout(connect=10, read=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An answer that is not a success.

    Args:
        status: Of HTTP.
        headers: By lower-case name.
        text: The beginning of the body.
    """

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def reason(self) -> str:
        """Give the sentence that hubs write into their answers; `no reason given` when there is none."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            found = {}
        said = [found.get(key) for key in ("error", "Message", "message")] if isinstance(found, dict) else []
        sentence = next((text for text in said if isinstance(text, str) and text), "")
        return (sentence or self.headers.get("x-error-message", "") or "no reason given")[:_REASON_CHARACTERS]


Refused = Callable[[Refusal], CloudcptError]
"""Says what a refusal means to the user."""


class Connection:
    """Requests to one endpoint, from any number of threads.

    Args:
        endpoint: Such as `https://huggingface.co`, without a `/` at its end.
        secrets: Headers that only this host may see.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        secrets: Mapping[str, str],
        sleep: Callable[[float], None],
    ) -> None:
        self.endpoint = endpoint
        self._headers = {"User-Agent": f"cloudcpt/{cloudcpt.__version__}", "Accept-Encoding": "identity", **secrets}
        self._sleep = sleep
        self._has_answered = False
        self._pool = pool_for(endpoint)

    def document(self, path: str, refused: Refused) -> Any:
        """Fetch a JSON document.

        Args:
            path: With its query, percent-encoded.
            refused: Says what a refusal means.

        Raises:
            CloudcptError: the hub refuses, cannot be reached, or answers with something else.
        """
        response = self._ask(path, {}, refused)
        try:
            text = response.read(DOCUMENT_BYTES, decode_content=True)
        except HTTPError as exc:
            raise self._unreachable(reason_of(exc)) from exc
        finally:
            response.close()
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            message = f"`{self.endpoint}` does not answer like a hub of models: `{path}` is no JSON there"
            raise ServiceRefused(error("CPT736", message, hint="check `--endpoint`")) from exc

    def stream(self, path: str, start: int, stop: int, refused: Refused) -> Iterator[bytes]:
        """Give the bytes of a file from `start` up to `stop`, all of them.

        Args:
            path: With its query, percent-encoded.
            start: Position of the first byte.
            stop: Position after the last one; the file has no fewer bytes.
            refused: Says what a refusal means.

        Raises:
            CloudcptError: the hub refuses or cannot be reached; what was given until then is good.
        """
        breaks = 0
        while start < stop:
            before, reason = start, "its answer ended early"
            try:
                for piece in self._range(path, start, min(stop, start + REQUEST_BYTES), refused):
                    start += len(piece)
                    yield piece
            except HTTPError as exc:
                reason = reason_of(exc)
            breaks = breaks + 1 if start == before else 0
            if breaks == BREAKS:
                raise self._unreachable(reason)

    def _range(self, path: str, start: int, stop: int, refused: Refused) -> Iterator[bytes]:
        """Give what one answer brings, which may be less than what was asked for, and is never more."""
        response = self._ask(path, {"Range": f"bytes={start}-{stop - 1}"}, refused)
        # A server that knows no ranges begins at the first byte: what is there already is passed over.
        surplus, wanted = start if response.status == 200 else 0, stop - start
        try:
            # Not `stream`, which waits for whole pieces and loses what it has of one when the connection breaks.
            while wanted and (piece := response.read1(_PIECE_BYTES, decode_content=False)):
                useful = piece[surplus : surplus + wanted]
                surplus, wanted = max(0, surplus - len(piece)), wanted - len(useful)
                if useful:
                    yield useful
        finally:
            response.close()

    def _ask(self, path: str, headers: Mapping[str, str], refused: Refused) -> urllib3.BaseHTTPResponse:
        """Send a request until it is answered with a success."""
        for attempt in range(TRIES):
            pause, is_last = 2.0**attempt, attempt == TRIES - 1
            try:
                response = self._send(path, headers)
            except HTTPError as exc:
                # Whoever is offline should not wait for all the pauses: the first of them is enough.
                if is_last or (attempt and not self._has_answered):
                    raise self._unreachable(reason_of(exc)) from exc
            else:
                self._has_answered = True
                if response.status in (200, 206):
                    return response
                refusal = _refusal(response)
                if refusal.status not in (408, 429) and refusal.status < 500:
                    raise refused(refusal)
                asked = asked_pause(refusal.headers)
                pause = pause if asked is None else asked
                if is_last or pause > PATIENCE_S:
                    raise self._busy(refusal, asked)
            self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _send(self, path: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        all_headers = {**self._headers, **headers}
        try:
            return self._pool.request(
                "GET",
                f"{self.endpoint}{path}",
                headers=all_headers,
                preload_content=False,
                retries=_REDIRECTS,
                timeout=_TIMEOUT,
            )
        except HTTPError as exc:
            if is_untrusted(exc):
                message = f"the certificate of `{self.endpoint}` is not trusted: {reason_of(exc)}"
                hint = "behind a proxy that opens TLS, name its certificate in $SSL_CERT_FILE"
                raise SetupError(error("CPT735", message, hint=hint)) from exc
            if isinstance(exc, LocationValueError):
                message = f"`{self.endpoint}` is no address of a hub: {exc}"
                raise SetupError(error("CPT735", message, hint="write it like `https://huggingface.co`")) from exc
            raise

    def _unreachable(self, reason: str) -> TransientError:
        hint = "check the network; a mirror (`--endpoint URL`) or another source (`--from modelscope`) may be in reach"
        return TransientError(error("CPT735", f"cannot reach `{self.endpoint}`: {reason}", hint=hint))

    def _busy(self, refusal: Refusal, asked: float | None) -> TransientError:
        if refusal.status != 429:
            message = f"`{self.endpoint}` is in trouble (HTTP {refusal.status}): {refusal.reason}"
            return TransientError(error("CPT735", message, hint="wait a little and try again"))
        when = "in some minutes" if asked is None else f"in {asked:.0f} s"
        message = f"`{self.endpoint}` takes no more requests from here for the moment (HTTP 429)"
        return TransientError(error("CPT734", message, hint=f"try again {when}; who is signed in may ask more often"))


def _refusal(response: urllib3.BaseHTTPResponse) -> Refusal:
    try:
        text = response.read(1 << 16, decode_content=True).decode("utf-8", "replace")
    except HTTPError:
        text = ""
    finally:
        response.close()
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Refusal(status=response.status, headers=headers, text=text)
