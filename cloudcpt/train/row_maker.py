"""Windows of text to folders of rows, kept between jobs: what was made before is taken, the rest is made.

On a machine that keeps rows (`MlFolder.row_cache`), a window whose text an earlier job, or an earlier attempt of this
one, has turned into the same rows is linked and not made. So a preparation that was interrupted goes on where it was.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from blake3 import blake3

from cloudcpt.dataset.row_cache import RowCache
from cloudcpt.dataset.tokenising import TokenisedBlock
from cloudcpt.dataset.tokens import TOKENIZER_FILE, load_tokenizer
from cloudcpt.plan.plan import Geometry, Plan, Source
from cloudcpt.train import rows as layout
from cloudcpt.train.pack import build_rows, refuse_drift, room_for
from cloudcpt.train.window_text import WindowText, tokenise_windows
from cloudcpt.train.windows import Windows
from cloudcpt.wire import MlFolder


class RowMaker:
    """Makes the rows of windows of one plan.

    Args:
        plan: Whose sources.
        ml: Where the rows go, and where they are kept.
        tokenizer_folder: The base model, or its stand-in.
        windows: Of the sources that are cut, by channel.

    Raises:
        DatasetError: the tokenizer cannot be read.
    """

    def __init__(self, plan: Plan, ml: MlFolder, tokenizer_folder: Path, windows: dict[str, Windows]) -> None:
        self._sources = {source.channel: source for source in plan.sources}
        self._geometry = plan.geometry
        self._ml = ml
        self._tokenizer = load_tokenizer(tokenizer_folder)
        self._tokenizer_blake3 = blake3((tokenizer_folder / TOKENIZER_FILE).read_bytes()).hexdigest()
        self._cache = RowCache(ml.row_cache)
        self._windows = windows

    def make(self, texts: Sequence[WindowText]) -> Iterator[Path]:
        """Put the rows of windows into their folders, one after another.

        Args:
            texts: In the order in which they are wanted.

        Yields:
            The folder of each, as soon as it is there.

        Raises:
            TrainingFailure: a whole source turns into other rows than the plan counted exactly.
            DatasetError: a line cannot be read.
        """
        are_kept = [self._cache.holds(self._key(text)) for text in texts]
        missing = [text for text, is_kept in zip(texts, are_kept, strict=True) if not is_kept]
        tokenised = tokenise_windows(missing, self._tokenizer)
        for text, is_kept in zip(texts, are_kept, strict=True):
            folder = self.folder(text)
            if not is_kept:
                self._build(text, next(tokenised), folder, "tokenised")
            else:
                self._take(text, folder)
            yield folder

    def keep(self, text: WindowText) -> None:
        """Keep the rows of a window for later jobs."""
        self._cache.keep(self._key(text), self.folder(text))

    def folder(self, text: WindowText) -> Path:
        """Say where the rows of a window belong."""
        return window_folder(self._ml, text.channel, text.number if text.channel in self._windows else None)

    def _take(self, text: WindowText, folder: Path) -> None:
        found = self._cache.take(self._key(text), room_for(folder))
        if found == "taken":
            _adopt(self._sources[text.channel], folder, is_whole=text.channel not in self._windows)
        else:
            origin: layout.Origin = "repaired" if found == "damaged" else "tokenised"
            self._build(text, next(tokenise_windows([text], self._tokenizer)), folder, origin)

    def _build(self, text: WindowText, blocks: Iterator[TokenisedBlock], folder: Path, origin: layout.Origin) -> None:
        build_rows(
            self._sources[text.channel],
            self._geometry,
            blocks,
            folder,
            boundary_id=self._tokenizer.boundary_id,
            is_whole=text.channel not in self._windows,
            origin=origin,
        )
        self.keep(text)

    def _key(self, text: WindowText) -> str:
        windows = self._windows.get(text.channel)
        return rows_key(
            self._sources[text.channel],
            self._geometry,
            tokenizer_blake3=self._tokenizer_blake3,
            boundary_id=self._tokenizer.boundary_id,
            window=(text.number, len(windows), windows.cut.block_bytes) if windows else None,
        )


def window_folder(ml: MlFolder, channel: str, number: int | None) -> Path:
    """Say where the rows of a source are, or of one of its windows."""
    folder = rows_folder(ml) / channel
    return folder if number is None else folder / f"window-{number:05d}"


def rows_folder(ml: MlFolder) -> Path:
    """Say where all rows of a job are."""
    return ml.scratch / "rows"


def rows_key(
    source: Source, geometry: Geometry, *, tokenizer_blake3: str, boundary_id: int, window: tuple[int, int, int] | None
) -> str:
    """Name the rows of a window by everything that they depend on, and by nothing else: 64 hex digits.

    Args:
        source: Whose files count by their content, in order; not by their names.
        geometry: Length and packing of the rows.
        tokenizer_blake3: Of tokenizer.json.
        boundary_id: Token that ends a document, which other files of the model decide.
        window: Its number, the number of windows and the size of a block; None for a whole source.
    """
    rests_on = {
        "version": layout.ROWS_VERSION,
        "tokenizers": version("tokenizers"),
        "tokenizer": tokenizer_blake3,
        "boundary_id": boundary_id,
        "seq_len_tokens": geometry.seq_len_tokens,
        "packing": geometry.packing,
        "files": [file.blake3 for file in source.files],
        "window": window,
    }
    return blake3(json.dumps(rests_on, sort_keys=True).encode()).hexdigest()


def _adopt(source: Source, folder: Path, *, is_whole: bool) -> None:
    """Finish the rows that the cache gave: their files are shared, except for the header, which names this job's files.

    Raises:
        TrainingFailure: documents, tokens or rows of a whole source differ from what the plan counted exactly.
    """
    temporary = folder.with_name(f".{folder.name}.tmp")
    rows = layout.open_rows(temporary)
    if is_whole:
        refuse_drift(source, documents=len(rows.documents), tokens=rows.header.num_tokens, rows=len(rows))
    header = replace(rows.header, files=tuple(file.name for file in source.files), origin="reused")
    (temporary / layout.HEADER_FILE).unlink()  # a link: what is written into it, the cache would have too
    (temporary / layout.HEADER_FILE).write_text(header.to_json(), "utf-8")
    temporary.rename(folder)
