"""What lies below a request to a hub: connections, through a proxy where there is one, and how long to wait."""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, SSLError

from cloudcpt.errors import SetupError, error

CONNECTIONS = 8
"""Kept open."""

_RATE_LIMIT = re.compile(r"\bt\s*=\s*(\d+)")
_SECONDS = re.compile(r"[0-9]+")


def pool_for(endpoint: str) -> urllib3.PoolManager:
    """Make the connections to an endpoint and to where it redirects, through the proxy that the environment names.

    Raises:
        SetupError: the proxy is of a kind that cannot be used.
    """
    address = urlsplit(endpoint)
    proxy = getproxies().get(address.scheme, "")
    if not proxy or proxy_bypass(address.hostname or ""):
        return urllib3.PoolManager(maxsize=CONNECTIONS)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https"):
        message = f"a proxy of kind `{parts.scheme}` cannot be used"
        raise SetupError(error("CPT735", message, hint="name an HTTP proxy in $HTTPS_PROXY"))
    secret = urllib3.make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}") if parts.username else {}
    plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return urllib3.ProxyManager(plain, proxy_headers=secret, maxsize=CONNECTIONS)


def asked_pause(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds a server wants to be left alone; None when it does not say.

    Source: RFC 9110, section 10.2.3; the `RateLimit` field of draft-ietf-httpapi-ratelimit-headers-09, which Hugging
    Face sends (huggingface_hub 2.4.0, `utils/_http.py`).
    """
    if found := _RATE_LIMIT.search(headers.get("ratelimit", "")):
        return float(found[1]) + 1.0  # it counts whole seconds
    text = headers.get("retry-after", "")
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def reason_of(exc: HTTPError) -> str:
    """Say what broke, without the address: where a hub redirects to, the address itself is a key."""
    return str(exc.reason if isinstance(exc, MaxRetryError) else exc)


def is_untrusted(exc: HTTPError) -> bool:
    """Tell whether nobody vouches for the other side's certificate."""
    cause = exc.reason if isinstance(exc, MaxRetryError) else exc
    return isinstance(cause, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(cause)
