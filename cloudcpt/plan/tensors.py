"""The header of a safetensors file: which tensors it holds, without reading one of them.

A file is 8 bytes N (little-endian), N bytes of JSON (name -> dtype, shape, data_offsets), then the data.
Source: huggingface/safetensors, README.md, "Format".
"""

import json
from dataclasses import dataclass
from math import prod

from cloudcpt.plan.model_folder import ModelContent

_HEADER_LIMIT = 100_000_000
"""The format's own limit, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One stored tensor: its name, its dtype as the format spells it (`BF16`), its elements."""

    name: str
    dtype: str
    elements: int


class BrokenFile(Exception):
    """A file is not safetensors, or not all of it is there; the message says how."""


def read_tensors(folder: ModelContent, name: str) -> tuple[Tensor, ...]:
    """List the tensors of one file of a model.

    Raises:
        BrokenFile: the header cannot be read, or the data has not the length that the header promises.
    """
    size = folder.size_bytes(name)
    header_bytes = int.from_bytes(folder.read(name, 0, min(8, size)), "little")
    if not 2 <= header_bytes <= min(size - 8, _HEADER_LIMIT):
        raise BrokenFile(f"says that its header has {header_bytes} bytes, and the file has {size}")
    text = folder.read(name, 8, 8 + header_bytes)
    try:
        table = json.loads(text)
        rows = {name: row for name, row in table.items() if name != "__metadata__"}
        tensors = tuple(_tensor(name, row) for name, row in rows.items())
        end = max((row["data_offsets"][1] for row in rows.values()), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as exc:
        raise BrokenFile(f"has a header that cannot be read ({type(exc).__name__}: {exc})") from exc
    if 8 + header_bytes + end != size:
        raise BrokenFile(f"has {size} bytes where its header promises {8 + header_bytes + end}")
    return tensors


def _tensor(name: str, row: dict[str, object]) -> Tensor:
    shape = row["shape"]
    if not isinstance(shape, list) or not all(isinstance(axis, int) for axis in shape):
        raise TypeError(f"shape of `{name}` is {shape!r}")
    return Tensor(name=name, dtype=str(row["dtype"]), elements=prod(shape))
