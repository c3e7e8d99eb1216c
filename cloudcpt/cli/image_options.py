"""What the commands about the image share: which engine, which image, and what ours is called."""

import re
from typing import Final

import click

from cloudcpt import __version__

_PART: Final = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME: Final = re.compile(
    rf"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*(?::\d+)?/)?{_PART}(?:/{_PART})*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?"
)
"""Registry, path and tag. Source: the grammar of github.com/distribution/reference, without digests."""


def own_image(flavour: str) -> str:
    """Name what `cloudcpt image build` makes: of this version, `gpu` or `cpu`."""
    return f"localhost/cloudcpt:{__version__}-{flavour}"


def new_name(_context: click.Context, _parameter: click.Parameter, name: str) -> str:
    """Refuse a name that no engine would take, before minutes of work.

    Raises:
        click.BadParameter: it is none.
    """
    if name and _NAME.fullmatch(name) is None:
        message = (
            f"`{name}` is no name for an image, such as `registry.example/team/cloudcpt:1`: lower case, and no digest"
        )
        raise click.BadParameter(message)
    return name


def new_address(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """Refuse a name that says no registry: an engine would look for one of its own choice.

    Raises:
        click.BadParameter: it says none, or is no name at all.
    """
    registry, slash, _ = new_name(context, parameter, name).partition("/")
    if not slash or not (registry == "localhost" or set(registry) & set(".:")):
        raise click.BadParameter(f"`{name}` is not a registry and a repository, such as `registry.example/cloudcpt`")
    return name


engine_option = click.option(
    "--engine", "program", default="", metavar="PROGRAM", help="docker, podman, ...; the first that answers."
)
builder_option = click.option(
    "--engine", "program", default="", metavar="PROGRAM", help="docker, podman, buildah, ...; the first that answers."
)
