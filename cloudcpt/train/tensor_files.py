"""safetensors files of bounded size, written one after another while their tensors arrive.

    layout   names, shapes and dtypes of all tensors   ->   which file takes which tensor
    add      tensor after tensor, in any order         ->   a file is written once its last tensor is there
    finish   the index, where there are several files

Which tensor goes into which file, the names of the files and the index are those of `save_pretrained`, by the same
function of huggingface_hub. At any time the host holds the tensors of the unfinished file and no others: given in the
order of the layout, that is one file.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file

SHARD_BYTES = 5 * 10**9
"""Most bytes of one file, unless a single tensor has more. Hubs and object stores are quick with files of this size."""

_METADATA = {"format": "pt"}


class TensorFiles:
    """A set of safetensors files that is being written.

    Args:
        folder: Where they go.
        layout: An empty tensor, on the device `meta`, of the shape and dtype of each; names in the order of the files.
        stem: What the names of the files begin with.
        shard_bytes: Most bytes of one file.
    """

    def __init__(
        self, folder: Path, layout: Mapping[str, torch.Tensor], *, stem: str = "model", shard_bytes: int = SHARD_BYTES
    ) -> None:
        self._folder = folder
        self._layout = layout
        self._index = folder / f"{stem}.safetensors.index.json"
        self._split = split_torch_state_dict_into_shards(
            dict(layout), filename_pattern=f"{stem}{{suffix}}.safetensors", max_shard_size=shard_bytes
        )
        self._arrived: dict[str, dict[str, torch.Tensor]] = {name: {} for name in self._split.filename_to_tensors}

    @property
    def names(self) -> tuple[str, ...]:
        """Name the files that hold tensors."""
        return tuple(self._split.filename_to_tensors)

    def add(self, name: str, tensor: torch.Tensor) -> None:
        """Take a tensor, on the CPU; write its file if it is the last one of it."""
        expected = self._layout[name]
        is_expected = (tensor.shape, tensor.dtype) == (expected.shape, expected.dtype)
        assert is_expected, f"`{name}` is {tensor.dtype} {[*tensor.shape]}, not {expected.dtype} {[*expected.shape]}"
        file = self._split.tensor_to_filename[name]
        arrived = self._arrived[file]
        arrived[name] = tensor.contiguous()
        if len(arrived) == len(self._split.filename_to_tensors[file]):
            save_file(self._arrived.pop(file), self._folder / file, metadata=_METADATA)

    def finish(self) -> None:
        """Write the index when there are several files; every tensor must have arrived."""
        missing = [file for file in self._arrived if self._split.filename_to_tensors[file]]
        assert not missing, f"{missing} lack tensors of their layout"
        if self._split.is_sharded:
            elements = sum(tensor.numel() for tensor in self._layout.values())
            metadata = {"total_parameters": elements, **self._split.metadata}
            index = {"metadata": metadata, "weight_map": self._split.tensor_to_filename}
            self._index.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", "utf-8")
