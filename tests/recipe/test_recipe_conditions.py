"""What sections ask of each other: each condition, its code, the places it names, and the schema's same verdict."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudcpt.recipe.schema import recipe_schema
from tests.recipe.samples import DELETED, changed, codes, findings, full_training, nova_1, nova_2, open_model

VALIDATOR = jsonschema.Draft202012Validator(recipe_schema())
OPTIM_1 = "training_config__model__optim"
OPTIM_2 = "training_config__optim"

BROKEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "steps and epochs": (changed(open_model(), training_config__trainer__max_epochs=1), ["CPT209"]),
    "neither steps nor epochs": (changed(full_training(), training_config__trainer={}), ["CPT209"]),
    "warm-up twice": (changed(open_model(), training_config__optim__sched__warmup_steps=5), ["CPT208"]),
    "no warm-up": (changed(full_training(), training_config__optim__sched__warmup_steps=DELETED), ["CPT208"]),
    "no warm-up for Nova": (changed(nova_1(), **{f"{OPTIM_1}__sched__warmup_steps": DELETED}), ["CPT208"]),
    "optim twice": (
        changed(full_training(), training_config__model={"optim": full_training()["training_config"]["optim"]}),
        ["CPT206"],
    ),
    "no optim": (changed(full_training(), training_config__optim=DELETED), ["CPT206"]),
    "no optim, and a model section": (changed(nova_1(), **{OPTIM_1: DELETED}), ["CPT206"]),
    "optim of Nova 2 in Nova 1": (
        changed(nova_1(), **{OPTIM_1: DELETED, OPTIM_2: nova_1()["training_config"]["model"]["optim"]}),
        ["CPT206"],
    ),
    "optim of Nova 1 in Nova 2": (
        changed(nova_2(), **{OPTIM_2: DELETED, OPTIM_1: nova_2()["training_config"]["optim"]}),
        ["CPT206"],
    ),
    "betas twice": (
        changed(full_training(), training_config__optim__betas=[0.9, 0.99], training_config__optim__adam_beta2=0.99),
        ["CPT207"],
    ),
    "bits without a method": (changed(full_training(), training_config__peft={"bits": 4}), ["CPT211"]),
    "bits with method none": (
        changed(full_training(), training_config__peft={"method": "none", "bits": 8}),
        ["CPT211"],
    ),
    "a weight is missing": (changed(open_model(), data_mixing__sources__1__weight=DELETED), ["CPT212"]),
    "weights in mode auto": (changed(open_model(), data_mixing__mode="auto"), ["CPT212", "CPT212"]),
    "weights without a mode": (changed(open_model(), data_mixing__mode=DELETED), ["CPT212", "CPT212"]),
    "no data": (changed(open_model(), run__data_s3_path=DELETED), ["CPT213"]),
    "steps for Nova 1": (
        changed(nova_1(), training_config__trainer={"max_steps": 100}),
        ["CPT205"],
    ),
    "epochs for Nova 2": (changed(nova_2(), training_config__trainer={"max_epochs": 1}), ["CPT205"]),
    "ffn dropout for Nova 2": (changed(nova_2(), training_config__model__ffn_dropout=0.0), ["CPT205"]),
    "betas for Nova 2": (
        changed(nova_2(), **{f"{OPTIM_2}__betas": [0.9, 0.95], f"{OPTIM_2}__adam_beta1": DELETED}),
        ["CPT207", "CPT205"],
    ),
    "beta1 for Nova 1": (
        changed(nova_1(), **{f"{OPTIM_1}__betas": DELETED, f"{OPTIM_1}__adam_beta1": 0.9}),
        ["CPT205"],
    ),
    "task type for Nova 1": (changed(nova_1(), training_config__task_type="cpt"), ["CPT205"]),
    "optimizer for Nova 1": (changed(nova_1(), **{f"{OPTIM_1}__optimizer": "adam"}), ["CPT205"]),
    "validation interval for Nova 1": (changed(nova_1(), training_config__trainer__val_check_interval=5), ["CPT205"]),
    **{
        f"{key} for Nova": (changed(nova_1(), **{key: value}), ["CPT203"])
        for key, value in {
            "run__seed": 1,
            "training_config__packing": "concat",
            "training_config__micro_batch_size": 1,
            "training_config__trainer__log_every_steps": 1,
            "training_config__peft": {},
            f"{OPTIM_1}__max_grad_norm": 1.0,
            f"{OPTIM_1}__sched__name": "cosine",
            f"{OPTIM_1}__sched__warmup_ratio": 0.1,
            "data_mixing": {"sources": [{"name": "a", "path": "b"}]},
            "eval": {},
            "export": {},
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_condition_is_found_and_the_schema_agrees(tmp_path: Path, name: str) -> None:
    recipe, expected = BROKEN[name]
    assert [code for code in codes(tmp_path, recipe) if code >= "CPT200"] == expected
    assert not VALIDATOR.is_valid(recipe)


@pytest.mark.parametrize(
    "recipe",
    [nova_1("micro"), nova_1("lite"), nova_1("pro"), nova_2(), open_model(), full_training()],
    ids=lambda recipe: recipe["run"]["model_type"],
)
def test_the_samples_break_none(tmp_path: Path, recipe: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(recipe)
    assert [code for code in codes(tmp_path, recipe) if code >= "CPT200"] == []


def test_an_open_model_takes_either_shape(tmp_path: Path) -> None:
    inside = changed(
        full_training(),
        training_config__optim=DELETED,
        training_config__model={"optim": full_training()["training_config"]["optim"]},
    )
    for recipe in (full_training(), inside):
        assert VALIDATOR.is_valid(recipe)
        assert codes(tmp_path, recipe) == []


@pytest.mark.parametrize(
    "weights",
    ["s3://escrow/checkpoint/", "arn:aws-us-gov:sagemaker:us-east-1:123456789012:model-package/group/3"],
)
def test_nova_goes_on_from_a_checkpoint_or_a_model_package(tmp_path: Path, weights: str) -> None:
    recipe = changed(nova_1(), run__model_name_or_path=weights)
    assert "CPT202" not in codes(tmp_path, recipe)
    assert VALIDATOR.is_valid(recipe)


@pytest.mark.parametrize("weights", ["models/nova", "arn:aws:sagemaker:us-east-1:123456789012:training-job/a"])
def test_nova_starts_from_nothing_else(tmp_path: Path, weights: str) -> None:
    recipe = changed(nova_1(), run__model_name_or_path=weights)
    assert "CPT202" in codes(tmp_path, recipe)
    assert not VALIDATOR.is_valid(recipe)


def test_replicas_of_a_newer_published_recipe_are_quoted_and_not_accepted(tmp_path: Path) -> None:
    found = findings(tmp_path, changed(nova_1("micro"), run__replicas=16))[0]
    assert found.code == "CPT201"
    assert found.message == "`amazon.nova-micro-v1:0:128k` runs on `2`, `4` or `8` replicas, not `16`"
    assert found.hint == "AWS's newer recipe allows `16` and `32`; the user guide does not"
    assert [(related.label, related.place.line) for related in found.related] == [("model set here", 4)]


def test_a_key_that_nova_does_not_take_comes_with_the_reason(tmp_path: Path) -> None:
    found = findings(tmp_path, changed(nova_1(), training_config__peft={"method": "lora"}))[-1]
    assert found.message == "`peft` is for models with open weights, continued pretraining of Nova trains all weights"


def test_a_second_key_for_the_same_thing_points_at_the_first(tmp_path: Path) -> None:
    found = findings(tmp_path, changed(open_model(), training_config__trainer__max_epochs=1))[0]
    assert found.message == "`training_config.trainer` has both `max_steps` and `max_epochs`, it takes one of them"
    assert [related.label for related in found.related] == ["`max_steps` set here"]


def test_conditions_say_nothing_about_sections_that_are_no_sections(tmp_path: Path) -> None:
    recipe = changed(nova_1(), training_config__trainer="x", training_config__model=[1])
    assert codes(tmp_path, recipe) == ["CPT159", "CPT206", "CPT101", "CPT101"]
