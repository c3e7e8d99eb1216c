"""The question before something is gone."""

import sys

import click

from cloudcpt.cli import render
from cloudcpt.errors import UsageProblem, error


def is_wanted(question: str, *, yes: bool) -> bool:
    """Ask, and say so when the answer is no.

    Args:
        question: With a question mark.
        yes: It was answered on the command line.

    Raises:
        UsageProblem: nobody is there to answer.
    """
    if yes:
        return True
    if not (sys.stdin and sys.stdin.isatty()):
        raise UsageProblem(
            error("CPT476", "there is nobody here to ask", hint="say `--yes` to delete without a question")
        )
    wanted = click.confirm(question, err=True)
    if not wanted:
        render.err().print("nothing was deleted")
    return wanted
