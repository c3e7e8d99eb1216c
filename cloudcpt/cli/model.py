"""`cloudcpt model ...`: the commands about one base model, imported when they are chosen like all others."""

import click

from cloudcpt.cli.main import CommandTable

COMMANDS: dict[str, str] = {
    "check": "Say whether a base model can be trained, and why not",
    "stage": "Bring a base model from where it is published to this machine",
}
"""Name and one line of help."""


def command_module(name: str) -> str:
    """Name the module of a command of this group."""
    return f"cloudcpt.cli.model_{name}"


@click.group(name="model", cls=CommandTable, table=COMMANDS, module=command_module)
def command() -> None:
    """Check a base model, or bring one to this machine."""
