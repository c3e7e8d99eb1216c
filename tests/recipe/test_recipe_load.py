"""A whole recipe: published ones, ours, one way to ask for both generations, and complete lists of findings."""

from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.errors import RecipeError, Severity, explanations
from cloudcpt.recipe.load import load_recipe
from tests.recipe.samples import changed, findings, full_training, listing, nova_1, nova_2, open_model, written

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))

# The keys and values of the published Nova 1 recipe for Micro, in its order and spelling; the comments are ours.
PUBLISHED = """\
## what runs
run:
  name: "my-cpt-run"   # quoted, as published
  model_type: "amazon.nova-micro-v1:0:128k"
  model_name_or_path: "nova-micro/prod"
  replicas: 8
  data_s3_path: ""
  output_s3_path: ""
  mlflow_tracking_uri: "" # unset
  mlflow_experiment_name: "my-cpt-experiment"
  mlflow_run_name: "my-cpt-run"

## how it trains
training_config:
  max_length: 8192
  global_batch_size: 256

  trainer:
    max_epochs: 1

  model:
    hidden_dropout: 0.0
    attention_dropout: 0.0
    ffn_dropout: 0.0

    optim:
      lr: 1e-5                 # a number in YAML 1.2, a text in YAML 1.1
      name: distributed_fused_adam
      adam_w_mode: true
      eps: 1e-06
      weight_decay: 0.0
      betas:
        - 0.9
        - 0.999
      sched:
        warmup_steps: 10
        constant_steps: 0
        min_lr: 1e-6
"""


def test_the_published_nova_recipe_is_accepted_as_it_is(tmp_path: Path) -> None:
    loaded = load_recipe(written(tmp_path, PUBLISHED))
    recipe = loaded.recipe
    assert recipe.model_dump(exclude_unset=True) == {
        **nova_1(),
        "training_config": {
            **nova_1()["training_config"],
            "model": {
                **nova_1()["training_config"]["model"],
                "optim": {**nova_1()["training_config"]["model"]["optim"], "betas": (0.9, 0.999)},
            },
        },
    }
    assert [(one.code, one.severity) for one in loaded.diagnostics] == [("CPT159", Severity.NOTE)]
    assert (recipe.optim.lr, recipe.optim.eps, recipe.optim.sched.min_lr) == (1e-5, 1e-6, 1e-6)


def test_the_second_generation_is_accepted_as_published(tmp_path: Path) -> None:
    loaded = load_recipe(written(tmp_path, nova_2()))
    assert loaded.recipe.optim.optimizer == "adam"
    assert [one.code for one in loaded.diagnostics] == ["CPT159", "CPT155"]


def test_launcher_keys_of_newer_recipes_are_accepted(tmp_path: Path) -> None:
    extras = {"display_name": "Nova", "versions": ["1.2.0"], "instance_types": ["ml.p5.48xlarge"]}
    loaded = load_recipe(written(tmp_path, {**extras, **nova_1()}))
    assert loaded.recipe.instance_types == ("ml.p5.48xlarge",)


def test_both_generations_answer_the_same_questions(tmp_path: Path) -> None:
    first = load_recipe(written(tmp_path, nova_1())).recipe
    second = load_recipe(written(tmp_path, nova_2())).recipe
    ours = load_recipe(written(tmp_path, open_model())).recipe
    assert (first.beta1, first.beta2, first.is_nova, first.row.size_class) == (0.9, 0.999, True, "micro")
    assert (second.beta1, second.beta2, second.is_nova, second.row.size_class) == (0.9, 0.95, True, "lite")
    assert (ours.beta1, ours.beta2, ours.is_nova, ours.row.size_class) == (0.9, 0.95, False, "micro")
    assert (first.eval_every_steps, first.eval_max_rows) == (0, 0)
    assert (second.eval_every_steps, second.eval_max_rows) == (10, 512)
    assert (ours.eval_every_steps, ours.eval_max_rows) == (20, 0)


def test_betas_default_to_those_of_the_shape(tmp_path: Path) -> None:
    beside = full_training()
    inside = changed(beside, training_config__model={"optim": beside["training_config"]["optim"]})
    del inside["training_config"]["optim"]
    assert load_recipe(written(tmp_path, beside)).recipe.beta2 == 0.95
    assert load_recipe(written(tmp_path, inside)).recipe.beta2 == 0.999
    explicit = changed(beside, training_config__optim__betas=[0.8, 0.9])
    assert load_recipe(written(tmp_path, explicit)).recipe.beta1 == 0.8


def test_a_loaded_recipe_knows_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, PUBLISHED)
    loaded = load_recipe(path)
    assert loaded.path == str(path)
    assert loaded.folder == tmp_path
    assert loaded.text == PUBLISHED
    assert loaded.blake3 == blake3(PUBLISHED.encode()).hexdigest()


def test_a_relative_path_keeps_its_name_and_gets_an_absolute_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, PUBLISHED)
    monkeypatch.chdir(tmp_path)
    loaded = load_recipe(Path("recipe.yaml"))
    assert loaded.path == "recipe.yaml"
    assert loaded.folder == tmp_path


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("run", "name"), (3, 9, 12)),
        (("training_config", "model", "optim", "lr"), (27, 11, 4)),
        (("training_config", "model", "optim", "betas", 1), (34, 11, 5)),
        (("training_config", "model", "optim", "sched"), (35, 7, 5)),
        (("training_config", "optim"), (14, 1, 15)),
        (("launch", "target"), (2, 1, 1)),
    ],
)
def test_the_place_of_a_value_or_of_its_nearest_ancestor_is_known(
    tmp_path: Path, keys: tuple[str | int, ...], expected: tuple[int, int, int]
) -> None:
    place = load_recipe(written(tmp_path, PUBLISHED)).place(*keys)
    assert place is not None
    assert (place.line, place.column, place.length) == expected


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_loads(path: Path) -> None:
    assert all(one.severity is not Severity.ERROR for one in load_recipe(path).diagnostics)


@pytest.mark.parametrize(
    "path", [path for path in RECIPES if not path.stem.startswith("demo")], ids=lambda path: path.stem
)
def test_recipes_for_real_models_raise_no_warning_and_help_editors(path: Path) -> None:
    assert load_recipe(path).diagnostics == ()
    assert path.read_text().startswith("# yaml-language-server: $schema=../docs/recipe.schema.json\n")


GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_everything_wrong_is_reported_together_in_the_order_of_the_file(path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    assert listing(raised.value.diagnostics) + "\n" == path.with_suffix(".txt").read_text("utf-8")


def test_syntax_and_values_are_reported_together(tmp_path: Path) -> None:
    text = PUBLISHED.replace("lr: 1e-5  ", "lr: .nan  ").replace("replicas: 8", "replicas: &r 3")
    text = text.replace("        warmup_steps: 10", "        warmup_steps: 10\n        warmup_steps: 30")
    assert (
        listing(findings(tmp_path, text))
        == """\
6:13+4 error CPT011 anchor `&r` is not allowed, a recipe says everything where it stands
    hint: write the value out
6:13+4 error CPT201 `amazon.nova-micro-v1:0:128k` runs on `2`, `4` or `8` replicas, not `3`
    4:15 model set here
    hint: AWS's newer recipe allows `16` and `32`; the user guide does not
7:17+2 note CPT159 `data_s3_path` is not set yet, a plan needs the training data
27:11+4 error CPT018 `.nan` is not a finite number
37:9+12 error CPT010 key `warmup_steps` is given twice
    36:9 `warmup_steps` is first set here"""
    )


def test_a_file_that_is_not_yaml_says_only_that(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as raised:
        load_recipe(written(tmp_path, PUBLISHED + "  oops\n"))
    assert listing(raised.value.diagnostics) == "39:3+1 error CPT007 this is not YAML: a key without `:` behind it"


def test_every_finding_of_the_recipe_is_explained() -> None:
    explained = [code for code in explanations() if code < "CPT300"]
    assert explained[0] == "CPT001"
    assert explained == sorted(explained)
