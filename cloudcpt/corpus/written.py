"""What a data command wrote and what it left out, with the same names in its report, its JSON and on the screen."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What came into being.

    Args:
        target: As the user named it.
        files: With documents.
        documents: In all files.
        size_bytes: Of all files.
        dropped: Documents that were left out, by reason, such as `blank` or `too long`.
    """

    target: str
    files: int
    documents: int
    size_bytes: int
    dropped: Mapping[str, int] = field(default_factory=dict)
