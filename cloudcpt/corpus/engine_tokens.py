"""Counting tokens on an engine: its tasks encode one file each; here comes how long the documents are, not the ids."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cloudcpt.corpus.engine import Engine
from cloudcpt.corpus.engine_dedup import MakePlace
from cloudcpt.dataset.places import InputFile
from cloudcpt.dataset.tokenising import TokenisedBlock, tokenise

if TYPE_CHECKING:
    from array import array

    from cloudcpt.dataset.tokens import DocumentTokenizer


def counted_on(
    engine: Engine, make_place: MakePlace, files: Sequence[InputFile], tokenizer: "DocumentTokenizer"
) -> Iterator[TokenisedBlock]:
    """Encode every document of some files, in order; see `cloudcpt.dataset.tokenising.tokenise`.

    Args:
        engine: Reads the files.
        make_place: Where they are.
        files: In order.
        tokenizer: Of the base model.

    Yields:
        The blocks, without ids and origins.

    Raises:
        DatasetError: at the first line, or whole file, that validation calls an error.
    """
    work: Callable[[InputFile], list[TokenisedBlock]] = partial(_count_file, make_place, tokenizer)
    for blocks in engine.each(work, files):
        yield from blocks


def _count_file(make_place: MakePlace, tokenizer: "DocumentTokenizer", file: InputFile) -> list[TokenisedBlock]:
    return [_without_ids(block) for block in tokenise(make_place(), [file], tokenizer, workers=1)]


def _without_ids(block: TokenisedBlock) -> TokenisedBlock:
    nothing: array[int] = block.origins[:0]
    return replace(block, ids=b"", origins=nothing)
