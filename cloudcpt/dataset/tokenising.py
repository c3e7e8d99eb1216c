"""Whole datasets to token ids, in as many processes as there are cores; in the files' order, always the same.

    files --map_blocks--> Block --encode--> TokenisedBlock (ids, lengths, origins), Block, Block, ...

Each process has the tokenizer once. What it hands back are flat arrays, four bytes a token, so that who writes them
to disk copies bytes and never sees a list of numbers:

    for block in tokenise(place, files, tokenizer):
        stream.write(block.ids)             # uint32, little-endian, documents one after another
        lengths.extend(block.lengths)
        origins.extend(block.origins)

The ids of a document are those of `DocumentTokenizer.encode`. Memory: a few blocks, their ids and 50 MB of remembered
words per process.
"""

import os
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from cloudcpt.dataset.blocks import BLOCK_BYTES, Block, records_of
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.records import Record
from cloudcpt.dataset.tokens import DocumentTokenizer
from cloudcpt.errors import DatasetError, Diagnostic, Severity


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenisedBlock:
    """The documents of one block.

    Args:
        ids: Token ids of all documents, boundaries included, as little-endian uint32.
        lengths: Tokens of each document, boundary included; `array("Q")`.
        origins: File (its index) and line (from 1) of each document, two numbers each; `array("Q")`.
        text_bytes: UTF-8 bytes of the text of all documents.
        characters: Of the text of all documents.
        block_bytes: Of the lines that they were read from, for progress.
        fault: The first error among the lines; nothing after it was read.
    """

    ids: bytes
    lengths: "array[int]"
    origins: "array[int]"
    text_bytes: int
    characters: int
    block_bytes: int
    fault: Diagnostic | None = None


def tokenise(
    place: DataPlace,
    files: Sequence[InputFile],
    tokenizer: DocumentTokenizer,
    *,
    workers: int = 0,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TokenisedBlock]:
    """Encode every document of some files, in order.

    Args:
        place: Where the files are.
        files: In the order in which documents are numbered.
        tokenizer: Of the base model.
        workers: Processes; 0 for as many as this process may use cores, 1 to do everything here.
        block_bytes: About how much text is encoded at once.

    Raises:
        DatasetError: at the first line, or whole file, that validation calls an error.
    """
    make_work = partial(_make_encoder, tokenizer, os.getpid())
    for _, done in map_blocks(place, files, make_work, workers=workers, block_bytes=block_bytes):
        if done.fault is not None:
            raise DatasetError(done.fault)
        yield done


def _make_encoder(tokenizer: DocumentTokenizer, parent: int) -> Callable[[Block], TokenisedBlock]:
    if os.getpid() != parent:
        # There is a process per core already; the library would start as many threads in each.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return partial(encode_block, tokenizer)


def encode_block(tokenizer: DocumentTokenizer, block: Block) -> TokenisedBlock:
    """Encode the documents of one block, up to the first error among its lines."""
    texts: list[str] = []
    origins = array("Q")
    fault = None
    for item in records_of(block):
        if isinstance(item, Record):
            texts.append(item.text)
            origins.extend((block.file, item.line))
        elif item.severity is Severity.ERROR:
            fault = item
            break
    encoded = tokenizer.encode_flat(texts)
    return TokenisedBlock(
        ids=_little_endian(b"".join(encoded)),
        lengths=array("Q", (len(ids) // 4 for ids in encoded)),
        origins=origins,
        text_bytes=sum(len(text) if text.isascii() else len(text.encode()) for text in texts),
        characters=sum(map(len, texts)),
        block_bytes=len(block.content),
        fault=fault,
    )


def _little_endian(ids: bytes) -> bytes:
    if sys.byteorder == "little":
        return ids
    swapped = array("I", ids)
    swapped.byteswap()
    return swapped.tobytes()
