"""Secrets in a recipe: found in any line, comments included, and never repeated.

A recipe is copied into the plan, and from there into the job's inputs and the report, where others can read it.
"""

import re

from cloudcpt.errors import Diagnostic, Place, error
from cloudcpt.recipe.source import RecipeSource

_SECRETS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an AWS access key", re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("a Hugging Face token", re.compile(r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}")),
    ("a GitHub token", re.compile(r"(?<![A-Za-z0-9])(?:gh[opusr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")),
    ("a password in a URL", re.compile(r"(?<=://)[^\s/:@]{1,256}:[^\s/:@]{1,256}@")),
    (
        "a secret",
        re.compile(
            r"(?i)(?:token|password|passwd|secret|secret_access_key|api_?key)[\"']?\s{0,8}[:=]\s{0,8}[\"']?"
            r"(?=[A-Za-z+/_-]{0,80}[0-9])(?=[0-9+/_-]{0,80}[A-Za-z])[A-Za-z0-9+/_-]{20,}={0,2}"
        ),
    ),
)


def find_secrets(source: RecipeSource) -> list[Diagnostic]:
    """Find whatever looks like a secret, by line."""
    return [
        error(
            "CPT025",
            f"this looks like {what}, a recipe is copied into plans and reports",
            place=Place(path=source.path, line=number, column=match.start() + 1, length=match.end() - match.start()),
            hint="remove it, and replace the secret if the file was shared; credentials come from your environment",
        )
        for number, line in enumerate(re.split(r"\r\n|\n|\r", source.text), 1)
        for what, pattern in _SECRETS
        for match in pattern.finditer(line)
    ]


def redact(text: str) -> str:
    """Replace whatever looks like a secret, for text that is shown or stored."""
    for _, pattern in _SECRETS:
        text = pattern.sub("***", text)
    return text
