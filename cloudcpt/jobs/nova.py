"""A Nova job, in the shape in which AWS's SDK sends it; the image is one that AWS gave to the user.

| part of the request | content |
|---|---|
| HyperParameters `base_model` | `run.model_name_or_path`, when it is a name such as `nova-lite/prod` |
| HyperParameters `base_model_location` | the same, when it is an s3:// URI |
| ModelPackageConfig `SourceModelPackageArn` | the same, when it is the ARN of a model package |
| ModelPackageConfig `ModelPackageGroupArn` | `run.model_package_group` |
| HyperParameters `sagemaker_recipe_local_path` | where the recipe is in the container |
| channel `recipe` | the folder of recipe.yaml |
| channels `train`, `validation` | the data, on every machine |
| source code, entry point, metrics, TensorBoard, CheckpointConfig | none |

Source: aws/sagemaker-python-sdk at a248126 (2026-08-21), sagemaker/train/sm_recipes/utils.py
(`_get_args_from_nova_recipe`) and sagemaker/train/model_trainer.py. No public image trains Nova in a training job by
that date, so this is the contract that the SDK implements, and nobody outside AWS has seen a job of this kind run.
"""

import re

from cloudcpt.jobs.manifests import Channel, manifest_channel, papers_uri
from cloudcpt.jobs.nova_recipe import recipe_for_training_job
from cloudcpt.plan.plan import Plan, Source
from cloudcpt.wire import MlFolder

RECIPE_CHANNEL = "recipe"
RECIPE_FILE = "recipe.yaml"

_MODEL_PACKAGE = re.compile(r"arn:aws[a-z\-]*:sagemaker:[a-z0-9-]+:\d{12}:model-package/.+")


def nova_channels(plan: Plan) -> tuple[Channel, ...]:
    """List the channels: the recipe, then the data."""
    folder = f"{papers_uri(plan)}{RECIPE_CHANNEL}/"
    paper = (folder + RECIPE_FILE, recipe_for_training_job(plan).encode())
    recipe = Channel(name=RECIPE_CHANNEL, kind="S3Prefix", uri=folder, papers=(paper,))
    return (recipe, *(_data_channel(plan, source) for source in plan.sources))


def _data_channel(plan: Plan, source: Source) -> Channel:
    """Name a dataset of one uploaded file by its key, as the SDK would; list any other, which has no prefix to itself.

    What the client uploads lies beside everything else that was uploaded, and a folder of the user's may hold more
    than what was validated: `train.jsonl` as a prefix would bring `train.jsonl.old` too. The container finds the same
    files in the same place either way.
    """
    if len(source.files) == 1 and source.files[0].placed != source.files[0].name:
        return Channel(name=source.channel, kind="S3Prefix", uri=source.files[0].uri)
    return manifest_channel(plan, source.channel, source.files)


def nova_members(plan: Plan) -> dict[str, dict[str, str]]:
    """Give the members of the request that only a Nova job has; hyperparameters are added to those of every job."""
    assert plan.launch is not None, f"a plan for `{plan.target}` is not for the cloud"
    base = plan.model.name_or_path
    hyperparameters = {"sagemaker_recipe_local_path": str(MlFolder().channel(RECIPE_CHANNEL) / RECIPE_FILE)}
    package = {"ModelPackageGroupArn": plan.launch.model_package_group} if plan.launch.model_package_group else {}
    if _MODEL_PACKAGE.fullmatch(base):
        package["SourceModelPackageArn"] = base
    else:
        hyperparameters["base_model_location" if base.startswith("s3://") else "base_model"] = base
    return {"HyperParameters": hyperparameters, **({"ModelPackageConfig": package} if package else {})}
