"""What no schema can say, and what is allowed but unusual."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cloudcpt.errors import Severity
from cloudcpt.recipe.schema import recipe_schema
from tests.recipe.samples import changed, codes, findings, full_training, nova_1, nova_2, open_model

VALIDATOR = jsonschema.Draft202012Validator(recipe_schema())
OPTIM_1 = "training_config__model__optim"
OPTIM_2 = "training_config__optim"
SCHED = f"{OPTIM_2}__sched"
STEPS = {"training_config__trainer": {"max_steps": 30}}


def code_of(tmp_path: Path, recipe: dict[str, Any]) -> list[str]:
    return [code for code in codes(tmp_path, recipe) if code != "CPT159"]


@pytest.mark.parametrize(("floor", "expected"), [(9.99e-6, []), (1e-5, ["CPT204"]), (1e-4, ["CPT204"])])
@pytest.mark.parametrize("base", [nova_1(), nova_2()], ids=["model.optim", "optim"])
def test_min_lr_is_below_lr(tmp_path: Path, base: dict[str, Any], floor: float, expected: list[str]) -> None:
    optim = OPTIM_1 if "optim" in base["training_config"]["model"] else OPTIM_2
    base = changed(base, **{f"{optim}__sched__warmup_steps": 5})
    assert code_of(tmp_path, changed(base, **{f"{optim}__sched__min_lr": floor})) == expected


@pytest.mark.parametrize("name", ["cosine", "linear", "wsd", "constant"])
@pytest.mark.parametrize("constant_steps", [0, 5])
def test_a_floor_at_the_peak_is_refused_for_every_shape(tmp_path: Path, name: str, constant_steps: int) -> None:
    """NeMo ends in an assertion for it, and only where there are constant steps."""
    sched = {"name": name, "warmup_steps": 5, "constant_steps": constant_steps, "min_lr": 1e-5}
    found = code_of(tmp_path, changed(full_training(), **{SCHED: sched}))
    assert [code for code in found if code != "CPT156"] == ["CPT204"]


def test_the_finding_about_min_lr_points_at_lr(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, changed(full_training(), **{f"{SCHED}__min_lr": 1e-4}))
    assert found.message == "`min_lr` `0.0001` is not below `lr` `1e-05`"
    assert [related.label for related in found.related] == ["`lr` set here"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({**STEPS, f"{SCHED}__constant_steps": 19}, []),
        ({**STEPS, f"{SCHED}__constant_steps": 20}, ["CPT214"]),
        ({**STEPS, f"{SCHED}__constant_steps": 40}, ["CPT214"]),
        ({**STEPS, f"{SCHED}__constant_steps": 40, f"{SCHED}__name": "constant"}, ["CPT156"]),
        ({**STEPS, SCHED: {"warmup_ratio": 0, "constant_steps": 29, "min_lr": 1e-6}}, []),
        ({**STEPS, SCHED: {"warmup_ratio": 0, "constant_steps": 30, "min_lr": 1e-6}}, ["CPT214"]),
        ({f"{SCHED}__constant_steps": 40}, []),
        (
            {
                "training_config__trainer": {"max_steps": 100},
                SCHED: {"warmup_ratio": 0.015, "constant_steps": 98, "min_lr": 1e-6},
            },
            ["CPT214"],
        ),
    ],
)
def test_a_schedule_keeps_steps_to_decay(tmp_path: Path, changes: dict[str, object], expected: list[str]) -> None:
    assert code_of(tmp_path, changed(full_training(), **changes)) == expected


def test_source_names_are_unique(tmp_path: Path) -> None:
    recipe = changed(open_model(), data_mixing__sources__1__name="web")
    (found,) = findings(tmp_path, recipe)
    assert found.code == "CPT215"
    assert [related.label for related in found.related] == ["the first one"]


@pytest.mark.parametrize("key", ["val_check_interval", "limit_val_batches"])
def test_the_evaluation_is_described_once(tmp_path: Path, key: str) -> None:
    recipe = changed(open_model(), **{f"training_config__trainer__{key}": 5}, eval__max_rows=5)
    assert code_of(tmp_path, recipe) == ["CPT216"]


def test_a_beta_of_one_is_refused_where_we_train_and_warned_of_where_aws_does(tmp_path: Path) -> None:
    assert code_of(tmp_path, changed(full_training(), **{f"{OPTIM_2}__betas": [0.9, 1]})) == ["CPT217"]
    assert code_of(tmp_path, changed(full_training(), **{f"{OPTIM_2}__adam_beta1": 1.0})) == ["CPT217"]
    assert code_of(tmp_path, changed(nova_1(), **{f"{OPTIM_1}__betas": [0.9, 1]})) == ["CPT158"]


@pytest.mark.parametrize("text", ["s3://my-bucket/<folder>/x", "[S3_PATH_TO_DATA]", "data/{{ name }}", "<path>"])
def test_a_placeholder_in_a_path_is_not_taken_for_a_path(tmp_path: Path, text: str) -> None:
    assert code_of(tmp_path, changed(full_training(), run__data_s3_path=text)) == ["CPT021"]


@pytest.mark.parametrize("text", ["data/[A-Z]*.jsonl", "data/[ABC].jsonl", "a < b > c.jsonl"])
def test_a_glob_is_not_taken_for_a_placeholder(tmp_path: Path, text: str) -> None:
    assert code_of(tmp_path, changed(full_training(), run__data_s3_path=text)) == []


LORA = {"training_config__peft": {"method": "lora"}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({f"{OPTIM_2}__lr": 1e-6, f"{SCHED}__min_lr": 0}, []),
        ({f"{OPTIM_2}__lr": 9e-7, f"{SCHED}__min_lr": 0}, ["CPT151"]),
        ({f"{OPTIM_2}__lr": 1e-4}, []),
        ({f"{OPTIM_2}__lr": 1.1e-4}, ["CPT151"]),
        ({**LORA, f"{OPTIM_2}__lr": 1.9e-5}, ["CPT151"]),
        ({**LORA, f"{OPTIM_2}__lr": 2e-5}, []),
        ({**LORA, f"{OPTIM_2}__lr": 2e-3}, []),
        ({**LORA, f"{OPTIM_2}__lr": 2.1e-3}, ["CPT151"]),
        ({"training_config__peft": {"method": "lora", "embedding_lr": 1e-4}, f"{OPTIM_2}__lr": 1e-4}, []),
        ({"training_config__peft": {"method": "lora", "embedding_lr": 1.1e-4}, f"{OPTIM_2}__lr": 1e-4}, ["CPT160"]),
        ({f"{OPTIM_2}__weight_decay": 0}, []),
        ({f"{OPTIM_2}__weight_decay": 0.009}, ["CPT152"]),
        ({f"{OPTIM_2}__weight_decay": 0.01}, []),
        ({f"{OPTIM_2}__weight_decay": 0.1}, []),
        ({f"{OPTIM_2}__weight_decay": 0.11}, ["CPT152"]),
        ({"training_config__model": {"hidden_dropout": 0.2}}, []),
        ({"training_config__model": {"hidden_dropout": 0.21}}, ["CPT153"]),
        ({"training_config__model": {"attention_dropout": 0.21, "ffn_dropout": 1}}, ["CPT153", "CPT153"]),
        ({"training_config__trainer__max_epochs": 5}, []),
        ({"training_config__trainer__max_epochs": 5.5}, ["CPT154"]),
        ({"training_config__trainer": {"max_steps": 11}}, []),
        ({"training_config__trainer": {"max_steps": 10}}, ["CPT155"]),
        ({"skip_recipe_validation": True}, ["CPT156"]),
        ({"skip_recipe_validation": False}, []),
        ({"run__mlflow_tracking_uri": "https://mlflow.example"}, ["CPT156"]),
        ({"run__mlflow_tracking_uri": "arn:aws:sagemaker:x"}, []),
        ({"launch__volume_gb": 100}, ["CPT156"]),
        ({"launch": {"volume_gb": 100, "instance_type": "ml.m5.xlarge"}}, []),
        ({"training_config__peft": {"rank": 4, "merge": False}}, ["CPT156", "CPT156"]),
        ({"run__validation_data_s3_path": "data/*.jsonl"}, ["CPT157"]),
    ],
)
def test_what_is_unusual_is_warned_of_and_accepted(
    tmp_path: Path, changes: dict[str, object], expected: list[str]
) -> None:
    recipe = changed(full_training(), **changes)
    found = findings(tmp_path, recipe)
    assert [one.code for one in found] == expected
    assert all(one.severity is Severity.WARNING for one in found)
    assert VALIDATOR.is_valid(recipe)


@pytest.mark.parametrize(
    ("float8", "bits", "expected"),
    [("none", 4, []), (None, 8, []), ("rowwise", None, []), ("rowwise", 4, ["CPT225"]), ("tensorwise", 8, ["CPT225"])],
)
def test_few_bits_and_float8_are_not_combined(
    tmp_path: Path, float8: str | None, bits: int | None, expected: list[str]
) -> None:
    peft = {"method": "lora", **({} if bits is None else {"bits": bits})}
    computing = {} if float8 is None else {"training_config__float8": float8}
    recipe = changed(full_training(), training_config__peft=peft, **{f"{OPTIM_2}__lr": 1e-4}, **computing)
    assert code_of(tmp_path, recipe) == expected


def test_general_text_that_is_replayed_does_not_measure_forgetting(tmp_path: Path) -> None:
    recipe = changed(open_model(), eval__general_data_path="s3://my-bucket/web/")
    (found,) = findings(tmp_path, recipe)
    assert found.code == "CPT157"
    assert [related.label for related in found.related] == ["trained on here"]


def test_a_nova_recipe_without_data_is_noted(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, nova_1())
    assert (found.code, found.severity) == ("CPT159", Severity.NOTE)


def test_rules_say_nothing_about_values_that_are_findings_themselves(tmp_path: Path) -> None:
    recipe = changed(full_training(), **{f"{OPTIM_2}__lr": "1e-5", f"{SCHED}__min_lr": 1})
    assert code_of(tmp_path, recipe) == ["CPT101"]
    assert code_of(tmp_path, changed(full_training(), run__replicas=False)) == ["CPT101"]


def test_the_schema_lists_the_rules_that_it_cannot_express() -> None:
    rules = recipe_schema()["x-rules"]
    assert "`min_lr` is below `lr`." in rules
    assert len(rules) == 9
