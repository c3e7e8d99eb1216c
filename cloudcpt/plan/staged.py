"""How a model came into its folder: `staged.json`, which `cloudcpt model stage` writes beside the model's files.

It is no part of the model: no job reads it, and a model that was staged twice is the same model. A plan compares it
with the hashes it has computed anyway, and tells the origin only of files that are still what was staged.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from cloudcpt.errors import Diagnostic, Place, note
from cloudcpt.plan.model_folder import ModelContent
from cloudcpt.plan.plan import DataFile, Origin
from cloudcpt.wire import SCHEMA_VERSION

STAGED_FILE = "staged.json"

_MOST_BYTES = 10_000_000
"""A record of ten thousand files is smaller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedFile:
    """One file as it was verified: its size, and SHA-256 and BLAKE3 in hex."""

    name: str
    size_bytes: int
    sha256: str
    blake3: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedRecord:
    """Where a model was staged from, and what it consisted of.

    Args:
        schema_version: Of this document.
        made_by: Program and version.
        source: `hub`, `modelscope` or `s3`.
        endpoint: Address of the hub; empty for S3.
        repo: The model's name there; of a model in S3 its URI.
        revision: What was asked for; empty where there are no revisions.
        commit: The 40 digits that it stood for; empty where the source does not say.
        listing: BLAKE3 over what the source said about the files, to recognise the same state again.
        staged_at: UTC, ISO 8601.
        files: Everything that was brought, by name.
    """

    schema_version: int
    made_by: str
    source: Literal["hub", "modelscope", "s3"]
    endpoint: str
    repo: str
    revision: str
    commit: str
    listing: str
    staged_at: str
    files: tuple[StagedFile, ...]

    @property
    def origin(self) -> Origin:
        """Give what a plan says of it."""
        return Origin(source=self.source, repo=self.repo, revision=self.commit or self.revision)

    def to_json(self) -> str:
        """Write the record for people and programs."""
        return json.dumps(asdict(self), indent=2) + "\n"


def read_staged(model: ModelContent) -> StagedRecord | None:
    """Read how a model came into its folder; None when nobody recorded it in a way that this version can read."""
    from pydantic import TypeAdapter, ValidationError

    if STAGED_FILE not in model.names or model.size_bytes(STAGED_FILE) > _MOST_BYTES:
        return None
    try:
        text = model.read(STAGED_FILE, 0, model.size_bytes(STAGED_FILE))
        found = TypeAdapter(StagedRecord).validate_json(text, strict=True)
    except (OSError, ValidationError):
        return None
    return found if found.schema_version == SCHEMA_VERSION else None


def staged_origin(
    model: ModelContent, files: Sequence[DataFile], place: Place | None
) -> tuple[Origin | None, tuple[Diagnostic, ...]]:
    """Find out where a model's files come from, and whether they still are what came.

    Args:
        model: The folder.
        files: All of its files, hashed; none when nobody looked at them.
        place: Where the recipe names it.

    Returns:
        The origin, None unless every file is what was staged; and a note that names those that are not.
    """
    record = read_staged(model) if files else None
    if record is None:
        return None, ()
    staged = {file.name: file.blake3 for file in record.files}
    if changed := [file.name for file in files if staged.get(file.name) != file.blake3]:
        names = ", ".join(f"`{name}`" for name in changed)
        message = f"in `{model.shown}` {names} differs from what was staged from `{record.repo}`"
        hint = "the plan takes what is there, and names no origin for it"
        return None, (note("CPT545", message, place=place, hint=hint),)
    return record.origin, ()
