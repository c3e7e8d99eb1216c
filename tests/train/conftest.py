"""Tiny things to train: random models of any class, and a whole job in a folder laid out like /opt/ml."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.plan.plan import DataFile, Plan, Source, read_plan
from cloudcpt.wire import MlFolder

WORDS = ["the", "river", "bank", "holds", "no", "water", "when", "wind", "runs", "over", "stone", "and", "sand"]
CHANNELS = {"train": ("domain", "train"), "validation": ("domain", "validation")}
CHANNELS["general-validation"] = ("general", "general_validation")


def texts_of(seed: int, count: int) -> list[str]:
    """Make short, different, reproducible documents; as bytes, most fill between a third and all of a row."""
    return [
        " ".join(WORDS[(seed + 3 * number + place * (number + 1)) % len(WORDS)] for place in range(3 + number % 6))
        for number in range(count)
    ]


def write_source(ml: MlFolder, channel: str, texts: list[str]) -> Source:
    """Put one JSONL file into a channel and describe it as the plan would, without exact counts."""
    from blake3 import blake3

    folder = ml.channel(channel)
    folder.mkdir(parents=True)
    content = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    (folder / "data.jsonl").write_bytes(content)
    file = DataFile(name="data.jsonl", uri="data.jsonl", size_bytes=len(content), blake3=blake3(content).hexdigest())
    name, role = CHANNELS[channel]
    return Source(
        name=name,
        role=role,  # type: ignore[arg-type]
        channel=channel,
        files=(file,),
        documents=len(texts),
        tokens=1,
        rows=1,
        cut_documents=0,
        cut_tokens=0,
        exact=False,
        weight=float(role == "train"),
    )


@dataclass(frozen=True)
class TinyJob:
    """A job folder and its plan."""

    ml: MlFolder
    plan: Plan

    def records(self, kind: str) -> list[dict[str, Any]]:
        """Read the metrics of one kind."""
        rows = [json.loads(line) for line in self.ml.metrics.read_text("utf-8").splitlines()]
        return [row for row in rows if row["kind"] == kind]

    def curve(self, name: str) -> list[float]:
        """Read one number of every step."""
        return [row[name] for row in self.records("step")]


@pytest.fixture
def lone_process() -> Iterator[None]:
    """Be the only process of a world, as torchrun would say it."""
    said = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture
def tiny_job(tmp_path: Path, lone_process: None) -> Callable[..., TinyJob]:
    """Make jobs: `tiny_job(dropouts={"hidden": 0.1}, geometry={"steps": 3}, seed=1)`.

    A keyword with a dict changes fields of that part of the plan, any other replaces the plan's field. `base(folder)`
    writes the base model; by default it is the stand-in, as a model of its own.
    """
    from cloudcpt.train.stand_in import build_stand_in

    template = read_plan(Path(__file__).parent / "data_plan.json")
    default_texts = {"train": texts_of(1, 60), "validation": texts_of(2, 9), "general-validation": texts_of(5, 7)}
    numbers = iter(range(1000))

    def make(
        *,
        base: Callable[[Path], None] | None = None,
        texts: dict[str, list[str]] | None = None,
        **changes: Any,
    ) -> TinyJob:
        ml = MlFolder(tmp_path / f"job{next(numbers)}")
        sources = tuple(write_source(ml, channel, lines) for channel, lines in (texts or default_texts).items())
        (base or (lambda folder: build_stand_in(folder, seed=7, context_tokens=64)))(ml.channel("model"))
        plan = replace(
            template,
            log_every_steps=1,
            sources=sources,
            model=replace(template.model, stand_in=False),
            geometry=replace(template.geometry, seq_len_tokens=48),
        )
        for name, change in changes.items():
            changed = replace(getattr(plan, name), **change) if isinstance(change, dict) else change
            plan = replace(plan, **{name: changed})
        if "compute" not in changes:  # as a plan would have it for one machine
            plan = replace(plan, compute=replace(plan.compute, shard_processes=plan.world.size))
        return TinyJob(ml=ml, plan=plan)

    return make


@pytest.fixture
def tiny_model() -> Callable[..., Any]:
    """Make random models: `tiny_model("qwen3", tie_word_embeddings=True)`, two layers, width 32, 128 tokens."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from cloudcpt.train.attention import IMPLEMENTATION
    from cloudcpt.train.bloom import keep_documents_apart

    def make(model_type: str = "llama", **settings: Any) -> Any:
        sizes = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "vocab_size": 128,
            "max_position_embeddings": 64,
            "n_embd": 32,
            "n_inner": 48,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 64,
            "pad_token_id": None,
            "bos_token_id": None,
            "eos_token_id": 0,
        }
        known = AutoConfig.for_model(model_type).to_dict()
        config = AutoConfig.for_model(
            model_type, **{name: size for name, size in sizes.items() if name in known} | settings
        )
        torch.manual_seed(11)
        model = AutoModelForCausalLM.from_config(config, attn_implementation=IMPLEMENTATION)
        keep_documents_apart(model)
        return model

    return make


@pytest.fixture
def packed() -> Any:
    """Make two rows of random tokens: three documents, two documents and padding."""
    import numpy as np
    import torch

    from cloudcpt.train.batches import IGNORE, Batch

    lengths, texts = [5, 7, 4, 9, 3, 4], [True, True, True, True, True, False]
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, 128, (32,), generator=generator)
    labels = tokens.roll(-1)
    bounds = torch.tensor([0, *lengths]).cumsum(0)
    labels[bounds[1:] - 1] = IGNORE
    labels[28:] = IGNORE
    positions = torch.cat([torch.arange(length) for length in lengths])
    return Batch(
        tokens=tokens.view(2, 16),
        labels=labels.view(2, 16),
        positions=positions.view(2, 16),
        cu_seqlens=bounds.to(torch.int32),
        num_labels=int((labels != IGNORE).sum()),
        num_tokens=sum(length for length, is_text in zip(lengths, texts, strict=True) if is_text),
        piece_lengths=np.array([length for length, is_text in zip(lengths, texts, strict=True) if is_text]),
        text_bytes=96.0,
    )
