"""Write a file that the user asked for, or say why it cannot be written."""

from pathlib import Path

from cloudcpt.errors import Place, SetupError, error
from cloudcpt.wire import commit_text


def save(path: Path, text: str) -> None:
    """Write text whole or not at all; folders on the way are made.

    Raises:
        SetupError: the system refuses.
    """
    try:
        commit_text(path, text)
    except OSError as exc:
        raise SetupError(
            error("CPT440", f"`{path}` cannot be written: {exc.strerror or exc}", place=Place(path=str(path)))
        ) from exc
