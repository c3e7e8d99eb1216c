"""Small good recipes as plain data, and the ways in which tests change and write them."""

import copy
import json
from pathlib import Path
from typing import Any

from cloudcpt.errors import Diagnostic, RecipeError
from cloudcpt.recipe.load import load_recipe

DELETED = object()
"""Given to `changed` as a value, removes the key."""

_OPTIM = {"lr": 1e-5, "name": "distributed_fused_adam", "adam_w_mode": True, "eps": 1e-6, "weight_decay": 0.0}
_SCHED = {"warmup_steps": 10, "constant_steps": 0, "min_lr": 1e-6}


def nova_1(size: str = "micro") -> dict[str, Any]:
    """The first generation as AWS publishes it: `optim` under `model`, `betas`, epochs."""
    context = "128k" if size == "micro" else "300k"
    return {
        "run": {
            "name": "my-cpt-run",
            "model_type": f"amazon.nova-{size}-v1:0:{context}",
            "model_name_or_path": f"nova-{size}/prod",
            "replicas": {"micro": 8, "lite": 16, "pro": 24}[size],
            "data_s3_path": "",
            "output_s3_path": "",
            "mlflow_tracking_uri": "",
            "mlflow_experiment_name": "my-cpt-experiment",
            "mlflow_run_name": "my-cpt-run",
        },
        "training_config": {
            "max_length": 8192,
            "global_batch_size": 256,
            "trainer": {"max_epochs": 1},
            "model": {
                "hidden_dropout": 0.0,
                "attention_dropout": 0.0,
                "ffn_dropout": 0.0,
                "optim": {**_OPTIM, "betas": [0.9, 0.999], "sched": dict(_SCHED)},
            },
        },
    }


def nova_2() -> dict[str, Any]:
    """The second generation as AWS publishes it: `optim` beside `model`, `adam_beta1`, steps."""
    return {
        "run": {
            "name": "my-cpt-run",
            "model_type": "amazon.nova-2-lite-v1:0:256k",
            "model_name_or_path": "nova-lite-2/prod",
            "replicas": 8,
            "data_s3_path": "",
            "validation_data_s3_path": "",
            "output_s3_path": "",
            "mlflow_tracking_uri": "",
            "mlflow_experiment_name": "my-cpt-experiment",
            "mlflow_run_name": "my-cpt-run",
        },
        "training_config": {
            "task_type": "cpt",
            "max_length": 8192,
            "global_batch_size": 256,
            "trainer": {"max_steps": 10, "val_check_interval": 10, "limit_val_batches": 2},
            "model": {"hidden_dropout": 0.0, "attention_dropout": 0.0},
            "optim": {
                **_OPTIM,
                "optimizer": "adam",
                "adam_beta1": 0.9,
                "adam_beta2": 0.95,
                "sched": dict(_SCHED),
            },
        },
    }


def open_model() -> dict[str, Any]:
    """A model with open weights, using most of what only those may use."""
    return {
        "run": {
            "name": "llama",
            "model_type": "llama-3.1-8b",
            "model_name_or_path": "models/llama",
            "replicas": 1,
            "data_s3_path": "data/*.jsonl",
            "validation_data_s3_path": "held-out.jsonl",
            "seed": 7,
        },
        "training_config": {
            "max_length": 4096,
            "global_batch_size": 64,
            "packing": "concat",
            "micro_batch_size": 2,
            "compile": "on",
            "activation_checkpointing": "selective",
            "trainer": {"max_steps": 100, "log_every_steps": 5, "max_skipped_steps": 2},
            "optim": {
                "lr": 1e-4,
                "max_grad_norm": 0.5,
                "sched": {"name": "linear", "warmup_ratio": 0.05, "min_lr": 1e-5},
            },
            "peft": {
                "method": "lora",
                "rank": 8,
                "alpha": 16,
                "dropout": 0.05,
                "target_modules": ["q_proj"],
                "bits": 4,
                "embedding_lr": 1e-5,
            },
        },
        "data_mixing": {
            "mode": "weights",
            "general_ratio": 0.25,
            "sources": [
                {"name": "web", "path": "s3://my-bucket/web/", "weight": 3},
                {"name": "code", "path": "code", "weight": 1},
            ],
        },
        "eval": {"general_data_path": "general.jsonl", "every_steps": 20, "prompts": ["Once"], "sample_tokens": 16},
        "export": {"dtype": "bfloat16"},
        "checkpoint": {"every_steps": 50, "keep_last": 2},
        "launch": {
            "target": "sagemaker",
            "instance_type": "ml.p5.48xlarge",
            "budget_usd": 100,
            "max_runtime_hours": 2.5,
        },
    }


def full_training() -> dict[str, Any]:
    """An open model with all weights trained, and nothing that is not needed."""
    recipe = open_model()
    for key in ("data_mixing", "eval", "export", "launch"):
        del recipe[key]
    recipe["training_config"] = {
        "max_length": 4096,
        "global_batch_size": 64,
        "trainer": {"max_epochs": 1},
        "optim": {"lr": 1e-5, "sched": {"warmup_steps": 10, "min_lr": 1e-6}},
    }
    return recipe


def changed(recipe: dict[str, Any], **changes: object) -> dict[str, Any]:
    """Copy a recipe with values set or deleted; `__` separates keys: `run__replicas=3`."""
    result = copy.deepcopy(recipe)
    for path, value in changes.items():
        *parents, last = path.split("__")
        section: Any = result
        for key in parents:
            section = section[int(key)] if isinstance(section, list) else section.setdefault(key, {})
        if value is DELETED:
            del section[last]
        else:
            section[int(last) if isinstance(section, list) else last] = value
    return result


def written(folder: Path, recipe: dict[str, Any] | str) -> Path:
    """Write a recipe; JSON is YAML, and puts every key on a line of its own."""
    path = folder / "recipe.yaml"
    text = recipe if isinstance(recipe, str) else json.dumps(recipe, indent=2)
    path.write_text(text, "utf-8")
    return path


def findings(folder: Path, recipe: dict[str, Any] | str) -> tuple[Diagnostic, ...]:
    """Load a recipe and give everything found, refused or not."""
    try:
        return load_recipe(written(folder, recipe)).diagnostics
    except RecipeError as exc:
        return exc.diagnostics


def codes(folder: Path, recipe: dict[str, Any] | str) -> list[str]:
    """Load a recipe and give the codes of everything found, in order."""
    return [found.code for found in findings(folder, recipe)]


def listing(found: tuple[Diagnostic, ...]) -> str:
    """Write findings as text, for golden tests."""
    lines = []
    for one in found:
        place = one.place
        where = f"{place.line}:{place.column}+{place.length}" if place and place.line else "file"
        lines.append(f"{where} {one.severity} {one.code} {one.message}")
        lines += [f"    {related.place.line}:{related.place.column} {related.label}" for related in one.related]
        if one.hint:
            lines.append(f"    hint: {one.hint}")
    return "\n".join(lines)
