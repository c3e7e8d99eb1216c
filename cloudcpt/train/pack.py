"""From tokenised documents to a folder of rows: one window of a source at a time.

    1 stream     token ids of all documents                 -> documents.bin
    2 pack       lengths -> pieces of each row              plan.geometry, the planner's own function
    3 write      pieces copied into rows                    -> the folder of cloudcpt.train.rows

A folder appears under its final name only when it is whole.

Disk: 8 bytes per token of the window while packing, 4 afterwards; memory: about 200 bytes per document and piece of the
window, never the tokens.
"""

import shutil
from array import array
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cloudcpt.dataset.tokenising import TokenisedBlock
from cloudcpt.errors import Blame
from cloudcpt.plan.geometry import Row, pack
from cloudcpt.plan.plan import Geometry, Source
from cloudcpt.train import rows as layout
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure


@dataclass(frozen=True, kw_only=True)
class TokenisedDocuments:
    """All documents of a window as one stream of token ids on disk.

    Args:
        stream: [tokens] uint32, documents one after another, mapped.
        lengths: Tokens of each document, boundary token included.
        origins: File and line of each document, two numbers each: file, line, file, line, ...
        text_bytes: UTF-8 bytes of the text of all documents.
    """

    stream: npt.NDArray[np.uint32]
    lengths: "array[int]"
    origins: "array[int]"
    text_bytes: int


def room_for(folder: Path) -> Path:
    """Remove what an earlier attempt left of a folder, and name the one to prepare it in."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    for stale in (temporary, folder):
        with suppress(FileNotFoundError):
            shutil.rmtree(stale)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return temporary


def build_rows(
    source: Source,
    geometry: Geometry,
    blocks: Iterable[TokenisedBlock],
    folder: Path,
    *,
    boundary_id: int,
    is_whole: bool,
    origin: layout.Origin = "tokenised",
) -> None:
    """Turn the documents of one window into a folder of rows.

    Args:
        source: Whose window it is.
        geometry: Length and packing of the rows.
        blocks: Its documents, in order.
        folder: To be made.
        boundary_id: Token that ends a document.
        is_whole: The source has no other window.
        origin: Recorded with the rows.

    Raises:
        TrainingFailure: documents, tokens or rows of a whole source differ from what the plan counted exactly.
    """
    temporary = room_for(folder)
    temporary.mkdir()
    stream_path = temporary / "documents.bin"
    documents = _stream(blocks, stream_path)
    packed = pack(documents.lengths, geometry.seq_len_tokens, geometry.packing)
    if is_whole:
        refuse_drift(source, documents=len(documents.lengths), tokens=len(documents.stream), rows=len(packed))
    header = layout.RowsHeader(
        seq_len_tokens=geometry.seq_len_tokens,
        boundary_id=boundary_id,
        num_tokens=len(documents.stream),
        text_bytes=documents.text_bytes,
        files=tuple(file.name for file in source.files),
        origin=origin,
    )
    _write_rows(temporary, header, documents, packed)
    stream_path.unlink()
    temporary.rename(folder)


def _stream(blocks: Iterable[TokenisedBlock], stream_path: Path) -> TokenisedDocuments:
    lengths, origins = array("Q"), array("Q")
    text_bytes = 0
    with stream_path.open("wb") as stream:
        for block in blocks:
            stream.write(block.ids)
            lengths.extend(block.lengths)
            origins.extend(block.origins)
            text_bytes += block.text_bytes
    # Never empty: a window without documents is an error of the dataset, and each document has its boundary.
    tokens = np.memmap(stream_path, dtype="<u4", mode="r")
    return TokenisedDocuments(stream=np.asarray(tokens), lengths=lengths, origins=origins, text_bytes=text_bytes)


def refuse_drift(source: Source, *, documents: int, tokens: int, rows: int) -> None:
    """The same bytes must turn into the same rows; otherwise the trainer's tokenizer is not the planner's."""
    if source.exact and (documents, tokens, rows) != (source.documents, source.tokens, source.rows):
        message = (
            f"source `{source.name}` turned into {documents} documents, {tokens} tokens and {rows} rows, "
            f"the plan counted {source.documents}, {source.tokens} and {source.rows}"
        )
        hint = "make the plan again with the cloudcpt and tokenizers versions that train"
        raise TrainingFailure(Failure(code="CPT651", blame=Blame.USER, message=message, hint=hint))


def _write_rows(folder: Path, header: layout.RowsHeader, documents: TokenisedDocuments, packed: list[Row]) -> None:
    offsets = array("Q", accumulate(documents.lengths, initial=0))
    # Not flushed: the processes of this node read from the page cache, and nobody reads after a power cut.
    target = layout.make_room(folder / layout.TOKENS_FILE, num_rows=len(packed), seq_len=header.seq_len_tokens)
    for row, pieces in enumerate(packed):
        at = 0
        for document, start, stop in pieces:
            first = offsets[document] + start
            target[row, at : at + stop - start] = documents.stream[first : first + stop - start]
            at += stop - start
        target[row, at:] = header.boundary_id
    numbers = chain.from_iterable(chain.from_iterable(packed))
    np.save(folder / layout.PIECES_FILE, np.fromiter(numbers, dtype=np.int64).reshape(-1, 3))
    row_starts = np.fromiter(accumulate(map(len, packed), initial=0), dtype=np.int64, count=len(packed) + 1)
    np.save(folder / layout.ROW_STARTS_FILE, row_starts)
    np.save(
        folder / layout.DOCUMENTS_FILE,
        np.frombuffer(documents.origins, dtype=np.uint64).reshape(-1, 2).astype(np.int64),
    )
    (folder / layout.HEADER_FILE).write_text(header.to_json(), "utf-8")
