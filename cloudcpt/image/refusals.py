"""Why an engine could not pull, build or push, and what to do about it: one table over what engines and registries say.

They have words and exit codes of their own, and none of them says whether trying again helps.
"""

import re
from dataclasses import dataclass
from typing import Final

from cloudcpt.errors import CloudcptError, SetupError, TransientError, error
from cloudcpt.local.answers import Answer


@dataclass(frozen=True, slots=True)
class Rule:
    """What a complaint means.

    Args:
        pattern: Of the complaint.
        raises: The exception.
        hint: What to do; `{program}` and `{registry}` are filled in.
    """

    pattern: str
    raises: type[CloudcptError]
    hint: str


_FULL: Final = Rule(
    r"no space left on device|disk quota exceeded",
    SetupError,
    "make room where the engine keeps its images: `{program} images` lists them, `{program} rmi` removes one",
)
_RULES: Final = (
    _FULL,
    Rule(r"immutable", SetupError, "a tag of this repository cannot be moved: name another one, `--to REPOSITORY:TAG`"),
    Rule(
        r"unauthorized|denied|forbidden|no basic auth|authentication required",
        SetupError,
        "log in with `{program} login {registry}`; for a registry of AWS, docs/container.md lists the permissions",
    ),
    Rule(
        r"HTTP response to HTTPS client|not look like a TLS handshake",
        SetupError,
        "for a registry on this machine that speaks HTTP: `--plain-http`",
    ),
    Rule(
        r"unknown|not found|does not exist|short-name",
        SetupError,
        "check the name; a repository has to be there before something is pushed to it",
    ),
    Rule(
        r"refused|timed? ?out|no such host|unreachable|reset by peer|\bEOF\b|status:? (5\d\d|429)|toomanyrequests",
        TransientError,
        "check that `{registry}` can be reached from here, and try again",
    ),
)
"""The first that fits counts. Source: what podman 4.3, buildah 1.28 and skopeo's library print; docker 28; ECR's
user guide, "Troubleshooting errors with Docker commands"; 2026-11."""


def refusal(answer: Answer, message: str, *, code: str, program: str, registry: str) -> CloudcptError:
    """Make the error of a pull or a push that failed.

    Args:
        answer: How it ended.
        message: What could not be done, in words that the reason may follow.
        code: Of the diagnostic.
        program: The engine's command line.
        registry: The other side, as the user would name it.
    """
    said = _without_repetition(answer.reason)
    rule = next((rule for rule in _RULES if re.search(rule.pattern, said, re.IGNORECASE)), None)
    if rule is None:
        return SetupError(error(code, f"{message}: {said}"))
    return rule.raises(error(code, f"{message}: {said}", hint=rule.hint.format(program=program, registry=registry)))


def _without_repetition(reason: str) -> str:
    """Give what a registry says of an image; podman offers it in half a dozen formats, and quotes every refusal."""
    found = re.search(r"attempted the following formats: [^(]+\((.+?)\)(?:, |$)", reason)
    return found[1] if found else reason


def full_disk(answer: Answer, *, program: str) -> str | None:
    """Give the hint when a command failed because the disk is full; its last line may tell of something else."""
    return _FULL.hint.format(program=program) if re.search(_FULL.pattern, answer.err, re.IGNORECASE) else None
