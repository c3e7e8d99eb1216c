"""Runs that were never run: a small plan, and a job folder that tells any story about it."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.plan.plan import (
    Checkpoints,
    Compute,
    DataFile,
    Dropouts,
    Estimate,
    Evaluation,
    Geometry,
    MemoryFit,
    ModelSpec,
    Optimizer,
    Plan,
    Schedule,
    Source,
    World,
)
from cloudcpt.wire import MlFolder, complete_model

STEPS = 80


def source(name: str, role: Any, channel: str, weight: float) -> Source:
    file = DataFile(name=f"{name}.jsonl", uri=f"/data/{name}.jsonl", size_bytes=332_926, blake3="ab" * 32)
    return Source(
        name=name,
        role=role,
        channel=channel,
        files=(file,),
        documents=148,
        tokens=114_585,
        rows=448,
        cut_documents=2,
        cut_tokens=1_200,
        exact=True,
        weight=weight,
    )


@pytest.fixture
def plan() -> Plan:
    return Plan(
        schema_version=1,
        made_by="cloudcpt 0.1.0",
        name="python-reference",
        recipe_path="recipes/demo.yaml",
        recipe_blake3="cd" * 32,
        recipe_text="run:\n  name: python-reference\n",
        target="local",
        seed=42,
        log_every_steps=1,
        max_runtime_s=0,
        model=ModelSpec(
            model_type="hf",
            name_or_path="build/demo/base",
            family="open",
            size_class="micro",
            architecture="llama",
            parameters=828_288,
            layers=3,
            hidden_size=128,
            vocab_size=2048,
            tied_embeddings=True,
            dtype="float32",
            files=(DataFile(name="model.safetensors", uri="/base/model.safetensors", size_bytes=9, blake3="ef" * 32),),
            stand_in=False,
            origin=None,
            lineage=(),
        ),
        sources=(
            source("domain", "train", "train", 0.5),
            source("stdlib", "replay", "replay-stdlib", 0.5),
            source("domain", "validation", "validation", 0.0),
            source("general", "general_validation", "general-validation", 0.0),
        ),
        world=World(
            nodes=1,
            processes_per_node=1,
            device="cpu",
            instance_type="local",
            compute_dtype="float32",
            timeout_s=600,
            environment=(),
            image="",
        ),
        compute=Compute(compile=False, float8="none", shard_processes=1),
        geometry=Geometry(
            seq_len_tokens=256,
            packing="best_fit",
            global_batch_rows=32,
            micro_batch_rows=16,
            accumulation=2,
            steps=STEPS,
            bound="max_epochs",
            train_rows=STEPS * 32,
            train_tokens=STEPS * 32 * 250,
            epochs=3.0,
        ),
        schedule=Schedule(name="cosine", lr=3e-3, min_lr=3e-4, warmup_steps=8, constant_steps=0, steps=STEPS),
        optimizer=Optimizer(
            adam_w_mode=True, beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, max_grad_norm=1.0, max_skipped_steps=0
        ),
        dropouts=Dropouts(hidden=0.0, attention=0.0, ffn=0.0),
        lora=None,
        evaluation=Evaluation(every_steps=20, max_rows=0, prompts=("The try statement",), sample_tokens=24),
        checkpoints=Checkpoints(every_steps=0, keep_last=0, recovery_every_steps=0),
        memory=MemoryFit(terms=(), total_bytes=0, capacity_bytes=0, activations="none"),
        estimate=Estimate(
            hours=0.012,
            hours_low=0.005,
            hours_high=0.04,
            time_source="a rough guess",
            usd_per_instance_hour=0.0,
            usd=0.0,
            usd_low=0.0,
            usd_high=0.0,
            price_source="the machine at hand, no charge",
        ),
        launch=None,
    )


def step_record(plan: Plan, step: int) -> dict[str, Any]:
    return {
        "kind": "step",
        "step": step,
        "loss": 4.6 + 1.3 * math.exp(-step / 12) + 0.06 * math.sin(step * 2.3),
        "lr": 3e-3 * min(step / 8, 0.55 + 0.45 * math.cos(math.pi * step / STEPS)),
        "grad_norm": 0.6 + 1.5 * math.exp(-step / 6) + 0.1 * math.sin(step),
        "tokens": step * 8000,
        "tokens_per_s": 18_000 + 900 * math.sin(step * 1.7),
        "tokens_per_s_per_process": 18_000,
        "seconds": 0.45,
        "data_wait_share": 0.004,
        "memory_bytes": 900 * 2**20,
    }


def evaluation_record(set_name: str, step: int, loss: float) -> dict[str, Any]:
    return {"kind": "eval", "set": set_name, "step": step, "loss": loss, "perplexity": math.exp(loss), "tokens": 18_000}


def whole_story(plan: Plan, last_step: int = STEPS) -> list[dict[str, Any]]:
    """What a run of the plan says from its first line to step `last_step`, its end not included."""
    domain = {0: 5.87, 20: 5.10, 40: 4.74, 60: 4.60, 80: 4.56}
    general = {0: 5.33, 20: 5.44, 40: 5.41, 60: 5.36, 80: 5.34}
    records: list[dict[str, Any]] = [
        {"kind": "run", "schema_version": 1, "plan_hash": plan.hash, "job_name": plan.job_name, "world_size": 1,
         "device": "cpu", "started_at": "2026-11-20T10:00:00+00:00"},
    ]  # fmt: skip
    for step in range(last_step + 1):
        if step:
            records.append(step_record(plan, step))
        if step in domain:
            records.append(evaluation_record("domain", step, domain[step]))
            records.append(evaluation_record("general", step, general[step]))
    records.insert(1, {"kind": "sample", "step": 0, "prompt": "The try statement", "text": " of the given graph."})
    if last_step == STEPS:
        records.append({"kind": "sample", "step": STEPS, "prompt": "The try statement", "text": " is used to catch."})
        records.append({"kind": "mix", "step": STEPS, "tokens": {"train": 318_000, "replay-stdlib": 322_000}})
    return records


def end_record(outcome: str, step: int = STEPS) -> dict[str, Any]:
    return {"kind": "end", "step": step, "outcome": outcome, "seconds": 41.5}


@pytest.fixture
def tell(tmp_path: Path) -> Callable[..., MlFolder]:
    """Write a job folder: plan, records, and a model and a failure if the story has them."""

    def write(plan: Plan, records: list[dict[str, Any]], *, failure: str = "", model: bool = False) -> MlFolder:
        ml = MlFolder(tmp_path / f"ml-{plan.hash[:8]}")
        ml.plan.parent.mkdir(parents=True)
        ml.plan.write_text(plan.to_json(), "utf-8")
        if records:
            ml.metrics.parent.mkdir(parents=True)
            ml.metrics.write_text("".join(json.dumps(row) + "\n" for row in records), "utf-8")
        if failure:
            ml.failure.parent.mkdir(parents=True, exist_ok=True)
            ml.failure.write_text(failure, "utf-8")
        if model:
            ml.model.mkdir()
            (ml.model / "config.json").write_text("{}", "utf-8")
            (ml.model / "model.safetensors").write_bytes(b"weights")
            complete_model(ml.model, plan_hash=plan.hash, job_name=plan.job_name, steps=STEPS, tokens=640_000)
        return ml

    return write


@pytest.fixture
def completed(plan: Plan, tell: Callable[..., MlFolder]) -> MlFolder:
    return tell(plan, [*whole_story(plan), end_record("completed")], model=True)


@pytest.fixture
def story() -> Callable[..., list[dict[str, Any]]]:
    return whole_story


@pytest.fixture
def renamed(plan: Plan) -> Callable[[str], Plan]:
    """The same plan under another name, and so with another hash."""
    return lambda name: replace(plan, name=name)
