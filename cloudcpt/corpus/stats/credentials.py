"""Secrets that give themselves away by how they begin: keys and tokens of well-known services.

Source: the prefixes that the services publish for secret scanners; GitHub's list of supported patterns, 2026-10.
"""

import re
from collections.abc import Iterator
from typing import Final

_WORD: Final = r"(?<![A-Za-z0-9_])"

_FORMS: Final = (
    ("private_key", "PRIVATE KEY-----", re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY-----")),
    ("aws_access_key", "AKIA", re.compile(_WORD + r"AKIA[A-Z2-7]{16}(?![A-Za-z0-9])")),
    ("aws_access_key", "ASIA", re.compile(_WORD + r"ASIA[A-Z2-7]{16}(?![A-Za-z0-9])")),
    ("github_token", "gh", re.compile(_WORD + r"gh[oprsu]_[A-Za-z0-9]{36}(?![A-Za-z0-9])")),
    ("github_token", "github_pat_", re.compile(_WORD + r"github_pat_[A-Za-z0-9_]{60,90}")),
    ("gitlab_token", "glpat-", re.compile(_WORD + r"glpat-[A-Za-z0-9_-]{20,}")),
    ("google_key", "AIza", re.compile(_WORD + r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])")),
    ("hugging_face_token", "hf_", re.compile(_WORD + r"hf_[A-Za-z]{34}(?![A-Za-z0-9])")),
    ("openai_key", "sk-", re.compile(_WORD + r"sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{40,}")),
    ("slack_token", "xox", re.compile(_WORD + r"xox[abeoprs]-[0-9A-Za-z-]{20,}")),
    ("stripe_key", "_live_", re.compile(_WORD + r"[rs]k_live_[A-Za-z0-9]{24,}")),
    ("web_token", "eyJ", re.compile(_WORD + r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
)
"""Kind, a piece that every one of them holds, and its form. Looking for the piece is a hundred times faster."""

KINDS: Final = tuple(dict.fromkeys(kind for kind, _, _ in _FORMS))
"""All kinds, in the order in which they are listed."""


def find_credentials(text: str) -> Iterator[tuple[str, int, int]]:
    """Find secrets: kind, start and end of each."""
    for kind, piece, form in _FORMS:
        if piece in text:
            for match in form.finditer(text):
                yield kind, match.start(), match.end()
