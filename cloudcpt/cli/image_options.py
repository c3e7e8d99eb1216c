"""What the commands about the image share: which engine, which image, and what ours is called."""

import click

from cloudcpt import __version__


def own_image(flavour: str) -> str:
    """Name what `cloudcpt image build` makes: of this version, `gpu` or `cpu`."""
    return f"localhost/cloudcpt:{__version__}-{flavour}"


engine_option = click.option(
    "--engine", "program", default="", metavar="PROGRAM", help="docker, podman, ...; the first that answers."
)
image_argument = click.argument("image", default=own_image("gpu"))
