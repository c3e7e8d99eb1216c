"""Dedup on an engine: the files are read and written by its tasks, whatever machines they are on.

    exact, normalised   file --digests--> partitions, by how a digest begins --> what goes, partition by partition
    near                file --signatures--> one file of records here --> what goes
    written             file and the lines that go --> the same file, without them

The decision is that of one machine, `repeats.find_repeats`, on all records or on a partition of them: documents that
are equal are in the same partition, in their order, so that the first of them is the same one. Signatures cannot be
divided like that, because every band of them divides otherwise; they are gathered, 512 bytes a document.

Memory: of a task, the digests of one file, or of one partition, about 60 bytes for each; here 24 bytes for each
document that goes.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.engine import Engine
from cloudcpt.corpus.extras import require
from cloudcpt.corpus.recording import record_block
from cloudcpt.corpus.repeats import Repeats, find_repeats
from cloudcpt.corpus.signing import DIGEST_BYTES, Method, signer
from cloudcpt.dataset.findings import Findings, SomeFindings
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.errors import DatasetError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MakePlace = Callable[[], DataPlace]
"""Makes the place of the files where a task runs: clients of S3 do not travel."""

PARTITION_BYTES: Final = 512 << 20
"""Of digests, about, in one partition."""

_DOCUMENT_BYTES: Final = 4000
"""Of a line, assumed, where only sizes are known."""

_MOST_PARTITIONS: Final = 512
"""A part of a full file of 5 GB then still has more than the 100 kB below which Ray keeps it in the driver's memory."""

_SHOWN_FINDINGS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """What one file brings into one partition.

    Args:
        documents: Of the whole file.
        numbers: [P] int64, of the documents in this partition, from 0 in the file, rising.
        digests: One after the other, 16 bytes each.
        findings: Of the file, in the first partition only.
    """

    documents: int
    numbers: "NDArray[np.int64]"
    digests: bytes
    findings: SomeFindings


@dataclass(frozen=True, kw_only=True, slots=True)
class _Decided:
    """What was found in one partition.

    Args:
        counts: Documents of every file.
        repeats: What goes, by the numbers of all documents.
        findings: Of all files, in the first partition only.
    """

    counts: tuple[int, ...]
    repeats: Repeats
    findings: tuple[SomeFindings, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signed:
    """The records of one file, and the errors in it."""

    documents: int
    records: bytes
    findings: SomeFindings


def find_repeats_on(
    engine: Engine,
    make_place: MakePlace,
    files: Sequence[InputFile],
    method: Method,
    *,
    threshold: float,
    partitions: int = 0,
    progress: ShowProgress | None = None,
) -> tuple[Repeats, list[int]]:
    """Decide which documents go.

    Args:
        engine: Reads the files.
        make_place: Where they are.
        files: In order.
        method: How documents are compared.
        threshold: Least similarity of near documents; not looked at by other methods.
        partitions: Of the digests; 0 for what the sizes of the files ask for. The result is the same.
        progress: Called after every file, or partition.

    Returns:
        What goes, and how many documents each file has.

    Raises:
        DatasetError: some lines are no documents; with the first of each kind.
        SetupError: a library is missing, or the engine gave up.
    """
    require("numpy", "rensa") if method is Method.NEAR else require("numpy")
    if method is Method.NEAR:
        return _near_on(engine, make_place, files, threshold, progress)
    return _equal_on(engine, make_place, files, method, partitions or _partitions(files), progress)


def sign_file(make_place: MakePlace, method: Method, file: InputFile) -> _Signed:
    """Make the records of one file: the task of a method that gathers them, and half of the others'."""
    documents, records, findings = 0, [], Findings(_SHOWN_FINDINGS)
    make_work = partial(partial, record_block, signer(method))
    for _, signed in map_blocks(make_place(), [file], make_work, workers=1):
        documents += signed.documents
        records.append(signed.records)
        for found in signed.findings:
            findings.add(found)
    return _Signed(documents=documents, records=b"".join(records), findings=findings.some())


def _equal_on(
    engine: Engine,
    make_place: MakePlace,
    files: Sequence[InputFile],
    method: Method,
    partitions: int,
    progress: ShowProgress | None,
) -> tuple[Repeats, list[int]]:
    import numpy as np

    split = partial(_split, make_place, method, partitions)
    found: list[_Decided] = []
    for decided in engine.exchange(split, _decide, files, partitions=partitions):
        if not found:
            _require_documents(decided.findings)
        found.append(decided)
        _tell(progress, files, sum(decided.counts), len(found) / partitions)
    if not found:
        return _no_repeats(), []
    dropped = np.concatenate([one.repeats.dropped for one in found])
    kept = np.concatenate([one.repeats.kept for one in found])
    order = np.argsort(dropped)
    repeats = Repeats(dropped=dropped[order], kept=kept[order], similarity=np.ones(len(order)))
    return repeats, list(found[0].counts)


def _near_on(
    engine: Engine, make_place: MakePlace, files: Sequence[InputFile], threshold: float, progress: ShowProgress | None
) -> tuple[Repeats, list[int]]:
    counts, findings = [], []
    with tempfile.TemporaryDirectory(prefix="cloudcpt-") as folder:
        records = Path(folder) / "records"
        with records.open("wb") as written:
            for signed in engine.each(partial(sign_file, make_place, Method.NEAR), files):
                written.write(signed.records)
                counts.append(signed.documents)
                findings.append(signed.findings)
                _tell(progress, files, sum(counts), len(counts) / len(files))
        _require_documents(findings)
        return find_repeats(records, Method.NEAR, threshold=threshold), counts


def _split(make_place: MakePlace, method: Method, partitions: int, file: InputFile) -> list[_Part]:
    """Read one file and sort its digests into partitions."""
    import numpy as np

    signed = sign_file(make_place, method, file)
    digests = np.frombuffer(signed.records, np.uint64).reshape(-1, DIGEST_BYTES // 8)
    where = (digests[:, 0] >> np.uint64(40)) * np.uint64(partitions) >> np.uint64(24)
    parts = []
    for partition in range(partitions):
        numbers = np.flatnonzero(where == partition)
        findings = SomeFindings() if partition else signed.findings
        content = digests[numbers].tobytes()
        parts.append(_Part(documents=signed.documents, numbers=numbers, digests=content, findings=findings))
    return parts


def _decide(parts: Sequence[_Part]) -> _Decided:
    """Find what goes among the digests of one partition, as one machine does."""
    import numpy as np

    counts = tuple(part.documents for part in parts)
    starts = np.cumsum([0, *counts[:-1]])
    documents = np.concatenate([part.numbers + start for part, start in zip(parts, starts, strict=True)])
    with tempfile.TemporaryDirectory(prefix="cloudcpt-") as folder:
        records = Path(folder) / "records"
        with records.open("wb") as written:
            written.writelines(part.digests for part in parts)
        found = find_repeats(records, Method.EXACT, threshold=1.0)
    repeats = Repeats(dropped=documents[found.dropped], kept=documents[found.kept], similarity=found.similarity)
    return _Decided(counts=counts, repeats=repeats, findings=tuple(part.findings for part in parts))


def _no_repeats() -> Repeats:
    import numpy as np

    nothing = np.empty(0, np.int64)
    return Repeats(dropped=nothing, kept=nothing, similarity=np.empty(0))


def _partitions(files: Sequence[InputFile]) -> int:
    digests_bytes = sum(file.size_bytes for file in files) // _DOCUMENT_BYTES * DIGEST_BYTES
    return min(1 + digests_bytes // PARTITION_BYTES, _MOST_PARTITIONS)


def _require_documents(of_files: Sequence[SomeFindings]) -> None:
    """Refuse files in which some lines are no documents, with the first findings of each kind in all of them.

    Raises:
        DatasetError: there are such lines.
    """
    findings = Findings(_SHOWN_FINDINGS)
    for number, found in enumerate(of_files):
        findings.add_all(found, file=number)
    if findings.error_count:
        raise DatasetError(*findings.diagnostics())


def _tell(progress: ShowProgress | None, files: Sequence[InputFile], documents: int, share: float) -> None:
    total = sum(file.size_bytes for file in files)
    if progress:
        progress(DataProgress(bytes_done=round(total * share), bytes_total=total, documents=documents))
