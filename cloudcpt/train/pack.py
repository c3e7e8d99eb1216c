"""From documents to rows: read, tokenise, pack, write; once per node, before the first step.

    1 read       files of a source, in plan order           -> records (text, line)
    2 tokenise   a batch of texts at a time                 -> documents.bin, all token ids in one stream
    3 pack       lengths -> pieces of each row              plan.geometry, the planner's own function
    4 write      pieces copied into rows                    -> the folder of cloudcpt.train.rows

On a machine that keeps rows between jobs (`MlFolder.row_cache`), all four are left out for text that an earlier job has
turned into the same rows. A folder appears under its final name only when it is whole.

Disk: 8 bytes per token while packing, 4 afterwards; memory: about 200 bytes per document and piece (2 GB for ten
million documents), never the tokens.
"""

import json
import shutil
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import accumulate, chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
from blake3 import blake3

from cloudcpt.dataset.records import Record, read_records
from cloudcpt.dataset.row_cache import RowCache
from cloudcpt.dataset.tokens import BATCH_CHARACTERS, TOKENIZER_FILE, DocumentTokenizer, load_tokenizer
from cloudcpt.errors import Blame
from cloudcpt.plan.geometry import Row, pack
from cloudcpt.plan.plan import Geometry, Plan, Source
from cloudcpt.train import rows as layout
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import Failure, MlFolder


@dataclass(frozen=True, kw_only=True)
class TokenisedDocuments:
    """All documents of a source as one stream of token ids on disk.

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


def prepare_rows(
    plan: Plan, ml: MlFolder, tokenizer_folder: Path, *, is_node_main: bool, barrier: Callable[[], None]
) -> dict[str, layout.Rows]:
    """Make the rows of every source once per node and map them.

    Args:
        plan: Which sources, and what was counted.
        ml: Where the channels are, and the scratch space for rows.
        tokenizer_folder: Holds tokenizer.json: the base model, or its stand-in.
        is_node_main: True on the one process of each node that does the work.
        barrier: Holds every process until all have called it.

    Returns:
        Rows by channel.

    Raises:
        TrainingFailure: a source that the plan counted exactly turns into other rows.
        DatasetError: a line or the tokenizer cannot be read.
    """
    folders = {source.channel: ml.scratch / "rows" / source.channel for source in plan.sources}
    if is_node_main:
        tokenizer, cache = load_tokenizer(tokenizer_folder), RowCache(ml.row_cache)
        tokenizer_blake3 = blake3((tokenizer_folder / TOKENIZER_FILE).read_bytes()).hexdigest()
        for source in plan.sources:
            folder = folders[source.channel]
            key = rows_key(source, plan.geometry, tokenizer_blake3=tokenizer_blake3, boundary_id=tokenizer.boundary_id)
            found = cache.take(key, _room_for(folder))
            if found == "taken":
                _adopt(source, folder)
            else:
                origin: layout.Origin = "repaired" if found == "damaged" else "tokenised"
                build_rows(source, plan.geometry, ml.channel(source.channel), folder, tokenizer, origin)
                cache.keep(key, folder)
    barrier()
    return {channel: layout.open_rows(folder) for channel, folder in folders.items()}


def rows_key(source: Source, geometry: Geometry, *, tokenizer_blake3: str, boundary_id: int) -> str:
    """Name the rows of a source by everything that they depend on, and by nothing else: 64 hex digits.

    Args:
        source: Whose files count by their content, in order; not by their names.
        geometry: Length and packing of the rows.
        tokenizer_blake3: Of tokenizer.json.
        boundary_id: Token that ends a document, which other files of the model decide.
    """
    rests_on = {
        "version": layout.ROWS_VERSION,
        "tokenizers": version("tokenizers"),
        "tokenizer": tokenizer_blake3,
        "boundary_id": boundary_id,
        "seq_len_tokens": geometry.seq_len_tokens,
        "packing": geometry.packing,
        "files": [file.blake3 for file in source.files],
    }
    return blake3(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()


def _room_for(folder: Path) -> Path:
    """Remove what an earlier attempt left of a folder, and name the one to prepare it in."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    for stale in (temporary, folder):
        with suppress(FileNotFoundError):
            shutil.rmtree(stale)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return temporary


def _adopt(source: Source, folder: Path) -> None:
    """Finish the rows that the cache gave: their files are shared, except for the header, which names this job's files.

    Raises:
        TrainingFailure: documents, tokens or rows differ from what the plan counted exactly.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    rows = layout.open_rows(temporary)
    _refuse_drift(source, documents=len(rows.documents), tokens=rows.header.num_tokens, rows=len(rows))
    header = replace(rows.header, files=tuple(file.name for file in source.files), origin="reused")
    (temporary / layout.HEADER_FILE).unlink()  # a link: what is written into it, the cache would have too
    (temporary / layout.HEADER_FILE).write_text(header.to_json(), "utf-8")
    temporary.rename(folder)


def build_rows(
    source: Source,
    geometry: Geometry,
    channel: Path,
    folder: Path,
    tokenizer: DocumentTokenizer,
    origin: layout.Origin = "tokenised",
) -> None:
    """Turn the documents of one source into a folder of rows.

    Raises:
        TrainingFailure: documents, tokens or rows differ from what the plan counted exactly.
    """
    temporary = _room_for(folder)
    temporary.mkdir()
    stream_path = temporary / "documents.bin"
    documents = _tokenise(source, channel, stream_path, tokenizer)
    packed = pack(documents.lengths, geometry.seq_len_tokens, geometry.packing)
    _refuse_drift(source, documents=len(documents.lengths), tokens=len(documents.stream), rows=len(packed))
    header = layout.RowsHeader(
        seq_len_tokens=geometry.seq_len_tokens,
        boundary_id=tokenizer.boundary_id,
        num_tokens=len(documents.stream),
        text_bytes=documents.text_bytes,
        files=tuple(file.name for file in source.files),
        origin=origin,
    )
    _write_rows(temporary, header, documents, packed)
    stream_path.unlink()
    temporary.rename(folder)


def _tokenise(source: Source, channel: Path, stream_path: Path, tokenizer: DocumentTokenizer) -> TokenisedDocuments:
    lengths, origins = array("Q"), array("Q")
    text_bytes = 0
    with stream_path.open("wb") as stream:
        for number, file in enumerate(source.files):
            for batch in _text_batches(read_records(channel / file.placed)):
                for record, ids in zip(batch, tokenizer.encode([record.text for record in batch]), strict=True):
                    stream.write(np.array(ids, dtype=np.uint32).tobytes())
                    lengths.append(len(ids))
                    origins.extend((number, record.line))
                    text_bytes += len(record.text.encode())
    # Never empty: a file without documents is an error of the dataset, and each document has its boundary.
    tokens = np.memmap(stream_path, dtype=np.uint32, mode="r")
    return TokenisedDocuments(stream=np.asarray(tokens), lengths=lengths, origins=origins, text_bytes=text_bytes)


def _text_batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    characters = 0
    for record in records:
        batch.append(record)
        characters += len(record.text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _refuse_drift(source: Source, *, documents: int, tokens: int, rows: int) -> None:
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
