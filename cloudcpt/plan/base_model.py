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

from cloudcpt.errors import Place, PlanError, error
from cloudcpt.plan.architectures import TRAINABLE_ARCHITECTURES
from cloudcpt.plan.model_config import REQUIRED, Config, position_rows, uncomputed_settings, whole
from cloudcpt.plan.model_folder import ModelContent, ModelFolder
from cloudcpt.plan.plan import DataFile
from cloudcpt.plan.sizes import Sizes
from cloudcpt.plan.staged import STAGED_FILE
from cloudcpt.plan.tensors import BrokenFile, Tensor, read_tensors
from cloudcpt.plan.weight_formats import ARCHIVE, ENCRYPTED, GGUF, HEAD_BYTES, PICKLE, disguised_format, named_format

_TRAINS = f"this version trains models of type {', '.join(f'`{name}`' for name in TRAINABLE_ARCHITECTURES)}"

Dtype = Literal["float32", "bfloat16", "float16"]

_DTYPES: dict[str, Dtype] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_INDEX = "model.safetensors.index.json"
_COMPANIONS = {".json", ".txt", ".model", ".jinja", ".md"}
_TERMS = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY")
_A_FILE = {PICKLE: "is a pickle", GGUF: "is GGUF", ARCHIVE: "is an archive", ENCRYPTED: "is encrypted"}
_UNPACK = "unpack it and name the folder"
_BUFFERS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
_OUTPUTS = ("lm_head.weight", "embed_out.weight")


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseModel:
    """A model folder that can be trained.

    Args:
        folder: Where it is.
        sizes: Parameters counted from the tensors, the rest as in config.json.
        config: Content of config.json.
        dtype: In which most of the weights are stored.
        stored_bytes: Of all weight files together.
        names: Its files, relative to the folder: weights, config, tokenizer, card, licence.
    """

    folder: ModelFolder
    sizes: Sizes
    config: Config
    dtype: Dtype
    stored_bytes: int
    names: tuple[str, ...]

    @property
    def architecture(self) -> str:
        """Name the class of model: `model_type` of config.json."""
        return self.sizes.architecture

    @property
    def context_tokens(self) -> int:
        """Count the positions that the model was trained on; 0 when config.json does not say."""
        return whole(self.config, "max_position_embeddings")

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
    config, tensors = _looked_at(folder, place)
    stored = Counter[str]()
    for tensor in tensors:
        stored[tensor.dtype] += tensor.elements
    return BaseModel(
        folder=folder,
        sizes=_sizes(config, tensors),
        config=config,
        dtype=_DTYPES[stored.most_common(1)[0][0]],
        stored_bytes=sum(folder.size_bytes(name) for name in _weight_names(folder)),
        names=_names(folder),
    )


def trainable_files(model: ModelContent) -> tuple[str, ...]:
    """Name the files that a job needs of a model, before they are brought here.

    Raises:
        PlanError: everything that keeps the model from being trained: nobody should download what cannot be.
    """
    _looked_at(model, None)
    return _names(model)


# --- what keeps it from being trained ---------------------------------------------------------------------------


def _looked_at(folder: ModelContent, place: Place | None) -> tuple[Config, list[Tensor]]:
    """Read config.json and the headers of the weights, or raise every reason why they cannot be used."""
    is_folder = folder.kind == "folder"
    config = _read_json(folder, "config.json") if is_folder else {}
    tensors: list[Tensor] = []
    faults = [*_content_faults(folder, config, tensors)] if is_folder else [_not_a_folder(folder)]
    if faults:
        raise PlanError(
            *(error(fault.code, f"`{folder.shown}` {fault.message}", place=place, hint=fault.hint) for fault in faults)
        )
    return config, tensors


def _not_a_folder(folder: ModelContent) -> _Fault:
    if (found := named_format((folder.shown,))) is not None and (folder.kind == "file" or found is GGUF):
        return _Fault(found.code, _A_FILE[found], _UNPACK if found is ARCHIVE else found.hint)
    if folder.kind == "file":
        return _Fault("CPT520", "is a file", "name the folder that holds config.json, tokenizer.json and the weights")
    hint = "`cloudcpt model stage` brings one into a folder; a relative path in a recipe starts at the recipe's folder"
    return _Fault("CPT520", "does not exist", hint)


def _content_faults(folder: ModelContent, config: Config, tensors: list[Tensor]) -> Iterator[_Fault]:
    """Say why the content of the folder cannot be trained, and collect the tensors of the files that can be read."""
    if not config and "adapter_config.json" in folder.names:
        hint = "merge it into its base model with peft's `merge_and_unload`; a job does it with `peft.merge: true`"
        yield _Fault("CPT542", "holds an adapter, not a whole model", hint)
        return
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
            yield _broken(folder, name, broken)
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
    else:
        yield from _shape_faults(config)


def _shape_faults(config: Config) -> Iterator[_Fault]:
    """Say why a model of a class that can be trained cannot."""
    if missing := [key for key in REQUIRED if not whole(config, key)]:
        names = ", ".join(f"`{key}`" for key in missing)
        hint = "take config.json from where the model is published"
        yield _Fault("CPT521", f"has a `config.json` without {names} as whole numbers", hint)
    if settings := uncomputed_settings(config):
        shown = ", ".join(f"`{name}: {value}`" for name, value in settings.items())
        yield _Fault("CPT537", f"sets {shown}, which the training loop does not compute", "choose another base model")


def _broken(folder: ModelContent, name: str, broken: BrokenFile) -> _Fault:
    head = folder.read(name, 0, min(HEAD_BYTES, folder.size_bytes(name)))
    if (disguised := disguised_format(head)) is not None:
        found, words = disguised
        return _Fault(found.code, f"holds `{name}`, which is {words}, not safetensors", found.hint)
    if head.startswith(b"version https://git-lfs"):
        return _Fault("CPT529", f"holds `{name}`, which only says where Git LFS keeps it", "run `git lfs pull` there")
    return _Fault("CPT529", f"holds `{name}`, which {broken}", "download the file again")


def _no_weights(folder: ModelContent) -> _Fault:
    if (found := named_format(folder.names)) is not None:
        return _Fault(found.code, f"has its weights only {found.words}", found.hint)
    return _Fault("CPT528", "has no `*.safetensors`", "the weights belong beside config.json")


# --- what it is -------------------------------------------------------------------------------------------------


def _weight_names(folder: ModelContent) -> tuple[str, ...]:
    """List the weight files: the shards of the index, else `model.safetensors`, else every safetensors file."""
    index = _read_json(folder, _INDEX)
    if isinstance(index.get("weight_map"), dict):
        # Only the name: an index cannot make us read, or send, a file outside the folder.
        return tuple(sorted({PurePosixPath(str(shard)).name for shard in index["weight_map"].values()}))
    if "model.safetensors" in folder.names:
        return ("model.safetensors",)
    return tuple(sorted(name for name in folder.names if name.endswith(".safetensors")))


def _names(folder: ModelContent) -> tuple[str, ...]:
    """List all that belongs to the model: a job reads these files and no other."""
    return tuple(sorted({*_weight_names(folder), *_companions(folder)}))


def _is_buffer(tensor: Tensor) -> bool:
    """Tell masks and tables, which old models store beside their weights, from weights."""
    return tensor.name.endswith(_BUFFERS) or (tensor.dtype not in _DTYPES and not tensor.name.endswith("weight"))


def _companions(folder: ModelContent) -> set[str]:
    """List what else belongs to the model; not weights in other formats, and not how it came here."""
    return {
        name
        for name in folder.names - {STAGED_FILE}
        if not name.startswith(".") and (PurePosixPath(name).suffix in _COMPANIONS or name.upper().startswith(_TERMS))
    }


def _sizes(config: Config, tensors: list[Tensor]) -> Sizes:
    heads, hidden = whole(config, "num_attention_heads"), whole(config, "hidden_size")
    # A model with tied embeddings may still store the output one; it is the same tensor and counts once.
    outputs = [tensor for tensor in tensors if tensor.name in _OUTPUTS]
    tied = bool(config.get("tie_word_embeddings")) or not outputs
    stored = sum(tensor.elements for tensor in tensors)
    return Sizes(
        architecture=config["model_type"],
        parameters=stored - (sum(tensor.elements for tensor in outputs) if tied else 0),
        layers=whole(config, "num_hidden_layers"),
        hidden_size=hidden,
        intermediate_size=whole(config, "intermediate_size"),
        heads=heads,
        kv_heads=whole(config, "num_key_value_heads") or heads,
        head_dim=whole(config, "head_dim") or hidden // heads,
        vocab_size=whole(config, "vocab_size"),
        tied_embeddings=tied,
        position_rows=position_rows(config),
    )


def _read_json(folder: ModelContent, name: str) -> dict[str, Any]:
    """Read a JSON object; an empty one when there is none, or nothing that can be read."""
    if name not in folder.names:
        return {}
    try:
        found = json.loads(folder.read(name, 0, folder.size_bytes(name)))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
