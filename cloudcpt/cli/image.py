"""`cloudcpt image ...`: the commands about the training image, imported when they are chosen like all others."""

import click

from cloudcpt.cli.main import CommandTable

COMMANDS: dict[str, str] = {
    "build": "Build the training image",
    "check": "Say whether an image keeps the contract of a training job",
    "push": "Push an image to ECR and say what a recipe calls it",
}
"""Name and one line of help, in the order in which people need them."""


def command_module(name: str) -> str:
    """Name the module of a command of this group."""
    return f"cloudcpt.cli.image_{name}"


@click.group(name="image", cls=CommandTable, table=COMMANDS, module=command_module)
def command() -> None:
    """Build, check and push the image that trains in a container and in the cloud."""
