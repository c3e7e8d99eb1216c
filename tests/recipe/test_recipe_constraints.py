"""The last good and the first bad value of every constraint of a recipe, judged alike by the model and the schema."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from cloudcpt.recipe.model import Recipe
from cloudcpt.recipe.schema import recipe_schema
from tests.recipe.samples import DELETED, changed, codes, full_training, nova_1, nova_2, open_model

VALIDATOR = jsonschema.Draft202012Validator(recipe_schema())
OPTIM_1 = "training_config__model__optim"
OPTIM_2 = "training_config__optim"
SCHED_1 = f"{OPTIM_1}__sched"
PEFT = "training_config__peft"


def model_accepts(recipe: dict[str, Any]) -> bool:
    try:
        Recipe.model_validate(recipe)
    except ValidationError:
        return False
    return True


# A base recipe, a key, values that are good, and for each bad value the number of its code.
CASES: list[tuple[dict[str, Any], str, list[object], dict[Any, int]]] = [
    (nova_1("micro"), "run__replicas", [2, 4, 8, 8.0], {0: 102, 1: 201, 3: 201, 16: 201, 32: 201}),
    (nova_1("lite"), "run__replicas", [4, 8, 16, 32], {2: 201, 64: 201, 1: 201}),
    (nova_1("pro"), "run__replicas", [6, 12, 24], {4: 201, 8: 201, 48: 201}),
    (nova_2(), "run__replicas", [4, 8, 16, 32], {2: 201, 6: 201, 8.5: 101}),
    (open_model(), "run__replicas", [1, 2, 4, 8], {0: 102, 3: 201, 16: 201}),
    (
        nova_1(),
        "training_config__global_batch_size",
        [32, 64, 128, 256, 64.0],
        {16: 103, 33: 103, 512: 103, "256": 103},
    ),
    (nova_1(), "training_config__max_length", [1, 8192, 8192.0], {0: 102, 8193: 102, 100.5: 101}),
    (changed(full_training(), run__model_type="gpt2"), "training_config__max_length", [1024], {1025: 218, 4096: 218}),
    (nova_1(), f"{SCHED_1}__warmup_steps", [1, 20], {0: 102, 21: 102}),
    (full_training(), f"{OPTIM_2}__sched__warmup_steps", [1, 20], {0: 102, 21: 102}),
    (nova_1(), f"{SCHED_1}__constant_steps", [0, 5], {-1: 102}),
    (nova_1(), f"{SCHED_1}__min_lr", [0, 0.0, 9.99e-6], {-1e-9: 102, 1.01: 102}),
    (nova_1(), f"{OPTIM_1}__lr", [1, 1.0, 2e-6], {0: 102, 1.0001: 102, -1e-5: 102}),
    (nova_1(), f"{OPTIM_1}__eps", [1e-12, 1], {0: 102}),
    (nova_1(), f"{OPTIM_1}__weight_decay", [0, 1], {-0.001: 102, 1.001: 102}),
    (nova_1(), f"{OPTIM_1}__betas", [[0, 0], [1, 1], [0.9, 0.999]], {}),
    (nova_1(), f"{OPTIM_1}__betas__1", [0, 1], {-0.01: 102, 1.01: 102}),
    (nova_2(), f"{OPTIM_2}__adam_beta1", [0, 1], {-0.01: 102, 1.01: 102}),
    (nova_2(), f"{OPTIM_2}__adam_beta2", [0, 1], {-0.01: 102, 1.01: 102}),
    (nova_1(), f"{OPTIM_1}__name", ["distributed_fused_adam"], {"adamw": 103}),
    (open_model(), f"{OPTIM_2}__name", ["distributed_fused_adam"], {"adamw": 103}),
    (nova_2(), f"{OPTIM_2}__optimizer", ["adam"], {"sgd": 103}),
    (nova_2(), "training_config__task_type", ["cpt"], {"sft": 103}),
    (nova_1(), "training_config__model__hidden_dropout", [0, 1], {-0.001: 102, 1.001: 102}),
    (nova_1(), "training_config__model__attention_dropout", [0, 1], {-0.001: 102, 1.001: 102}),
    (nova_1(), "training_config__model__ffn_dropout", [0, 1], {-0.001: 102, 1.001: 102}),
    (nova_1(), "training_config__trainer__max_epochs", [1, 100, 2.0], {0: 102, 101: 102, 0.5: 210, 1.5: 210}),
    (full_training(), "training_config__trainer__max_epochs", [0.5, 1.5, 100], {0: 102, 100.5: 102}),
    (nova_2(), "training_config__trainer__max_steps", [1, 100_000], {0: 102, 1.5: 101}),
    (nova_2(), "training_config__trainer__val_check_interval", [1], {0: 102, 0.5: 101}),
    (nova_2(), "training_config__trainer__limit_val_batches", [1], {0: 102}),
    (open_model(), "training_config__trainer__log_every_steps", [1], {0: 102}),
    (open_model(), f"{OPTIM_2}__sched__warmup_ratio", [0, 0.99], {1: 102, -0.1: 102}),
    (open_model(), f"{OPTIM_2}__sched__name", ["cosine", "linear", "wsd", "constant"], {"poly": 103}),
    (open_model(), f"{OPTIM_2}__max_grad_norm", [0, 5], {-1: 102}),
    (open_model(), "run__seed", [0, 2**32 - 1], {-1: 102, 2**32: 102}),
    (open_model(), "training_config__packing", ["best_fit", "concat"], {"pad": 103}),
    (open_model(), "training_config__micro_batch_size", [0, 256], {-1: 102, 257: 102}),
    (open_model(), f"{PEFT}__rank", [1, 1024], {0: 102}),
    (open_model(), f"{PEFT}__alpha", [0.5, 32], {0: 102}),
    (open_model(), f"{PEFT}__dropout", [0, 1], {1.1: 102}),
    (open_model(), f"{PEFT}__bits", [4, 8, 4.0], {16: 103, 2: 103}),
    (open_model(), f"{PEFT}__target_modules", ["all-linear", ["q_proj", "v_proj"]], {"all": 101}),
    (open_model(), "data_mixing__general_ratio", [0, 0.999], {1: 102, -0.1: 102}),
    (open_model(), "data_mixing__sources__0__weight", [0.1, 100], {0: 102}),
    (open_model(), "data_mixing__sources__0__name", ["a", "a" * 56], {"a" * 57: 107, "-a": 107, "a b": 107}),
    (open_model(), "eval__every_steps", [0, 1], {-1: 102}),
    (open_model(), "eval__sample_tokens", [1, 1024], {0: 102, 1025: 102}),
    (open_model(), "export__dtype", ["base", "float16"], {"int8": 103}),
    (open_model(), "launch__target", ["local", "container", "sagemaker", "hyperpod"], {"aws": 103}),
    (open_model(), "launch__instance_type", ["", "ml.p5.48xlarge"], {"p5.48xlarge": 107}),
    (open_model(), "launch__max_runtime_hours", [0, 672], {673: 102}),
    (open_model(), "run__name", ["a", "A-9", "a" * 63], {"": 106, "a" * 64: 106, "-a": 106, "a_b": 106, "a-": 106}),
    (
        open_model(),
        "run__data_s3_path",
        ["s3://abc", "s3://my-bucket/a b/*.jsonl", "data", "../x.jsonl", "/abs/[a-z]*.jsonl", "C:data", "a:b", "ü"],
        {"": 213, "s3:/b/x": 105, "s3://B/x": 105, "s3://ab": 105, "https://x/y": 105, " data": 105, "a" * 1025: 108},
    ),
    (nova_1(), "run__data_s3_path", ["", "s3://my-bucket/x", "local.jsonl"], {"gs://b/x": 105, "S3://b/x": 105}),
    (nova_1(), "run__output_s3_path", ["", "s3://my-bucket"], {"out": 105, "s3://my-bucket\n": 105}),
    (
        nova_1(),
        "run__model_name_or_path",
        ["nova-micro/prod", "nova-micro/pretraining-text-full", "s3://escrow/checkpoint"],
        {"nova-lite/prod": 202, "models/x": 202, "": 105},
    ),
    (open_model(), "run__model_name_or_path", ["models/x", "s3://my-bucket/m"], {"": 105, "hf://x": 105}),
]

GOOD = [(base, key, value) for base, key, values, _ in CASES for value in values]
BAD = [(base, key, value, f"CPT{number}") for base, key, _, bad in CASES for value, number in bad.items()]


def named(value: object) -> str:
    return repr(value)[:24] if not isinstance(value, dict) else value["run"]["model_type"]


@pytest.mark.parametrize(("base", "key", "value"), GOOD, ids=named)
def test_a_good_value_is_accepted_by_file_model_and_schema(
    tmp_path: Path, base: dict[str, Any], key: str, value: object
) -> None:
    recipe = changed(base, **{key: value})
    if key.endswith("__lr"):
        recipe = changed(recipe, **{SCHED_1 + "__min_lr": 1e-6})
    assert model_accepts(recipe)
    assert [found.message for found in VALIDATOR.iter_errors(recipe)] == []
    assert [code for code in codes(tmp_path, recipe) if code[3] in "02" or code < "CPT150"] == []


@pytest.mark.parametrize(("base", "key", "value", "code"), BAD, ids=named)
def test_a_bad_value_is_refused_by_model_and_schema_with_the_right_code(
    tmp_path: Path, base: dict[str, Any], key: str, value: object, code: str
) -> None:
    recipe = changed(base, **{key: value})
    assert not model_accepts(recipe)
    assert not VALIDATOR.is_valid(recipe)
    assert code in codes(tmp_path, recipe)


WRONG_TYPES: list[tuple[str, object]] = [
    ("run", []),
    ("run__name", 5),
    ("run__name", None),
    ("run__replicas", "8"),
    ("run__replicas", True),
    ("training_config", "x"),
    ("training_config__max_length", "8192"),
    ("training_config__trainer", None),
    ("training_config__trainer__max_epochs", None),
    ("training_config__model", 1),
    (OPTIM_1, None),
    (f"{OPTIM_1}__lr", "1e-5"),
    (f"{OPTIM_1}__lr", False),
    (f"{OPTIM_1}__adam_w_mode", "yes"),
    (f"{OPTIM_1}__adam_w_mode", 1),
    (f"{OPTIM_1}__betas", 0.9),
    (f"{OPTIM_1}__betas__0", "0.9"),
    (SCHED_1, []),
]


@pytest.mark.parametrize(("key", "value"), WRONG_TYPES, ids=named)
def test_a_value_of_another_type_is_refused_by_model_and_schema(tmp_path: Path, key: str, value: object) -> None:
    recipe = changed(nova_1(), **{key: value})
    assert not model_accepts(recipe)
    assert not VALIDATOR.is_valid(recipe)
    assert "CPT101" in codes(tmp_path, recipe)


@pytest.mark.parametrize("betas", [[], [0.9], [0.9, 0.99, 0.999]])
def test_betas_are_two(tmp_path: Path, betas: list[float]) -> None:
    recipe = changed(nova_1(), **{f"{OPTIM_1}__betas": betas})
    assert not VALIDATOR.is_valid(recipe)
    assert codes(tmp_path, recipe) == ["CPT159", "CPT108"]


@pytest.mark.parametrize(
    "key",
    [
        "run",
        "training_config",
        "run__name",
        "run__model_type",
        "run__model_name_or_path",
        "run__replicas",
        "training_config__max_length",
        "training_config__global_batch_size",
        "training_config__trainer",
        f"{OPTIM_1}__lr",
        f"{OPTIM_1}__sched",
        f"{SCHED_1}__min_lr",
    ],
)
def test_a_missing_key_is_refused_by_model_and_schema(tmp_path: Path, key: str) -> None:
    recipe = changed(nova_1(), **{key: DELETED})
    assert not model_accepts(recipe)
    assert not VALIDATOR.is_valid(recipe)
    assert "CPT020" in codes(tmp_path, recipe)
