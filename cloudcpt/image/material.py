"""What an image is built from: the Dockerfile and the locked requirements, which travel inside the wheel.

In a checkout they lie in `container/`, where people look for them; in an installation beside this module.
"""

from pathlib import Path
from typing import Final

DOCKERFILE: Final = "Dockerfile"
REQUIREMENTS: Final = "requirements.txt"
"""Every package of the image but torch, with its version and the hashes of all its files."""

_FILES: Final = (DOCKERFILE, REQUIREMENTS)


def container_files() -> dict[str, bytes]:
    """Read the files, by name."""
    installed, checkout = Path(__file__).with_name("container"), Path(__file__).parents[2] / "container"
    folder = installed if installed.is_dir() else checkout
    return {name: (folder / name).read_bytes() for name in _FILES}
