"""One command of a lane: what it prints is seen while it runs, and how it ends decides."""

import os
import sys
from collections.abc import Mapping

from cloudcpt.local.answers import Answer, follow
from container.lanes.ledger import Failed


def say(line: str) -> None:
    """Print one line at once; what comes from other programs stays in its place between them."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def attempt(*command: str, settings: Mapping[str, str] | None = None) -> Answer:
    """Run a command, showing what it prints.

    Args:
        command: Program and words.
        settings: Variables to add to the environment.
    """
    return follow(command, say, {**os.environ, **(settings or {})})


def step(*command: str, settings: Mapping[str, str] | None = None) -> None:
    """Run a command that has to succeed.

    Raises:
        Failed: it did not.
    """
    ended = attempt(*command, settings=settings)
    if ended.status != 0:
        raise Failed(f"`{' '.join(command)}` ended with {ended.status}: {ended.reason}")


def cloudcpt(*words: str, settings: Mapping[str, str] | None = None) -> None:
    """Run a command of ours that has to succeed.

    Raises:
        Failed: it did not.
    """
    step(sys.executable, "-m", "cloudcpt", *words, settings=settings)
