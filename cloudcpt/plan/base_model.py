"""The folder of the base model: what is in it, and every reason why it could not be trained.

Reads config.json and the headers of the safetensors files, never the weights themselves, so that a model of any size
is known in milliseconds; hashing the files for the plan is the only full read. Nothing is downloaded or executed.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from cloudcpt.errors import Diagnostic, Place, PlanError, error
from cloudcpt.plan.model_folder import ModelFolder
from cloudcpt.plan.plan import DataFile
from cloudcpt.plan.sizes import Sizes
from cloudcpt.plan.tensors import BrokenFile, Tensor, read_tensors

TRAINABLE_ARCHITECTURES = (
    "gemma", "gemma3_text", "gpt_neox", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3", "smollm3",
)  # fmt: skip
"""`model_type` of the classes that `cloudcpt.train.architectures` can train; a test keeps the two lists equal."""

_TRAINS = f"this version trains models of type {', '.join(f'`{name}`' for name in TRAINABLE_ARCHITECTURES)}"

Dtype = Literal["float32", "bfloat16", "float16"]

_DTYPES: dict[str, Dtype] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_INDEX = "model.safetensors.index.json"
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar"}
_COMPANIONS = {".json", ".txt", ".model", ".jinja", ".md"}
_SIZES = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")

Config = dict[str, Any]  # JSON of other people's making: every value is checked where it is used


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseModel:
    """A model folder that can be trained.

    Args:
        folder: Where it is.
        sizes: Parameters counted from the tensors, the rest as in config.json.
        architecture: `model_type` of config.json.
        dtype: In which most of the weights are stored.
        context_tokens: Positions that the model knows; 0 when config.json does not say.
        names: Its files, relative to the folder: weights, config, tokenizer, card, licence.
    """

    folder: ModelFolder
    sizes: Sizes
    architecture: str
    dtype: Dtype
    context_tokens: int
    names: tuple[str, ...]

    def hashed_files(self) -> tuple[DataFile, ...]:
        """Read every file once and identify it by its BLAKE3."""
        return tuple(self.folder.hashed(name) for name in self.names)


class _Fault(NamedTuple):
    code: str
    message: str
    hint: str


def read_base_model(folder: ModelFolder, place: Place | None) -> BaseModel:
    """Look at a base model before anything is spent on it.

    Args:
        folder: What the recipe names.
        place: Where the recipe names it.

    Raises:
        PlanError: everything that keeps the folder from being trained, all at once.
    """
    is_folder = folder.kind == "folder"
    config = _read_json(folder, "config.json") if is_folder else {}
    tensors: list[Tensor] = []
    faults = [*_content_faults(folder, config, tensors)] if is_folder else [_not_a_folder(folder)]
    if faults:
        raise PlanError(
            *(error(fault.code, f"`{folder.shown}` {fault.message}", place=place, hint=fault.hint) for fault in faults)
        )
    stored = Counter[str]()
    for tensor in tensors:
        stored[tensor.dtype] += tensor.elements
    return BaseModel(
        folder=folder,
        sizes=_sizes(config, tensors),
        architecture=config["model_type"],
        dtype=_DTYPES[stored.most_common(1)[0][0]],
        context_tokens=_whole(config, "max_position_embeddings"),
        names=tuple(sorted({*_weight_names(folder), *_companions(folder)})),
    )


def untrainable(model_type: str, architecture: str, place: Place | None) -> Diagnostic:
    """Say that a model of the catalog, known by its name only, is of a class that cannot be trained.

    Args:
        model_type: What the recipe calls it.
        architecture: `model_type` of its config.json.
        place: Where the recipe names it.
    """
    message = f"`{model_type}` is a model of type `{architecture}`, which cannot be trained"
    return error("CPT531", message, place=place, hint=_TRAINS)


# --- what keeps it from being trained ---------------------------------------------------------------------------


def _not_a_folder(folder: ModelFolder) -> _Fault:
    suffix = PurePosixPath(folder.shown).suffix
    if suffix == ".gguf":
        return _gguf("is GGUF")
    if folder.kind == "file" and suffix in _ARCHIVES:
        return _Fault("CPT524", "is an archive", "unpack it and name the folder")
    if folder.kind == "file":
        return _Fault("CPT520", "is a file", "name the folder that holds config.json, tokenizer.json and the weights")
    hint = "download the model into a folder and name that; a relative path starts at the recipe's folder"
    return _Fault("CPT520", "does not exist", hint)


def _content_faults(folder: ModelFolder, config: Config, tensors: list[Tensor]) -> Iterator[_Fault]:
    """Say why the content of the folder cannot be trained, and collect the tensors of the files that can be read."""
    yield from _config_faults(config)
    if "tokenizer.json" not in folder.names:
        hint = "save the tokenizer in its fast form: `AutoTokenizer.from_pretrained(...).save_pretrained(folder)`"
        yield _Fault("CPT527", "has no `tokenizer.json`", hint)
    weights = _weight_names(folder)
    if not weights:
        yield _no_weights(folder)
    for name in weights:
        if name not in folder.names:
            yield _Fault("CPT529", f"has an index that names `{name}`, which is missing", "download the model again")
            continue
        try:
            tensors.extend(tensor for tensor in read_tensors(folder, name) if not _is_buffer(tensor))
        except BrokenFile as broken:
            yield _Fault("CPT529", f"holds `{name}`, which {broken}", "download the file again")
    if foreign := sorted({tensor.dtype for tensor in tensors} - set(_DTYPES)):
        names = ", ".join(f"`{dtype}`" for dtype in foreign)
        yield _Fault("CPT530", f"stores weights as {names}", "use weights in `F32`, `BF16` or `F16`")


def _config_faults(config: Config) -> Iterator[_Fault]:
    """Say why the model that config.json describes cannot be trained."""
    if not config:
        hint = "it comes with every Hugging Face model; without it nobody knows what the weights are"
        yield _Fault("CPT521", "has no `config.json` that is a JSON object", hint)
        return
    architecture = config.get("model_type")
    if config.get("quantization_config"):
        yield _Fault("CPT525", "holds quantised weights", "use the model's full-precision weights")
    if config.get("auto_map"):
        hint = "cloudcpt runs no code from a model; choose a model of a class that transformers ships"
        yield _Fault("CPT526", "needs code of its own (`auto_map` in config.json)", hint)
    elif architecture not in TRAINABLE_ARCHITECTURES:
        yield _Fault("CPT531", f"holds a model of type `{architecture}`, which cannot be trained", _TRAINS)
    elif missing := [key for key in _SIZES if not _whole(config, key)]:
        names = ", ".join(f"`{key}`" for key in missing)
        hint = "take config.json from where the model is published"
        yield _Fault("CPT521", f"has a `config.json` without {names} as whole numbers", hint)


def _no_weights(folder: ModelFolder) -> _Fault:
    suffixes = {PurePosixPath(name).suffix for name in folder.names}
    if suffixes & _PICKLES:
        hint = "pickle can run code when it is opened; convert it once with `model.save_pretrained(folder)`"
        return _Fault("CPT522", "has its weights only as pickle (`.bin`, `.pt`)", hint)
    if ".gguf" in suffixes:
        return _gguf("has its weights only as GGUF")
    if suffixes & _ARCHIVES:
        return _Fault("CPT524", "has its weights only in an archive", "unpack it there")
    return _Fault("CPT528", "has no `*.safetensors`", "the weights belong beside config.json")


def _gguf(message: str) -> _Fault:
    return _Fault("CPT523", message, "GGUF is made for inference; use the safetensors weights that it was made from")


# --- what it is -------------------------------------------------------------------------------------------------


def _weight_names(folder: ModelFolder) -> tuple[str, ...]:
    """List the weight files: the shards of the index, else `model.safetensors`, else every safetensors file."""
    index = _read_json(folder, _INDEX)
    if isinstance(index.get("weight_map"), dict):
        # Only the name: an index cannot make us read, or send, a file outside the folder.
        return tuple(sorted({PurePosixPath(str(shard)).name for shard in index["weight_map"].values()}))
    if "model.safetensors" in folder.names:
        return ("model.safetensors",)
    return tuple(sorted(name for name in folder.names if name.endswith(".safetensors")))


def _is_buffer(tensor: Tensor) -> bool:
    """Tell masks and tables, which old models store beside their weights, from weights."""
    return tensor.dtype not in _DTYPES and not tensor.name.endswith("weight")


def _companions(folder: ModelFolder) -> set[str]:
    """List what else belongs to the model; not weights in other formats."""
    return {
        name
        for name in folder.names
        if not name.startswith(".")
        and (PurePosixPath(name).suffix in _COMPANIONS or name.upper().startswith(("LICENSE", "LICENCE", "NOTICE")))
    }


def _sizes(config: Config, tensors: list[Tensor]) -> Sizes:
    heads = config["num_attention_heads"]
    # A model with tied embeddings may still store the output one; it is the same tensor and counts once.
    outputs = [tensor for tensor in tensors if tensor.name in ("lm_head.weight", "embed_out.weight")]
    tied = bool(config.get("tie_word_embeddings")) or not outputs
    stored = sum(tensor.elements for tensor in tensors)
    return Sizes(
        parameters=stored - (sum(tensor.elements for tensor in outputs) if tied else 0),
        layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        heads=heads,
        kv_heads=_whole(config, "num_key_value_heads") or heads,
        head_dim=_whole(config, "head_dim") or config["hidden_size"] // heads,
        vocab_size=config["vocab_size"],
        tied_embeddings=tied,
    )


def _whole(config: Config, key: str) -> int:
    """Read a count; 0 when there is none, or nothing that counts."""
    value = config.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _read_json(folder: ModelFolder, name: str) -> Config:
    """Read a JSON object; an empty one when there is none, or nothing that can be read."""
    if name not in folder.names:
        return {}
    try:
        found = json.loads(folder.read(name, 0, folder.size_bytes(name)))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
