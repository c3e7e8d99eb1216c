"""The port of a place where base models are published, and a published model as one can be looked at before it is here.

    name --find--> Publication of PublishedFiles --stream--> bytes, from any position

`cloudcpt.hub` has the adapters over HTTP, `cloudcpt.aws` the one over S3. What comes over the wire is not believed:
`cloudcpt.jobs.receive` compares it with what the place says about a file before anybody uses it.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

SourceName = Literal["hub", "modelscope", "s3"]

HEAD_BYTES = 1 << 19
"""Read of a file when its beginning is asked for: the header of a safetensors file seldom has more."""

MOST_BYTES = 100_000_000
"""The most that is read of a file just to look at it: the limit of safetensors for its header."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedFile:
    """One file of a published model.

    Args:
        name: Without a `/`: only what lies directly in the folder belongs to the model.
        size_bytes: Exact size.
        mark: The place's own name for this content, another one when the content is another one.
        sha256: Of the content, in hex; empty when the place does not say.
        git_sha1: Of the content as git hashes a blob, in hex; empty when the place does not say.
        crc64nvme: Of the content, as in `cloudcpt.dataset.checksum`; empty when the place does not say.
    """

    name: str
    size_bytes: int
    mark: str
    sha256: str = ""
    git_sha1: str = ""
    crc64nvme: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """A model as it is published at one moment.

    Args:
        source: The kind of place.
        endpoint: Its address; empty for S3.
        repo: The model's name there; of a model in S3 its URI.
        revision: What was asked for, such as `main`; empty where there are no revisions.
        commit: The 40 digits that `revision` stands for; empty where the place does not say.
        files: Everything that lies directly in the model's folder.
    """

    source: SourceName
    endpoint: str
    repo: str
    revision: str
    commit: str
    files: tuple[PublishedFile, ...]

    def file(self, name: str) -> PublishedFile:
        """Give a file by its name."""
        return next(file for file in self.files if file.name == name)

    def listing(self, names: Collection[str]) -> str:
        """Identify the content of some files by a BLAKE3 over what the place says about them."""
        from blake3 import blake3

        rows = sorted((file.name, file.size_bytes, file.mark) for file in self.files if file.name in names)
        return blake3(json.dumps(rows).encode()).hexdigest()


class Publisher(Protocol):
    """A place where models are published."""

    def find(self, repo: str, revision: str) -> Publication:
        """List what a model consists of.

        Args:
            repo: The model's name.
            revision: A branch, tag or commit; the newest state when empty.

        Raises:
            UsageProblem: there is no such model, or no such revision of it.
            SetupError: it may not be read with these credentials.
            CloudcptError: the place cannot be asked.
        """
        ...

    def stream(self, publication: Publication, file: PublishedFile, start: int, stop: int) -> Iterator[bytes]:
        """Give the bytes of a file from `start` up to `stop`, all of them.

        Raises:
            CloudcptError: they cannot be had any more; what was given until then is good.
        """
        ...


class PublishedModel:
    """The `ModelContent` of a model that is not here yet: config and headers are fetched, weights are not.

    Args:
        publisher: Where it is.
        publication: What it consists of.
    """

    kind: Literal["folder"] = "folder"

    def __init__(self, publisher: Publisher, publication: Publication) -> None:
        self._publisher = publisher
        self._publication = publication
        self._files: Mapping[str, PublishedFile] = {file.name: file for file in publication.files}
        self._heads: dict[str, bytes] = {}

    @property
    def shown(self) -> str:
        """Name it as the user did."""
        return self._publication.repo

    @property
    def names(self) -> frozenset[str]:
        """Name its files."""
        return frozenset(self._files)

    def size_bytes(self, name: str) -> int:
        """Give the size of a file."""
        return self._files[name].size_bytes

    def read(self, name: str, start: int, stop: int) -> bytes:
        """Fetch some bytes; the beginning of a file is fetched once.

        Raises:
            OSError: more is asked for than anybody needs to look at a model.
            CloudcptError: they cannot be had.
        """
        if stop - start > MOST_BYTES:
            raise OSError(f"`{name}` is too large to look at")
        if stop > HEAD_BYTES:
            return self._fetch(name, start, stop)
        if name not in self._heads:
            self._heads[name] = self._fetch(name, 0, min(HEAD_BYTES, self.size_bytes(name)))
        return self._heads[name][start:stop]

    def _fetch(self, name: str, start: int, stop: int) -> bytes:
        return b"".join(self._publisher.stream(self._publication, self._files[name], start, stop))
