"""Stored weights: where each parameter's numbers lie in the safetensors files, and reading some rows of them.

A rank of a sharded job needs a few rows of each tensor. safetensors reads exactly those from the file, so no process
ever holds the whole model: between what a rank keeps and what it reads at one time lies one tensor.

transformers can do more: rename, merge and convert what old or foreign files hold. Where the names do not match one
to one, nothing here guesses; `matched_weights` says None, and the model is read whole by transformers.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import PreTrainedModel

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"

_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""As safetensors spells them; weights of any other type are not ours to read."""

_RENAMED = {"embed_out.": "lm_head."}
"""What transformers 5 calls otherwise: the output embedding of GPT-NeoX. Source: its conversion_mapping.py."""

_LEFT_BEHIND = (r"rotary_emb\.inv_freq$", r"(^|\.)position_ids$")
"""Tables that old files hold beside the weights, and that every class computes by now, as transformers leaves them."""

_COMPARED_ROWS = 8192
"""Of two embeddings that should be one; 8192 rows of 8192 numbers in bf16 are 0.13 GB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """One tensor of a file: `name` is what the file calls it."""

    path: Path
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    def rows(self, part: slice) -> torch.Tensor:
        """Read some rows, as they are stored."""
        with safe_open(self.path, "pt") as file:
            return _rows(file, self, part)


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """List the weights of a model folder by name, without reading them.

    Raises:
        OSError: a file is missing.
        SafetensorError: a file is damaged.
        KeyError: a weight is of a type that no base model of ours has.
    """
    index = folder / _INDEX
    names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values())) if index.exists() else [_SINGLE]
    found = {}
    for path in (folder / name for name in names):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a dict
                header = file.get_slice(name)
                if header.get_dtype() in _DTYPES:  # old files hold masks and tables of other types too
                    dtype, shape = _DTYPES[header.get_dtype()], tuple(header.get_shape())
                    found[name] = StoredTensor(path=path, name=name, dtype=dtype, shape=shape)
    return found


def matched_weights(model: PreTrainedModel, stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor] | None:
    """Find the stored tensor of every parameter.

    Args:
        model: Its parameters may be without storage.
        stored: Of its folder.

    Returns:
        Stored tensors by the name of the parameter, a tied one under its first name; None where names or shapes do not
        match one to one, or two stored tensors would be one parameter and differ.
    """
    names: defaultdict[torch.nn.Parameter, list[str]] = defaultdict(list)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names[parameter].append(name)
    known = set(model.state_dict())
    renamed = {_name_in(model, name, known): tensor for name, tensor in stored.items()}
    if len(renamed) < len(stored):
        return None
    found = {}
    for parameter, own in names.items():
        tensors = [renamed.pop(name) for name in own if name in renamed]
        known.difference_update(own)
        if not tensors or any(tensor.shape != parameter.shape for tensor in tensors) or not _are_one(tensors):
            return None
        found[own[0]] = tensors[0]
    left_over = [name for name in renamed if not _is_left_behind(model, name)]
    return None if left_over or known else found


def read_rows(
    weights: Mapping[str, StoredTensor], part_of: Callable[[str], slice]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Read a part of every weight, file by file.

    Args:
        weights: By the name of the parameter.
        part_of: Rows to read of a parameter.

    Yields:
        Name and rows, in the dtype in which they are stored. They are pages of the file: a copy is to be made of them.
    """
    files: defaultdict[Path, list[str]] = defaultdict(list)
    for name, tensor in weights.items():
        files[tensor.path].append(name)
    for path, names in files.items():
        with safe_open(path, "pt") as file:
            for name in names:
                yield name, _rows(file, weights[name], part_of(name))


def _rows(file: safe_open, tensor: StoredTensor, part: slice) -> torch.Tensor:
    rows: torch.Tensor = file.get_slice(tensor.name)[part]  # type: ignore[no-untyped-call]
    return rows


def _name_in(model: PreTrainedModel, name: str, known: Container[str]) -> str:
    """Say what the model calls a stored tensor; files of a base model leave its prefix out."""
    for old, new in _RENAMED.items():
        name = new + name.removeprefix(old) if name.startswith(old) and name not in known else name
    return name if name in known else f"{model.base_model_prefix}.{name}"


def _is_left_behind(model: PreTrainedModel, name: str) -> bool:
    patterns = (*_LEFT_BEHIND, *(model._keys_to_ignore_on_load_unexpected or ()))  # noqa: SLF001 - it has no other name
    return any(re.search(pattern, name) for pattern in patterns)


def _are_one(tensors: list[StoredTensor]) -> bool:
    """Compare the stored tensors of one parameter: a tied embedding may be written under both of its names."""
    first, *others = tensors
    parts = [slice(start, start + _COMPARED_ROWS) for start in range(0, first.shape[0], _COMPARED_ROWS)]
    return all(torch.equal(first.rows(part), other.rows(part)) for other in others for part in parts)
