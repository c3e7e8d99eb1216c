"""A Nova recipe as AWS publishes it: the keys of its generation and no others, for a training job or for HyperPod.

What a person wrote may carry cloudcpt's own sections, leave out what has a default, or spell a number in a way that
YAML 1.1 reads as text (`1e-5`). What AWS gets is complete, has the published keys only, and writes every number as a
plain decimal, so that any YAML reader sees the same values.

Source: aws/sagemaker-hyperpod-recipes at 2631995 (2026-06-23), recipes_collection/recipes/training/nova.
"""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal

from cloudcpt.plan.plan import Plan
from cloudcpt.recipe.load import parse_recipe
from cloudcpt.recipe.model import Recipe

Section = Mapping[str, object]


def recipe_for_training_job(plan: Plan) -> str:
    """Write recipe.yaml for the `recipe` channel; a training job has its data from channels and no output path.

    Source: the comments beside `data_s3_path` ("leave empty for training job") and `output_s3_path` in the recipes.
    """
    recipe = parse_recipe(plan.recipe_text, plan.recipe_path)
    return recipe_yaml(recipe, name=recipe.run.name, data="", validation="", output="")


def recipe_yaml(recipe: Recipe, *, name: str, data: str, validation: str, output: str) -> str:
    """Write a Nova recipe with the keys that its generation has.

    Args:
        recipe: What the user wrote.
        name: Of the run.
        data: `run.data_s3_path`.
        validation: `run.validation_data_s3_path`; empty for none.
        output: `run.output_s3_path`.
    """
    assert recipe.is_nova, f"`{recipe.run.model_type}` has no recipe of AWS"
    run = recipe.run
    paths = {"data_s3_path": data, "validation_data_s3_path": validation, "output_s3_path": output}
    if recipe.row.generation == 1 and not validation:
        del paths["validation_data_s3_path"]  # the user guide has this key, the published recipes of 1.0 do not
    whole = {
        "run": {
            "name": name,
            "model_type": run.model_type,
            "model_name_or_path": run.model_name_or_path,
            "replicas": run.replicas,
            **paths,
            "mlflow_tracking_uri": run.mlflow_tracking_uri,
            # "Leave this field non-empty", say the recipes, even where there is no MLflow.
            "mlflow_experiment_name": run.mlflow_experiment_name or name,
            "mlflow_run_name": run.mlflow_run_name or name,
        },
        "training_config": _first_generation(recipe) if recipe.row.generation == 1 else _second_generation(recipe),
    }
    return "\n".join(_lines(whole, "")) + "\n"


def _first_generation(recipe: Recipe) -> Section:
    config = recipe.training_config
    return {
        "max_length": config.max_length,
        "global_batch_size": config.global_batch_size,
        "trainer": {"max_epochs": _whole(config.trainer.max_epochs)},
        "model": {
            "hidden_dropout": config.model.hidden_dropout,
            "attention_dropout": config.model.attention_dropout,
            "ffn_dropout": config.model.ffn_dropout,
            "optim": {**_optim(recipe), "betas": [recipe.beta1, recipe.beta2], "sched": _sched(recipe)},
        },
    }


def _second_generation(recipe: Recipe) -> Section:
    config, trainer = recipe.training_config, recipe.training_config.trainer
    validation = {"val_check_interval": trainer.val_check_interval, "limit_val_batches": trainer.limit_val_batches}
    return {
        "task_type": "cpt",
        "max_length": config.max_length,
        "global_batch_size": config.global_batch_size,
        "trainer": {
            "max_steps": trainer.max_steps,
            **{key: value for key, value in validation.items() if value is not None},
        },
        "model": {
            "hidden_dropout": config.model.hidden_dropout,
            "attention_dropout": config.model.attention_dropout,
        },
        "optim": {
            "optimizer": "adam",
            **_optim(recipe),
            "adam_beta1": recipe.beta1,
            "adam_beta2": recipe.beta2,
            "sched": _sched(recipe),
        },
    }


def _optim(recipe: Recipe) -> Section:
    optim = recipe.optim
    return {
        "lr": optim.lr,
        "name": optim.name,
        "adam_w_mode": optim.adam_w_mode,
        "eps": optim.eps,
        "weight_decay": optim.weight_decay,
    }


def _sched(recipe: Recipe) -> Section:
    sched = recipe.optim.sched
    return {"warmup_steps": sched.warmup_steps, "constant_steps": sched.constant_steps, "min_lr": sched.min_lr}


def _whole(epochs: float | None) -> int:
    assert epochs is not None, "a Nova 1 recipe has `max_epochs`"
    return int(epochs)


def _lines(section: Section, indent: str) -> Iterator[str]:
    """Write a section as YAML that versions 1.1 and 1.2 read alike."""
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: object) -> str:
    """Write a value: text in quotes, because `nova-micro/prod` and `no` must both stay text."""
    if isinstance(value, list):
        return f"[{', '.join(_scalar(one) for one in value)}]"
    return plain(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def plain(number: float) -> str:
    """Write a number without an exponent, which YAML 1.1 takes for text where there is no point before it: `1e-5`."""
    digits = format(Decimal(repr(number)), "f")
    return digits if "." in digits else f"{digits}.0"
