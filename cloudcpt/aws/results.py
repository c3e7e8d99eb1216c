"""The model of a job where the service has put it, and how it comes here: ranges of many objects at a time.

The manifest has a SHA-256 of every file. S3 can be asked for names and sizes, and for checksums of other kinds that the
manifest does not have; so what lies there is compared by name and size, and by SHA-256 where S3 happens to have one. A
changed byte in a file of the right size is found by whoever fetches, who hashes every file.
"""

import base64
import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from cloudcpt.aws.errors import translated
from cloudcpt.errors import InputError, TransientError, error
from cloudcpt.jobs.crew import Crew
from cloudcpt.wire import COMPLETE_FILE, MANIFEST_FILE, seal_faults

RANGE_BYTES = 64 * 1024**2
WORKERS = 8
"""Ranges under way at a time. One connection to S3 gives 50 to 100 MB/s; eight fill most networks, and need 8 MB."""

_CHUNK_BYTES = 1024**2
_PATIENCE = 5
"""Connections in a row that break without having brought a byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelObject:
    """One object of a model: its key, the file that it is, and what S3 says about it."""

    key: str
    name: str
    size_bytes: int
    etag: str
    has_sha256: bool


class JobModel:
    """The model folder of one job in S3.

    Args:
        client: Of S3.
        uri: `s3://bucket/prefix/` of the folder, with a `/` at its end.
        owner: The account that the bucket must belong to.
        range_bytes: How much one request brings.
    """

    def __init__(self, client: Any, *, uri: str, owner: str, range_bytes: int = RANGE_BYTES) -> None:
        bucket, _, self._prefix = uri.removeprefix("s3://").partition("/")
        self._client = client
        self._uri = uri
        self._range_bytes = range_bytes
        self._bound = {"Bucket": bucket, "ExpectedBucketOwner": owner}

    def faults(self, plan_hash: str) -> list[str]:
        """List what keeps the model from being complete and that of a plan, as far as S3 can tell without a download.

        Raises:
            CloudcptError: S3 cannot be asked.
        """
        present = {found.name: found for found in self._objects()}
        with tempfile.TemporaryDirectory() as scratch:
            for name in (COMPLETE_FILE, MANIFEST_FILE):
                if name in present:
                    (Path(scratch) / name).write_bytes(self._content(present[name]))
            if faults := seal_faults(Path(scratch)):
                return faults
            manifest = json.loads((Path(scratch) / MANIFEST_FILE).read_text("utf-8"))
        if manifest["plan_hash"] != plan_hash:
            return [f"it was made by another plan, `{manifest['plan_hash'][:16]}...`"]
        listed = {row["name"]: row for row in manifest["files"]}
        faults = [fault for name, row in listed.items() for fault in self._file_faults(present.get(name), row)]
        extra = sorted(present.keys() - listed.keys() - {MANIFEST_FILE, COMPLETE_FILE})
        return faults + [f"`{name}` is not in the manifest" for name in extra]

    def names(self) -> list[str]:
        """Name every file, relative to the folder.

        Raises:
            CloudcptError: S3 cannot be asked.
        """
        return [found.name for found in self._objects()]

    def copy(self, folder: Path) -> None:
        """Bring every object into a new folder.

        Raises:
            InputError: an object's name would lead out of the folder.
            TransientError: S3 cannot be reached, or somebody changes the model meanwhile.
            OSError: the folder cannot be written.
        """
        objects = self._objects()
        folder.mkdir(parents=True)
        for found in objects:
            path = folder / found.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.truncate(found.size_bytes)
        with Crew(WORKERS) as crew:
            ranges = [
                crew.give(partial(self._bring, found, folder / found.name, start))
                for found in objects
                for start in range(0, found.size_bytes, self._range_bytes)
            ]
            try:
                for brought in wait(ranges, return_when=FIRST_EXCEPTION).done:
                    brought.result()
            finally:
                crew.call_off(ranges)

    def _objects(self) -> Sequence[ModelObject]:
        """List the model's objects; what a console makes to look like folders is not one.

        Raises:
            InputError: keys that are no names of files in a folder, all of them.
        """
        with translated(f"list `{self._uri}`"):
            rows = [
                row
                for page in self._client.get_paginator("list_objects_v2").paginate(**self._bound, Prefix=self._prefix)
                for row in page.get("Contents", ())
                if row["Size"] or not row["Key"].endswith("/")
            ]
        found = [
            ModelObject(
                key=row["Key"],
                name=row["Key"].removeprefix(self._prefix),
                size_bytes=row["Size"],
                etag=row["ETag"],
                has_sha256="SHA256" in row.get("ChecksumAlgorithm", ()),
            )
            for row in rows
        ]
        if strange := [one.key for one in found if not _is_inside(one.name)]:
            raise InputError(
                *(error("CPT445", f"`{key}` is no name of a file below `{self._prefix}`") for key in strange)
            )
        return found

    def _file_faults(self, found: ModelObject | None, row: dict[str, Any]) -> Iterator[str]:
        """Compare one file of the manifest with its object."""
        if found is None:
            yield f"`{row['name']}` is missing"
        elif found.size_bytes != row["size_bytes"]:
            yield f"`{row['name']}` has {found.size_bytes} bytes, the manifest says {row['size_bytes']}"
        elif found.has_sha256 and self._sha256(found) not in ("", row["sha256"]):
            yield f"`{row['name']}` does not have the SHA-256 of the manifest"

    def _sha256(self, found: ModelObject) -> str:
        """Ask for the SHA-256 of an object, in hex; empty when it is one of parts and not of the whole."""
        with translated(f"look at `{found.key}`"):
            answer = self._client.head_object(**self._bound, Key=found.key, ChecksumMode="ENABLED")
        text = answer.get("ChecksumSHA256", "")
        return "" if "-" in text else base64.b64decode(text).hex()

    def _content(self, found: ModelObject) -> bytes:
        with translated(f"read `{found.key}`"):
            return bytes(self._client.get_object(**self._bound, Key=found.key)["Body"].read())

    def _bring(self, found: ModelObject, path: Path, start: int) -> None:
        """Write the range that begins at `start` into its file, going on wherever a connection breaks.

        botocore repeats a request that fails, but not an answer that breaks off in the middle.
        """
        stop, idle = min(start + self._range_bytes, found.size_bytes), 0
        with path.open("r+b") as file:
            file.seek(start)
            while start < stop:
                before = start
                try:
                    for chunk in self._stream(found, start, stop):
                        start += file.write(chunk)
                except TransientError:
                    idle = 0 if start > before else idle + 1
                    if idle == _PATIENCE:
                        raise

    def _stream(self, found: ModelObject, start: int, stop: int) -> Iterator[bytes]:
        with translated(f"read `{found.key}`"):
            try:
                asked = {"Range": f"bytes={start}-{stop - 1}", "IfMatch": found.etag}
                answer = self._client.get_object(**self._bound, Key=found.key, **asked)
                yield from answer["Body"].iter_chunks(_CHUNK_BYTES)
            except self._client.exceptions.ClientError as exc:
                if exc.response["ResponseMetadata"]["HTTPStatusCode"] != 412:
                    raise
                message = f"`{found.key}` was changed while it was being copied"
                raise InputError(error("CPT446", message)) from exc


def _is_inside(name: str) -> bool:
    """Tell whether a name is that of a file in a folder, spelled in the one way there is."""
    path = PurePosixPath(name)
    is_plain = not path.is_absolute() and ".." not in path.parts and str(path) == name
    return is_plain and name not in ("", ".") and "\\" not in name and name.isprintable()
