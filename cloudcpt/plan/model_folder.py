"""The port of the folder that holds a base model: on this machine, or a prefix in S3.

Whoever looks at a model reads names, sizes and a few bytes; only `hashed` reads everything.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from cloudcpt.errors import DatasetError, Diagnostic
from cloudcpt.plan.plan import DataFile
from cloudcpt.wire import sha256_of

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json", "generation_config.json",
)  # fmt: skip
"""What `cloudcpt.dataset.tokens` reads."""


class ModelContent(Protocol):
    """A model that can be looked at, wherever it is."""

    @property
    def shown(self) -> str:
        """Name it as the user would, for messages."""
        ...

    @property
    def kind(self) -> Literal["folder", "file", "nothing"]:
        """Say what is there."""
        ...

    @property
    def names(self) -> frozenset[str]:
        """Name the files that lie directly in it; empty when it is no folder."""
        ...

    def size_bytes(self, name: str) -> int:
        """Give the exact size of one of its files."""
        ...

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Read the bytes of one of its files from `start` up to `stop`.

        Raises:
            OSError: the system does not let us.
            CloudcptError: the same, where it is not on this machine.
        """
        ...


class ModelFolder(ModelContent, Protocol):
    """What a recipe names as its base model."""

    def hashed(self, name: str) -> DataFile:
        """Read one of its files whole and identify it by its BLAKE3."""
        ...

    def sha256(self, name: str) -> str | None:
        """Hash one of its files in the way of manifests; None where that would mean to transfer it once more."""
        ...

    def read_deeper(self, path: str) -> bytes | None:
        """Read a file in a folder below it, named with `/`; None when there is none."""
        ...

    def tokenizer_folder(self) -> AbstractContextManager[Path]:
        """Open a folder on this machine with those of `TOKENIZER_FILES` that there are."""
        ...


class LocalModel:
    """A folder on this machine.

    Args:
        path: Links in it are followed: caches of models are made of links.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def shown(self) -> str:
        """Write `recipes/../models/base` as `models/base`, for messages only."""
        return os.path.normpath(self._path)

    @property
    def kind(self) -> Literal["folder", "file", "nothing"]:
        """Say what is there."""
        if self._path.is_dir():
            return "folder"
        return "file" if self._path.exists() else "nothing"

    @cached_property
    def names(self) -> frozenset[str]:
        """Name its files."""
        return frozenset(path.name for path in self._path.iterdir() if path.is_file())

    def size_bytes(self, name: str) -> int:
        """Give the size of a file."""
        return (self._path / name).stat().st_size

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Read some bytes."""
        with (self._path / name).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def hashed(self, name: str) -> DataFile:
        """Hash a file with all cores."""
        from blake3 import blake3

        path = (self._path / name).resolve()
        digest = blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()
        return DataFile(name=name, uri=str(path), size_bytes=path.stat().st_size, blake3=digest)

    def sha256(self, name: str) -> str:
        """Hash a file with one core."""
        return sha256_of(self._path / name)

    def read_deeper(self, path: str) -> bytes | None:
        """Read a file further down."""
        below = self._path / path
        return below.read_bytes() if below.is_file() else None

    def tokenizer_folder(self) -> AbstractContextManager[Path]:
        """Give the folder itself."""
        return nullcontext(self._path)


def tokenizer_of(folder: ModelFolder) -> "DocumentTokenizer":
    """Load the tokenizer of a model.

    Raises:
        DatasetError: it cannot be used; see `load_tokenizer`.
    """
    from cloudcpt.dataset.tokens import load_tokenizer

    with folder.tokenizer_folder() as path:
        try:
            return load_tokenizer(path)
        except DatasetError as exc:
            raise DatasetError(*(_as_named(found, str(path), folder.shown) for found in exc.diagnostics)) from exc


def _as_named(found: Diagnostic, path: str, shown: str) -> Diagnostic:
    """Speak of the folder that the user knows, where the tokenizer was read from a copy."""
    place = found.place and replace(found.place, path=found.place.path.replace(path, shown))
    return replace(found, message=found.message.replace(path, shown), place=place)
