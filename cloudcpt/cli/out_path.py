"""A place to write on this machine, as people name it; one in S3 is refused before a folder `s3:` comes into being."""

from pathlib import Path
from typing import Any

import click


class OutPath(click.Path):
    """A path on this machine."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a path."""
        if "://" in str(value):
            self.fail(f"`{value}` is not on this machine: write here, then `aws s3 sync OUT s3://...`", param, ctx)
        return super().convert(value, param, ctx)
