"""The models a recipe can name: family, size class, replicas, sizes, licence, and where each fact is from.

`catalog.toml` holds one row per model. Nova's sizes are unknown outside AWS and stay 0. The row `hf` stands for any
other model whose weights are at hand; its sizes come from its config.json when the plan is made.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

SizeClass = Literal["micro", "lite", "pro"]

_OPEN_REPLICAS: dict[str, tuple[int, ...]] = {
    "micro": (1, 2, 4, 8),
    "lite": (1, 4, 8, 16, 32),
    "pro": (1, 6, 12, 24),
}
"""The Nova sets of each class, and a single machine."""

_MICRO_PARAMETERS = 10_000_000_000
_LITE_PARAMETERS = 40_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRow:
    """One model of the catalog.

    Args:
        model_type: What a recipe writes.
        family: `nova` when only AWS can load the weights, `open` otherwise.
        generation: Of the Nova recipe shape, 1 or 2; 0 for open models, which take both.
        size_class: `micro`, `lite` or `pro`; empty for `hf` until its parameters are known.
        replicas: Machines that a recipe may ask for.
        published_replicas: What AWS's newer recipe allows beside them; quoted, not accepted.
        checkpoints: Names that `run.model_name_or_path` may have beside an s3:// URI; empty when it is a path.
        hugging_face: Where the weights are published; empty for Nova.
        parameters: All of them, tied embeddings counted once.
        layers: Decoder layers.
        hidden_size: Width of the residual stream.
        intermediate_size: Width inside the feed-forward block.
        heads: Query heads.
        kv_heads: Key and value heads.
        head_size: Width of one head.
        vocab_size: Rows of the embedding.
        tied_embeddings: Input and output embedding are one tensor.
        architecture: Hugging Face `model_type` of config.json.
        tuned: To follow instructions, which continued pretraining undoes; a base checkpoint is the better start.
        licence: Of the weights.
        languages: That the base model was trained on, in words.
        context: Positions that the model knows, in tokens.
        source: Where the row is from.
        date: When it was checked, ISO 8601.
    """

    model_type: str
    family: Literal["nova", "open"]
    generation: Literal[0, 1, 2] = 0
    size_class: SizeClass | Literal[""]
    replicas: tuple[int, ...]
    published_replicas: tuple[int, ...] = ()
    checkpoints: tuple[str, ...] = ()
    hugging_face: str = ""
    parameters: int = 0
    layers: int = 0
    hidden_size: int = 0
    intermediate_size: int = 0
    heads: int = 0
    kv_heads: int = 0
    head_size: int = 0
    vocab_size: int = 0
    tied_embeddings: bool = False
    architecture: str = ""
    tuned: bool = False
    licence: str
    languages: str
    context: int
    source: str
    date: str


def model_rows() -> tuple[ModelRow, ...]:
    """List the catalog in its own order: Nova, open models by family and size, `hf`."""
    return tuple(_table().values())


def find_model(model_type: str) -> ModelRow | None:
    """Look a model up by what the recipe calls it."""
    return _table().get(model_type)


def size_class_of(parameters: int) -> SizeClass:
    """Put an open model in a size class: micro to 10 billion parameters, lite to 40 billion, pro above."""
    if parameters <= _MICRO_PARAMETERS:
        return "micro"
    return "lite" if parameters <= _LITE_PARAMETERS else "pro"


def open_replicas(size_class: SizeClass) -> tuple[int, ...]:
    """List the machines that an open model of a class may use."""
    return _OPEN_REPLICAS[size_class]


@cache
def _table() -> dict[str, ModelRow]:
    text = resources.files("cloudcpt.recipe").joinpath("catalog.toml").read_text("utf-8")
    return {name: _row(name, fields) for name, fields in tomllib.loads(text).items()}


def _row(name: str, fields: dict[str, object]) -> ModelRow:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    if values["family"] == "open" and "parameters" in values:
        values["size_class"] = size_class_of(int(str(values["parameters"])))
        values["replicas"] = _OPEN_REPLICAS[str(values["size_class"])]
    elif values["family"] == "open":
        values["size_class"] = ""
        values["replicas"] = tuple(sorted({count for counts in _OPEN_REPLICAS.values() for count in counts}))
    return ModelRow(model_type=name, **values)  # type: ignore[arg-type]  # a test reads every row
