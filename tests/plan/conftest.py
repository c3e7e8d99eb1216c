"""A desk to plan at: recipes as mappings, a model folder without a real model, datasets written or only reported."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.dataset.check import DatasetReport, FileReport, check_dataset
from cloudcpt.dataset.lengths import Lengths
from cloudcpt.errors import Diagnostic
from cloudcpt.plan.instances import Machine
from cloudcpt.plan.make import make_plan, recipe_inputs
from cloudcpt.plan.plan import Plan
from cloudcpt.recipe.load import LoadedRecipe, load_recipe

LAPTOP = Machine(gpus=0, gpu_memory_bytes=0, cpus=2)

OPEN_RECIPE: dict[str, Any] = {
    "run": {
        "name": "desk",
        "model_type": "hf",
        "model_name_or_path": "base",
        "replicas": 1,
        "data_s3_path": "train.jsonl",
    },
    "training_config": {
        "max_length": 64,
        "global_batch_size": 32,
        "trainer": {"max_steps": 20},
        "model": {"optim": {"lr": 1e-5, "sched": {"warmup_steps": 2, "min_lr": 1e-6}}},
    },
}

NOVA_RECIPE: dict[str, Any] = {
    "run": {
        "name": "nova",
        "model_type": "amazon.nova-micro-v1:0:128k",
        "model_name_or_path": "nova-micro/prod",
        "replicas": 8,
        "data_s3_path": "train.jsonl",
    },
    "training_config": {
        "max_length": 8192,
        "global_batch_size": 256,
        "trainer": {"max_epochs": 1},
        "model": {"optim": {"lr": 1e-5, "sched": {"warmup_steps": 10, "min_lr": 1e-6}}},
    },
}


def merged(recipe: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay changes over a recipe: mappings are merged, everything else replaced, None removes."""
    result = copy.deepcopy(recipe)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        elif value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


def report_of(lengths: list[int], *, name: str = "train.jsonl", bytes_per_character: float = 1.0) -> DatasetReport:
    """Report a dataset of documents with these lengths in characters, which exists nowhere."""
    counted = Lengths()
    counted.add_all(lengths)
    size = int(sum(lengths) * bytes_per_character)
    file = FileReport(name=name, path=f"/nowhere/{name}", size_bytes=size, lines=len(lengths), blake3="0" * 64)
    return DatasetReport(
        name=name,
        files=(file,),
        documents=len(lengths),
        size_bytes=size,
        characters=sum(lengths),
        lengths=counted.stats(),
        duplicate_documents=0,
        diagnostics=(),
        error_count=0,
        sample=(),
        sample_lengths=(),
    )


class Desk:
    """One folder with a recipe, a model and data, and the functions under test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def recipe(self, changes: dict[str, Any] | None = None, *, base: dict[str, Any] = OPEN_RECIPE) -> LoadedRecipe:
        path = self.folder / "recipe.yaml"
        path.write_text(json.dumps(merged(base, changes or {}), indent=1), "utf-8")
        return load_recipe(path)

    def write_data(self, name: str, texts: list[str]) -> None:
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (self.folder / name).write_text(lines, "utf-8")

    def write_model(self, folder: str = "base", *, dtype: str = "F32", **config: Any) -> Path:
        """Write a model folder whose header is right and whose weights are zeros."""
        path = self.folder / folder
        path.mkdir(exist_ok=True)
        settings = {
            "model_type": "llama",
            "num_hidden_layers": 2,
            "hidden_size": 8,
            "intermediate_size": 16,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "vocab_size": 11,
            "eos_token_id": 0,
            "max_position_embeddings": 64,
        }
        (path / "config.json").write_text(json.dumps(settings | config))
        write_safetensors(
            path / "model.safetensors", {"model.embed_tokens.weight": (dtype, [11, 8]), "norm.weight": (dtype, [8])}
        )
        write_tokenizer(path)
        return path

    def reports(self, loaded: LoadedRecipe) -> dict[str, DatasetReport]:
        return {one.channel: check_dataset(one.path, loaded.folder) for one in recipe_inputs(loaded)}

    def plan(
        self,
        loaded: LoadedRecipe,
        reports: dict[str, DatasetReport] | None = None,
        *,
        machine: Machine = LAPTOP,
        **options: Any,
    ) -> tuple[Plan, tuple[Diagnostic, ...]]:
        reports = self.reports(loaded) if reports is None else reports
        return make_plan(loaded, reports, machine=machine, **options)


def write_safetensors(path: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    header: dict[str, Any] = {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        size = {"F32": 4, "BF16": 2, "F16": 2, "U8": 1, "F8_E4M3": 1}[dtype]
        for axis in shape:
            size *= axis
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(at))


def write_tokenizer(folder: Path) -> None:
    """Write a tokenizer of ten words, white space between them."""
    vocabulary = {word: index for index, word in enumerate(["<end>", "<unk>", *"abcdefgh"])}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with a model of two layers and a hundred short documents."""
    made = Desk(tmp_path)
    made.write_model()
    made.write_data("train.jsonl", [" ".join("abcdefgh"[: 1 + index % 8]) for index in range(100)])
    return made


@pytest.fixture
def nova_recipe() -> dict[str, Any]:
    """A published Nova recipe, as a mapping to lay changes over."""
    return copy.deepcopy(NOVA_RECIPE)


@pytest.fixture(scope="session")
def reported() -> Callable[..., DatasetReport]:
    """Make reports of datasets that exist nowhere."""
    return report_of


@pytest.fixture
def safetensors_writer() -> Callable[[Path, dict[str, tuple[str, list[int]]]], None]:
    """Write safetensors files with a right header and zeros."""
    return write_safetensors
