"""Unknown keys: a guess, a place, another name, or a reason."""

import tomllib
from pathlib import Path

import pytest

import cloudcpt.recipe
from cloudcpt.errors import Diagnostic
from cloudcpt.recipe.outline import known_keys, schema_at
from tests.recipe.samples import changed, findings, full_training, nova_1, nova_2

FOREIGN = tomllib.loads((Path(cloudcpt.recipe.__file__).parent / "foreign.toml").read_text("utf-8"))


def answer(tmp_path: Path, recipe: dict[str, object], code: str) -> Diagnostic:
    (found,) = [one for one in findings(tmp_path, recipe) if one.code == code]
    return found


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("training_config__optim__sched__warmup_step", "did you mean `warmup_steps`?"),
        ("training_config__optim__sched__Min_LR", "did you mean `min_lr`?"),
        ("training_config__trainer__max-steps", "did you mean `max_steps`?"),
        ("training_config__model__hiden_dropout", "did you mean `hidden_dropout`?"),
        ("run__replica", "did you mean `replicas`?"),
        ("training_confg", "did you mean `training_config`?"),
        ("training_config__val_check_intervall", "did you mean `val_check_interval` under `training_config.trainer`?"),
        ("export__zzz", "keys here are `dtype`"),
        ("run__zzzzzzzzz", "keys here are `name`, `model_type`, `model_name_or_path`, `replicas`, `data_s3_path`, "
         "`validation_data_s3_path`, `output_s3_path`, `mlflow_tracking_uri`, `mlflow_experiment_name`, "
         "`mlflow_run_name`, `seed` and `model_package_group`"),
        ("zzz", "keys here are `display_name`, `versions`, `instance_types`, `skip_recipe_validation`, `run`, "
         "`training_config`, `data`, `data_mixing`, `eval`, `export`, `checkpoint` and `launch`"),
    ],
)  # fmt: skip
def test_a_misspelt_key_is_answered_with_the_nearest(tmp_path: Path, key: str, hint: str) -> None:
    found = answer(tmp_path, changed(full_training(), **{key: 1}), "CPT012")
    assert found.message.startswith(f"unknown key `{key.rsplit('__', 1)[-1]}` in ")
    assert found.hint == hint
    assert found.place is not None
    assert found.place.length == len(key.rsplit("__", 1)[-1]) + 2, "the key is underlined, with its quotes"


@pytest.mark.parametrize(
    ("key", "section"),
    [
        ("training_config__model__warmup_steps", "`training_config.optim.sched`"),
        ("training_config__lr", "`training_config.optim`"),
        ("trainer", "`training_config`"),
        ("peft", "`training_config`"),
        ("run__eval", "`the top level`"),
        ("run__instance_type", "`launch`"),
        ("training_config__general_ratio", "`data_mixing`"),
        ("training_config__weight", "`data_mixing.sources`"),
    ],
)
def test_a_key_in_the_wrong_section_is_sent_home(tmp_path: Path, key: str, section: str) -> None:
    found = answer(tmp_path, changed(full_training(), **{key: 1}), "CPT022")
    assert found.message.endswith(f"it belongs under {section}")


def test_home_is_where_this_recipe_has_its_optimizer(tmp_path: Path) -> None:
    for recipe, place in ((nova_1(), "training_config.model.optim"), (nova_2(), "training_config.optim")):
        found = answer(tmp_path, changed(recipe, run__min_lr=1), "CPT022")
        assert found.message == f"`min_lr` is not a key of `run`, it belongs under `{place}.sched`"
        found = answer(tmp_path, changed(recipe, training_config__learning_rate=1), "CPT023")
        assert found.message == f"unknown key `learning_rate`; a recipe writes it as `{place}.lr`"


@pytest.mark.parametrize("key", [key for key, row in FOREIGN.items() if "write" in row])
def test_a_setting_of_another_tool_is_answered_with_our_name_for_it(tmp_path: Path, key: str) -> None:
    found = answer(tmp_path, changed(full_training(), **{f"training_config__{key}": 1}), "CPT023")
    assert found.hint == FOREIGN[key].get("how")


@pytest.mark.parametrize("key", [key for key, row in FOREIGN.items() if "reason" in row])
def test_a_setting_that_has_no_place_is_answered_with_the_reason(tmp_path: Path, key: str) -> None:
    found = answer(tmp_path, changed(full_training(), **{key: 1}), "CPT024")
    assert found.message == f"`{key}` has no place in a recipe: {FOREIGN[key]['reason']}"


def test_command_line_spelling_is_understood(tmp_path: Path) -> None:
    recipe = changed(full_training(), **{"training_config__--num-train-epochs": 3})
    assert answer(tmp_path, recipe, "CPT023").message.endswith("`training_config.trainer.max_epochs`")


@pytest.mark.parametrize("key", FOREIGN)
def test_the_table_names_real_places_and_no_key_of_our_own(key: str) -> None:
    row = FOREIGN[key]
    assert key not in known_keys()
    assert key == key.lower()
    assert set(row) in ({"write"}, {"write", "how"}, {"reason"})
    if "write" in row:
        assert schema_at(tuple(row["write"].split("."))) is not None


def test_a_switch_in_the_place_of_one_of_some_words_is_not_told_to_be_put_in_quotes(tmp_path: Path) -> None:
    found = answer(tmp_path, changed(full_training(), training_config__compile=True), "CPT103")
    assert found.hint is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("meta-llama/Llama-3.1-8B", "did you mean `llama-3.1-8b`?"),
        ("Qwen/Qwen3-0.6B-Base", "did you mean `qwen3-0.6b`?"),
        ("llama-3.1-8B", "did you mean `llama-3.1-8b`?"),
        ("amazon.nova-micro-v1:0", "did you mean `amazon.nova-micro-v1:0:128k`?"),
        ("bloom", "did you mean `bloom-560m`, `bloomz-560m` or `bloom-7b1`?"),
        ("zzzzzz", "`cloudcpt models` lists them; `hf` takes any other model"),
    ],
)
def test_an_unknown_model_is_answered_with_what_was_probably_meant(tmp_path: Path, name: str, hint: str) -> None:
    assert answer(tmp_path, changed(full_training(), run__model_type=name), "CPT104").hint == hint
