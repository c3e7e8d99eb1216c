"""Checking a dataset on an engine: its tasks check the blocks of one file each, and here they are put together.

The pieces and the putting together are those of one machine (`cloudcpt.dataset.check`), in the order of the files, so
the report is the same. Of every document 32 bytes come here, to find what is there twice across files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from cloudcpt.corpus.engine import Engine
from cloudcpt.corpus.engine_dedup import MakePlace
from cloudcpt.dataset.blocks import BLOCK_BYTES
from cloudcpt.dataset.check import FoundInFile, ReadFiles, read_blocks
from cloudcpt.dataset.feed import FileEnd
from cloudcpt.dataset.places import DataPlace, InputFile


def reading_on(engine: Engine, make_place: MakePlace) -> ReadFiles:
    """Give `check_in` what reads its files on an engine.

    Args:
        engine: Reads the files.
        make_place: Where they are.
    """
    return partial(_read, engine, make_place)


def _read(
    engine: Engine, make_place: MakePlace, _: DataPlace, files: Sequence[InputFile], first: int
) -> Iterator[FoundInFile]:
    work: Callable[[InputFile], list[FoundInFile]] = partial(_read_file, make_place, first)
    for number, of_file in enumerate(engine.each(work, files)):
        for found in of_file:
            yield found if isinstance(found, FileEnd) else (replace(found[0], file=number), found[1])


def _read_file(make_place: MakePlace, first: int, file: InputFile) -> list[FoundInFile]:
    return list(read_blocks(make_place(), [file], first, workers=1, block_bytes=BLOCK_BYTES))
