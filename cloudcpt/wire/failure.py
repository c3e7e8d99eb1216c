"""Why a job failed, in a form that survives the failure file and a service's FailureReason."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from cloudcpt.errors import Blame

FAILURE_LIMIT = 1024
"""Characters of the failure file that DescribeTrainingJob returns as FailureReason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a job failed, in a form that survives 1,024 characters of plain text.

    The first line is for a person, `CPT604 [user] loss is not finite at step 12; hint: lower the learning rate`;
    whatever follows (rank, traceback) is for us.
    """

    code: str
    blame: Blame
    message: str
    hint: str | None = None
    detail: str = field(default="", compare=False)

    def text(self) -> str:
        """Write the failure file: first line for people, then the detail's tail, ASCII, within the limit."""
        first = f"{self.code} [{self.blame}] {self.message}" + (f"; hint: {self.hint}" if self.hint else "")
        first = _ascii(first.replace("\n", " "))[:FAILURE_LIMIT]
        room = FAILURE_LIMIT - len(first) - 2
        tail = _ascii(self.detail)[-room:] if room > 0 and self.detail else ""
        return f"{first}\n{tail}\n" if tail else f"{first}\n"


_FAILURE = re.compile(r"(?P<code>CPT\d{3}) \[(?P<blame>user|platform|bug)\] (?P<message>.*?)(?:; hint: (?P<hint>.*))?$")


def parse_failure(text: str) -> Failure | None:
    """Read a failure back from the file, or from a service's FailureReason that quotes it."""
    for line in text.splitlines():
        if match := _FAILURE.search(line):
            rest = text[text.index(line) + len(line) :].strip()
            return Failure(
                code=match["code"],
                blame=Blame(match["blame"]),
                message=match["message"],
                hint=match["hint"],
                detail=rest,
            )
    return None


def failure_in(path: Path) -> Failure | None:
    """Read a failure file; None where there is none, or none that we wrote.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        return parse_failure(path.read_text("utf-8", "replace"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode("ascii")
