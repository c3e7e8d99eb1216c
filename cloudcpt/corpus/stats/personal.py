"""Spans that look like personal data or like a secret: where they are, never what they say.

A rule finds what has the form, and a check digit where there is one; it knows nothing of meaning. So a number of a
book may be found, and a name never is. What is found is counted and its place is given; the text itself goes nowhere.

Source: Penedo et al. 2024 (FineWeb, arXiv:2406.17557) mask e-mail and public IP addresses; Kocetkov et al. 2022 (The
Stack, arXiv:2211.15533) and Allal et al. 2023 (SantaCoder, arXiv:2301.03988) keys as well.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from cloudcpt.corpus.stats.checksums import (
    is_card_number,
    is_iban,
    is_resident_number,
    is_social_security_number,
)
from cloudcpt.corpus.stats.credentials import find_credentials


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A piece of a text.

    Args:
        kind: What it looks like, such as `email`.
        start: Of its first character, from 0.
        end: After its last.
    """

    kind: str
    start: int
    end: int


_LOCAL_PART: Final = re.compile(r"[A-Za-z0-9_%+-][A-Za-z0-9._%+-]{0,63}\Z")
_DOMAIN: Final = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+([A-Za-z]{2,24})\b")
_FILE_ENDINGS: Final = frozenset({"css", "gif", "jpeg", "jpg", "js", "png", "svg", "webp"})
"""`logo@2x.png` is a picture."""

_NUMBERS: Final = re.compile(r"[0-9][0-9 ().\-/]{5,}[0-9]")
"""A stretch in which a number of seven digits or more may be; it begins with a plain set, which `re` finds fast."""

_NUMBER: Final = re.compile(
    r"(?P<ip>(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.]*[0-9]|/[0-9]))"
    r"|(?P<cn_resident_id>(?<![0-9.])[0-9]{17}[0-9Xx](?![0-9]))"
    r"|(?P<card>(?<![0-9.+-])[0-9](?:[ -]?[0-9]){12,18}(?![0-9-]))"
    r"|(?P<us_ssn>(?<![0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9-]))"
    r"|(?P<phone>\+[1-9][0-9]{0,2}(?:[ \-/]?\(?[0-9]{1,4}\)?){2,5}(?![0-9]|\.[0-9])"
    r"|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9-])"
    r"|(?<![0-9.-])[2-9][0-9]{2}([ .-])[2-9][0-9]{2}\6[0-9]{4}(?![0-9-])"
    r"|(?<![0-9.-])1[3-9][0-9]([ -]?)[0-9]{4}\7[0-9]{4}(?![0-9-]))"
)
"""In this order: what has a check digit goes before what has not. Phones: with a country code; North America; mobile
numbers of China."""

_IPV6: Final = re.compile(r"[23][0-9A-Fa-f]{3}:[0-9A-Fa-f:]{2,35}")
"""Global addresses begin with the bits 001: 2000 to 3fff (RFC 4291)."""

_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")


def find_personal(text: str) -> tuple[Span, ...]:
    """Find everything that looks personal or secret, in the order of the text; no two spans overlap."""
    found: list[Span] = []
    taken = bytearray(len(text))
    for find in (_credentials, _emails, _ibans, _ipv6_addresses, _numbers):
        for span in find(text):
            if taken.find(1, span.start, span.end) < 0:
                taken[span.start : span.end] = b"\1" * (span.end - span.start)
                found.append(span)
    return tuple(sorted(found, key=lambda span: span.start))


def masked(text: str) -> str:
    """Write a text with `[email]` and the like in place of what looks personal or secret."""
    parts, at = [], 0
    for span in find_personal(text):
        parts += [text[at : span.start], f"[{span.kind}]"]
        at = span.end
    return "".join([*parts, text[at:]])


def _credentials(text: str) -> Iterator[Span]:
    for kind, start, end in find_credentials(text):
        yield Span(kind=kind, start=start, end=end)


def _emails(text: str) -> Iterator[Span]:
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at + 1)
        local = _LOCAL_PART.search(text[max(0, at - 64) : at]) if domain else None
        if domain and local and domain[1].lower() not in _FILE_ENDINGS:
            yield Span(kind="email", start=at - len(local[0]), end=domain.end())
        at = text.find("@", domain.end() if domain else at + 1)


def _ibans(text: str) -> Iterator[Span]:
    for match in _IBAN.finditer(text):
        if not _is_inside_word(text, match.start()) and is_iban(match[0].replace(" ", "")):
            yield Span(kind="iban", start=match.start(), end=match.end())


def _ipv6_addresses(text: str) -> Iterator[Span]:
    for match in _IPV6.finditer(text):
        if not _is_inside_word(text, match.start()) and _is_public(IPv6Address, match[0].rstrip(":")):
            yield Span(kind="ip_address", start=match.start(), end=match.end())


def _numbers(text: str) -> Iterator[Span]:
    for stretch in _NUMBERS.finditer(text):
        start = max(stretch.start() - 2, 0)  # a `+` or `(` before it, and what says that it is inside a word
        for match in _NUMBER.finditer(text, start, stretch.end() + 2):
            kind = match.lastgroup
            if kind is None or _is_inside_word(text, match.start()) or not _CHECKS[kind](match[0]):
                continue
            yield Span(kind=_KINDS.get(kind, kind), start=match.start(), end=match.end())


def _is_inside_word(text: str, at: int) -> bool:
    before = text[at - 1 : at]
    return before.isascii() and (before.isalnum() or before in ("_", ":"))


def _is_public(kind: Callable[[str], IPv4Address | IPv6Address], text: str) -> bool:
    try:
        return kind(text).is_global
    except AddressValueError:
        return False


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


_KINDS: Final = {"ip": "ip_address", "card": "credit_card"}
_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "ip": lambda text: _is_public(IPv4Address, text),
    "cn_resident_id": is_resident_number,
    "card": lambda text: is_card_number(_digits(text)),
    "us_ssn": lambda text: is_social_security_number(_digits(text)),
    "phone": lambda text: 8 <= len(_digits(text)) <= 15,
}
