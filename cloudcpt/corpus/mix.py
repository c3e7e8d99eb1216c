"""The documents of a planned mixture: of each source as many tokens as the plan trains on.

    source --count--> Portion: whole passes, and how far a draw goes in the last one --write--> lines, pass after pass

In a whole pass every document is written once. In the last one documents are drawn by their ranks (`corpus.draw`), so
that what is written is the first so many tokens of an order drawn by the seed, up to one document less than asked for.
Lines are written as they are, in the order in which they stand.

Counting keeps 24 bytes for each document, writing nothing.
"""

from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from cloudcpt.corpus.draw import Draw, ranker
from cloudcpt.corpus.lines import lines_of
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.targets import is_single_file
from cloudcpt.dataset.blocks import Block
from cloudcpt.dataset.parallel import map_blocks
from cloudcpt.dataset.places import DataPlace, InputFile
from cloudcpt.dataset.progress import DataProgress, ShowProgress
from cloudcpt.errors import DatasetError, Diagnostic

if TYPE_CHECKING:
    from cloudcpt.dataset.tokens import DocumentTokenizer

_RANK_BITS: Final = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class MixSource:
    """One source of a mixture.

    Args:
        name: As the recipe has it.
        file_name: Of what is written of it, in a folder.
        files: In order.
        share: Of the tokens of the mixture.
        wanted_tokens: How many tokens of it there are to be, repeated passes included.
    """

    name: str
    file_name: str
    files: tuple[InputFile, ...]
    share: float
    wanted_tokens: int

    @property
    def size_bytes(self) -> int:
        """Of its files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, kw_only=True, slots=True)
class Portion:
    """What of a source is in the mixture.

    Args:
        documents: Of the source.
        tokens: Of the source, boundaries included.
        whole_passes: How often every document is written.
        last_limit: In the last pass the documents of smaller ranks are written; 0 for no such pass.
        last_documents: How many these are.
        last_tokens: Their tokens.
    """

    documents: int
    tokens: int
    whole_passes: int
    last_limit: int
    last_documents: int
    last_tokens: int

    @property
    def written_documents(self) -> int:
        """Over all passes."""
        return self.whole_passes * self.documents + self.last_documents

    @property
    def written_tokens(self) -> int:
        """Over all passes."""
        return self.whole_passes * self.tokens + self.last_tokens

    @property
    def limits(self) -> tuple[int, ...]:
        """Give for each pass the rank that no written document reaches."""
        return (1 << _RANK_BITS,) * self.whole_passes + (self.last_limit,) * bool(self.last_limit)


def count_portion(
    place: DataPlace,
    source: MixSource,
    tokenizer: "DocumentTokenizer",
    output: Output,
    *,
    seed: int,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> Portion:
    """Count the tokens of a source and decide what of it is in the mixture; an earlier command may have done so.

    Args:
        place: Where the files are.
        source: What is wanted of it.
        tokenizer: Of the base model.
        output: Remembers the result.
        seed: Of the draw.
        workers: Processes; 0 for one per core.
        progress: Called after every block.

    Raises:
        DatasetError: at the first line, or whole file, that validation calls an error.
    """
    from cloudcpt.dataset.tokenising import tokenise

    step = f"{source.name}: count"
    if step in output.finished:
        return Portion(**output.finished[step])
    lengths, origins, bytes_done = array("Q"), array("Q"), 0
    for block in tokenise(place, source.files, tokenizer, workers=workers):
        lengths.extend(block.lengths)
        origins.extend(block.origins)
        bytes_done += block.block_bytes
        if progress:
            progress(DataProgress(bytes_done=bytes_done, bytes_total=source.size_bytes, documents=len(lengths)))
    portion = _portion(source, lengths, origins, seed)
    output.finish(step, asdict(portion))
    return portion


def _portion(source: MixSource, lengths: "array[int]", origins: "array[int]", seed: int) -> Portion:
    """Divide what is wanted into whole passes and a draw."""
    tokens = sum(lengths)
    whole_passes, rest = divmod(source.wanted_tokens, tokens)
    names, rank_of, draw = [file.name.encode() for file in source.files], ranker(seed), Draw(rest)
    ranks = [
        rank_of(_key(source.name, names[file], line)) for file, line in zip(origins[::2], origins[1::2], strict=True)
    ]
    for rank, length in zip(ranks, lengths, strict=True):
        draw.offer(rank, length)
    draw.settle()
    drawn = [length for rank, length in zip(ranks, lengths, strict=True) if rank < draw.limit]
    return Portion(
        documents=len(lengths),
        tokens=tokens,
        whole_passes=whole_passes,
        last_limit=draw.limit if drawn else 0,
        last_documents=len(drawn),
        last_tokens=sum(drawn),
    )


def _key(source: str, file: bytes, line: int) -> bytes:
    return b"%s\0%s\0%d" % (source.encode(), file, line)


def write_portion(
    place: DataPlace,
    source: MixSource,
    portion: Portion,
    output: Output,
    *,
    seed: int,
    workers: int = 0,
    progress: ShowProgress | None = None,
) -> None:
    """Write what of a source is in the mixture, pass after pass; those that an earlier command wrote are there.

    Args:
        place: Where the files are.
        source: Its files.
        portion: What to write.
        output: A folder, in which the source has a file; or one file for all sources, one after another.
        seed: Of the draw.
        workers: Processes; 0 for one per core.
        progress: Called after every block.

    Raises:
        DatasetError: a file cannot be read, or has changed.
    """
    name = output.target.name if is_single_file(output.target) else source.file_name
    bytes_total, bytes_done, documents = source.size_bytes * len(portion.limits), 0, 0
    for number, limit in enumerate(portion.limits, start=1):
        step = f"{source.name}: pass {number}"
        if step in output.finished:
            bytes_done += source.size_bytes
            continue
        choose = partial(_chooser, source.name, tuple(file.name for file in source.files), seed, limit)
        size_bytes = 0
        with output.appending(name) as file:
            for block, (lines, chosen) in map_blocks(place, source.files, choose, workers=workers):
                size_bytes += file.write(lines)
                bytes_done, documents = bytes_done + len(block.content), documents + chosen
                if progress:
                    progress(DataProgress(bytes_done=bytes_done, bytes_total=bytes_total, documents=documents))
        output.finish(step, {"size_bytes": size_bytes})


def _chooser(source: str, names: tuple[str, ...], seed: int, limit: int) -> Callable[[Block], tuple[bytes, int]]:
    """Make what gives those lines of a block that are in a pass, and how many they are."""
    rank_of = ranker(seed)

    def choose(block: Block) -> tuple[bytes, int]:
        name, lines = names[block.file].encode(), []
        for item in lines_of(block):
            if isinstance(item, Diagnostic):
                raise DatasetError(item)
            record, line = item
            if limit >> _RANK_BITS or rank_of(_key(source, name, record.line)) < limit:
                lines.append(line)
        return b"".join(lines), len(lines)

    return choose
