"""The model folder: files, then a manifest that hashes them, then the marker that seals the manifest.

In the order in which it is written:

    config.json, tokenizer files, *.safetensors, README.md, provenance/   the model itself
    manifest.json                                                         size and SHA-256 of every file above
    COMPLETE                                                              SHA-256 of manifest.json
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cloudcpt.wire.durable import commit_text, flush
from cloudcpt.wire.layout import COMPLETE_FILE, MANIFEST_FILE, SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestFile:
    """One file of the model folder: its name relative to it, with `/`, its size and SHA-256 in hex."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a finished model folder holds and which plan made it."""

    schema_version: int
    plan_hash: str
    job_name: str
    steps: int
    tokens: int
    files: tuple[ManifestFile, ...]

    def to_json(self) -> str:
        """Write the manifest as the text that `COMPLETE` is the hash of."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


_HEX256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
MANIFEST_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "cloudcpt model manifest",
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_version", "plan_hash", "job_name", "steps", "tokens", "files"],
    "properties": {
        "schema_version": {"const": SCHEMA_VERSION},
        "plan_hash": _HEX256,
        "job_name": {"type": "string", "minLength": 1, "maxLength": 63},
        "steps": {"type": "integer", "minimum": 0},
        "tokens": {"type": "integer", "minimum": 0},
        "files": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "size_bytes", "sha256"],
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "size_bytes": {"type": "integer", "minimum": 0},
                    "sha256": _HEX256,
                },
            },
        },
    },
}


def sha256_of(path: Path) -> str:
    """Hash a file the way people check it, in constant memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def complete_model(folder: Path, *, plan_hash: str, job_name: str, steps: int, tokens: int) -> Manifest:
    """Turn a folder of model files into a model: hash every file, write the manifest, then `COMPLETE`.

    Everything is flushed to disk before the marker, so a reader that sees `COMPLETE` sees all of it.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = []
    for name in names:
        flush(folder / name)
        files.append(
            ManifestFile(name=name, size_bytes=(folder / name).stat().st_size, sha256=sha256_of(folder / name))
        )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        plan_hash=plan_hash,
        job_name=job_name,
        steps=steps,
        tokens=tokens,
        files=tuple(files),
    )
    commit_text(folder / MANIFEST_FILE, manifest.to_json())
    commit_text(folder / COMPLETE_FILE, sha256_of(folder / MANIFEST_FILE) + "\n")
    return manifest


def seal_faults(folder: Path) -> list[str]:
    """List what keeps marker and manifest from being those of a finished model; the files it names are not looked at.

    Checks the marker, that it seals this manifest, and the manifest against its schema.
    """
    import jsonschema  # heavy, and only this check needs it

    complete, manifest_path = folder / COMPLETE_FILE, folder / MANIFEST_FILE
    if not complete.is_file():
        return [f"`{COMPLETE_FILE}` is missing: the model was never finished"]
    if not manifest_path.is_file():
        return [f"`{MANIFEST_FILE}` is missing"]
    if complete.read_bytes() != f"{sha256_of(manifest_path)}\n".encode():
        return [f"`{MANIFEST_FILE}` is not the one that `{COMPLETE_FILE}` sealed"]
    manifest = json.loads(manifest_path.read_text("utf-8"))
    return [f"`{MANIFEST_FILE}`: {found.message}" for found in _schema_errors(jsonschema, manifest)]


def model_faults(folder: Path) -> list[str]:
    """List what keeps a folder from being a complete, unaltered model; empty when it is one.

    Checks what `seal_faults` checks, every size and hash, and that no unlisted file is present.
    """
    if faults := seal_faults(folder):
        return faults
    manifest = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))
    listed = {row["name"]: row for row in manifest["files"]}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for name, row in listed.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            faults.append(f"`{name}` points outside the model folder")
        elif name not in present:
            faults.append(f"`{name}` is missing")
        elif (size := (folder / name).stat().st_size) != row["size_bytes"]:
            faults.append(f"`{name}` has {size} bytes, the manifest says {row['size_bytes']}")
        elif sha256_of(folder / name) != row["sha256"]:
            faults.append(f"`{name}` does not have the SHA-256 of the manifest")
    extra = sorted(present - set(listed) - {MANIFEST_FILE, COMPLETE_FILE})
    return faults + [f"`{name}` is not in the manifest" for name in extra]


def _schema_errors(jsonschema: Any, manifest: object) -> list[Any]:
    return list(jsonschema.Draft202012Validator(MANIFEST_SCHEMA).iter_errors(manifest))
