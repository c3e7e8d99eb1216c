"""The sections that a Nova recipe does not have: data mixing, evaluation, export, and where to launch."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from cloudcpt.recipe.fields import (
    INSTANCE_PATTERN,
    SOURCE_NAME_PATTERN,
    Maybe,
    Number,
    OptionalPath,
    PathText,
    Section,
    Text,
    Whole,
)


class MixedSource(Section):
    """General data that is replayed so that the model keeps what it knows."""

    name: Annotated[str, Strict(), Field(pattern=SOURCE_NAME_PATTERN)]
    """Short name, unique in the recipe; it appears in the plan, the metrics and the report."""

    path: PathText
    """JSONL file, folder or glob, or an s3:// URI."""

    version: Text = ""
    """Which version of the data this is, in your words; kept in the plan's copy of the recipe."""

    weight: Maybe[Annotated[Number, Field(gt=0)]] = None
    """Share among the general sources, relative to the other weights. With `mode: weights` only."""


class DataMixing(Section):
    """How much general data to train on beside the domain data. Open models only."""

    mode: Literal["auto", "weights"] = "auto"
    """`auto` weighs the sources by their size in tokens, `weights` takes the weight of each source."""

    general_ratio: Annotated[Number, Field(ge=0, lt=1)] = 0.05
    """Share of the training tokens that come from the general sources; 0.25 for a strong shift, such as a language."""

    sources: Annotated[tuple[MixedSource, ...], Field(min_length=1, max_length=15)]
    """The general data, 1 to 15 sources (a training job has 20 input channels)."""


class Evaluation(Section):
    """What to measure before, during and after training. Open models only."""

    general_data_path: OptionalPath = ""
    """Held-out general text: how much is forgotten is measured on it."""

    every_steps: Whole = Field(default=0, ge=0)
    """Optimizer steps between two evaluations; 0 for only before and after."""

    max_rows: Whole = Field(default=0, ge=0)
    """Most rows of each held-out set, from the start; 0 for all."""

    prompts: Annotated[tuple[Text, ...], Field(max_length=32)] = ()
    """Texts to continue before and after training, to read what changed."""

    sample_tokens: Whole = Field(default=64, ge=1, le=1024)
    """Length of each continuation."""


class Export(Section):
    """How the final model is written. Open models only."""

    dtype: Literal["base", "float32", "bfloat16", "float16"] = "base"
    """Type of the weights; `base` keeps that of the base model."""


class Launch(Section):
    """Where and under which limits to run; never sent to the trainer."""

    target: Literal["local", "container", "sagemaker", "hyperpod"] = "local"
    """Where the job runs."""

    instance_type: Annotated[str, Strict(), Field(pattern=INSTANCE_PATTERN, max_length=64)] = ""
    """Machine in the cloud, such as `ml.p5.48xlarge`; empty lets the plan choose."""

    processes_per_node: Whole = Field(default=0, ge=0, le=64)
    """Training processes on each machine; 0 takes one per GPU."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What each process computes on; `auto` takes GPUs where there are some."""

    max_runtime_hours: Annotated[Number, Field(ge=0, le=672)] = 0.0
    """Stop the job after so many hours; 0 for no limit of ours. SageMaker allows 28 days."""

    budget_usd: Annotated[Number, Field(ge=0)] = 0.0
    """Refuse a plan whose expected cost is higher; 0 for no limit."""
