"""Rows of Parquet and Arrow, batch by batch: memory depends on the largest row group or batch, not on the file.

Arrow files are of two kinds, with an index at the end (Feather, `.arrow` of most programs) and without (what Hugging
Face's `save_to_disk` writes); the first bytes tell.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from cloudcpt.corpus.extras import require
from cloudcpt.corpus.readers.rows import Row, Rows, damaged

_BATCH_ROWS: Final = 1000
_WITH_INDEX: Final = b"ARROW1"
_FEATHER_1: Final = b"FEA1"


def parquet_rows(raw: io.RawIOBase, shown: str, columns: Sequence[str] | None) -> Rows:
    """Read the rows of a Parquet file.

    Args:
        raw: The file.
        shown: As the user named it.
        columns: To read; all when None. Those that the file does not have are not in the rows.

    Raises:
        DatasetError: it is no Parquet file, or is damaged.
        SetupError: pyarrow is not installed.
    """
    require("pyarrow")
    with _understood(shown, "Parquet"):
        from pyarrow.parquet import ParquetFile

        with ParquetFile(raw, buffer_size=1 << 20, pre_buffer=False) as file:
            there = file.schema_arrow.names
            _require_names(there, shown)
            wanted = [name for name in there if columns is None or name in columns]
            yield from _rows(file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted))


def arrow_rows(raw: io.RawIOBase, shown: str, columns: Sequence[str] | None) -> Rows:
    """Read the rows of an Arrow file of either kind; arguments as for `parquet_rows`."""
    require("pyarrow")
    head = raw.read(8) or b""
    raw.seek(0)
    if head.startswith(_FEATHER_1):
        raise damaged(shown, f"`{shown}` is Feather of version 1", hint="save it again, as Feather 2 or Parquet")
    with _understood(shown, "Arrow"):
        yield from _rows(_batches(raw, shown, head, columns))


def _batches(raw: io.RawIOBase, shown: str, head: bytes, columns: Sequence[str] | None) -> Iterator[Any]:
    from pyarrow import ipc

    has_index = head.startswith(_WITH_INDEX)
    with ipc.open_file(raw) if has_index else ipc.open_stream(raw) as file:
        there = file.schema.names
        _require_names(there, shown)
        wanted = [name for name in there if columns is None or name in columns]
        batches = (file.get_batch(index) for index in range(file.num_record_batches)) if has_index else iter(file)
        for batch in batches:
            for start in range(0, batch.num_rows, _BATCH_ROWS):
                yield batch.select(wanted).slice(start, _BATCH_ROWS)


def _rows(batches: Iterator[Any]) -> Rows:  # Any: pyarrow has no types
    number = 0
    for batch in batches:
        for value in batch.to_pylist():
            number += 1
            yield Row(number, value)


def _require_names(names: Sequence[str], shown: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise damaged(shown, f"`{shown}` has two columns named `{twice[0]}`", hint="rename one")


@contextmanager
def _understood(shown: str, name: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:
            raise
        reason = str(exc).splitlines()[0].partition(". ")[0].rstrip(".") if str(exc) else "it ends too early"
        hint = "it was not copied whole, or was written by something else"
        raise damaged(shown, f"`{shown}` cannot be read as {name}: {reason}", hint=hint) from exc
