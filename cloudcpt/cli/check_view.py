"""How checks of an account read: one line each, then what to do about those that failed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cloudcpt.cli import render
from cloudcpt.cli.diagnostics import as_json
from cloudcpt.cli.excerpt import printable
from cloudcpt.jobs.checks import Check, CheckOutcome

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {CheckOutcome.OK: "", CheckOutcome.FAILED: "bad", CheckOutcome.NOT_CHECKED: "faint"}


def show_checks(checks: Sequence[Check], *, console: "Console | None" = None) -> None:
    """Print every check with its outcome, then the findings of those that failed, the blocking ones last.

    Args:
        checks: In the order in which they were made.
        console: `err()` unless the checks are the command's data.
    """
    console = console or render.err()
    outcomes = max(map(len, CheckOutcome))  # whatever was found, lines of two runs align
    names = max((len(check.name) for check in checks), default=0)
    for check in checks:
        line = f"{check.outcome:<{outcomes}}  {check.name:<{names}}  {check.words}"
        console.print(printable(line), style=_STYLES[check.outcome])
    failures = [check for check in checks if check.outcome is CheckOutcome.FAILED and check.diagnostic is not None]
    if failures:
        console.print()
        found = [check.diagnostic for check in sorted(failures, key=lambda check: check.blocks)]
        render.show_diagnostics([one for one in found if one is not None], console=console)


def checks_as_json(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """Turn checks into plain JSON objects."""
    return [
        {
            "name": check.name,
            "outcome": check.outcome,
            "words": check.words,
            "blocks": check.blocks,
            "diagnostic": as_json([check.diagnostic])[0] if check.diagnostic else None,
        }
        for check in checks
    ]
