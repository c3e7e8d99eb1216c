"""How far something that reads a dataset has come, for whoever shows it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DataProgress:
    """How far it is, over all files.

    Args:
        bytes_done: Read so far.
        bytes_total: To read; 0 when nobody knows.
        documents: Read so far.
        findings: Of all severities, so far.
    """

    bytes_done: int
    bytes_total: int
    documents: int
    findings: int = 0


ShowProgress = Callable[[DataProgress], None]
"""Called a few times per second, and at the end."""
