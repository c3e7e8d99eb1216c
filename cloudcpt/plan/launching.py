"""From the recipe's `launch` section to what the cloud is told, and everything in it that the cloud would refuse.

What is written is judged here, before anything is spent; what is not written yet is for `readiness.py`, because time
and cost can be seen without it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from cloudcpt.dataset.places import is_in_s3
from cloudcpt.errors import Diagnostic, error, warning
from cloudcpt.plan.addresses import addressed, bucket_fault
from cloudcpt.plan.inputs import recipe_inputs
from cloudcpt.plan.launch import CloudLaunch, Mlflow
from cloudcpt.plan.plan import Plan
from cloudcpt.plan.runtime import Limits, limit_advice, limits_of
from cloudcpt.plan.site import Site, Target
from cloudcpt.recipe.launch import has_local_disks
from cloudcpt.recipe.load import LoadedRecipe
from cloudcpt.recipe.model import Recipe

DEFAULT_VOLUME_GB = 50
"""Where disks have to be ordered: on the small machines of a rehearsal, with a small model. Assumed."""

_IMAGE = re.compile(
    r"[0-9]{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.[a-z0-9.]+/[^:@]+(?::[^:@]+)?(?P<digest>@sha256:[0-9a-f]{64})?"
)
_ARN = "arn:"


def in_cloud(loaded: LoadedRecipe, site: Site, plan: Plan, *, region: str) -> Plan:
    """Turn a plan into one for the cloud: addresses in S3 for its files, a time limit, and what the service is told.

    Args:
        loaded: The recipe.
        site: Rented machines.
        plan: With files where they were read.
        region: From `choose_region`.
    """
    recipe = loaded.recipe
    limits = limits_of(recipe, plan.world, plan.estimate, is_training_job=_is_training_job(recipe, site.target))
    launch = _launch(recipe, site, limits, region)
    return replace(
        plan,
        model=replace(plan.model, files=addressed(plan.model.files, launch.input_uri)),
        sources=tuple(replace(one, files=addressed(one.files, launch.input_uri)) for one in plan.sources),
        max_runtime_s=limits.max_runtime_s,
        launch=launch,
    )


def choose_region(loaded: LoadedRecipe, configured: str) -> str:
    """Take the Region of the recipe, else the configured one; empty when there is none."""
    return loaded.recipe.launch.region or configured


def input_uri_of(recipe: Recipe) -> str:
    """Say where the inputs of a recipe are uploaded to, without a `/` at its end; empty when it does not say."""
    output_uri = recipe.run.output_s3_path.rstrip("/")
    return recipe.launch.input_s3_path.rstrip("/") or (f"{output_uri}/cloudcpt" if output_uri else "")


def _is_training_job(recipe: Recipe, target: Target) -> bool:
    """Tell a training job from a recipe that is handed to HyperPod; with an image of the user's it is one there too."""
    return target == "sagemaker" or bool(recipe.launch.image)


def _launch(recipe: Recipe, site: Site, limits: Limits, region: str) -> CloudLaunch:
    launch, run = recipe.launch, recipe.run
    output_uri = run.output_s3_path.rstrip("/")
    return CloudLaunch(
        region=region,
        account_id=launch.account_id,
        role_arn=launch.role,
        image=launch.image,
        input_uri=input_uri_of(recipe),
        output_uri=output_uri,
        input_kms_key=launch.kms_key,
        output_kms_key=launch.output_kms_key,
        volume_kms_key=launch.volume_kms_key,
        volume_gb=_volume_gb(recipe, site),
        subnets=launch.subnets,
        security_groups=launch.security_groups,
        network_isolation=is_isolated(recipe),
        encrypt_traffic=launch.encrypt_traffic,
        spot=launch.spot,
        max_wait_s=limits.max_wait_s,
        max_pending_s=round(launch.max_pending_hours * 3600),
        keep_alive_s=launch.keep_alive_minutes * 60,
        training_plan_arn=launch.training_plan,
        instance_preferences=launch.instance_preferences,
        retry_attempts=launch.retry_attempts,
        tags=tuple(sorted(launch.tags.items())),
        mlflow=_mlflow(recipe),
        budget_usd=launch.budget_usd,
        model_package_group=run.model_package_group if _registers(recipe) else "",
    )


def _volume_gb(recipe: Recipe, site: Site) -> int:
    """Size the disks of the machines that have none of their own."""
    names = recipe.launch.instance_preferences or (site.world.instance_type,)
    return 0 if all(has_local_disks(name) for name in names) else recipe.launch.volume_gb or DEFAULT_VOLUME_GB


def is_isolated(recipe: Recipe) -> bool:
    """Isolate our own trainer, which needs no network. AWS's one for Nova gets its weights from somewhere."""
    launch = recipe.launch
    return launch.network_isolation and (not recipe.is_nova or "network_isolation" in launch.model_fields_set)


def _mlflow(recipe: Recipe) -> Mlflow | None:
    run = recipe.run
    if not run.mlflow_tracking_uri.startswith(_ARN):
        return None
    return Mlflow(tracking_arn=run.mlflow_tracking_uri, experiment=run.mlflow_experiment_name, run=run.mlflow_run_name)


def _registers(recipe: Recipe) -> bool:
    return recipe.is_nova and recipe.run.model_package_group.startswith(_ARN)


def launch_faults(loaded: LoadedRecipe, target: Target, *, region: str) -> Iterator[Diagnostic]:
    """Say what the cloud would refuse of what the recipe says; nothing for a job that stays here.

    Args:
        loaded: The recipe.
        target: From `choose_target`.
        region: From `choose_region`; empty when there is none yet.
    """
    if target in ("local", "container"):
        return
    for keys, uri in _named_uris(loaded):
        if fault := bucket_fault(uri):
            message = f"`{uri}` names no bucket that can be: {fault}"
            yield error("CPT582", message, place=loaded.place(*keys))
    yield from _mixture_faults(loaded)
    yield from _image_faults(loaded, region)
    yield from _region_faults(loaded, region)


def _mixture_faults(loaded: LoadedRecipe) -> Iterator[Diagnostic]:
    """Refuse data in a folder that uploads or results go into: the next plan would take them for data too."""
    written = {"uploads": input_uri_of(loaded.recipe), "results": loaded.recipe.run.output_s3_path.rstrip("/")}
    for one in recipe_inputs(loaded):
        folder = f"{_folder_of(one.path)}/"
        into = [f"{what} to `{uri}`" for what, uri in written.items() if uri and f"{uri}/".startswith(folder)]
        if is_in_s3(one.path) and into:
            message = f"`{one.path}` is read at any depth, and cloudcpt writes {' and '.join(into)}"
            hint = "give the data a folder of its own, or set another `output_s3_path`"
            yield error("CPT588", message, place=loaded.place(*one.named_by), hint=hint)


def _folder_of(path: str) -> str:
    """Give the part of a path below which everything counts; of a pattern without `**` that is nothing but itself."""
    return path.partition("**")[0].rstrip("/") if "**" in path else path.rstrip("/")


def _named_uris(loaded: LoadedRecipe) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """List everything in S3 that a recipe names, with its keys."""
    run, launch = loaded.recipe.run, loaded.recipe.launch
    named: list[tuple[tuple[str | int, ...], str]] = [
        (("run", "model_name_or_path"), run.model_name_or_path),
        (("run", "output_s3_path"), run.output_s3_path),
        (("launch", "input_s3_path"), launch.input_s3_path),
        *((one.named_by, one.path) for one in recipe_inputs(loaded)),
    ]
    return ((keys, uri) for keys, uri in named if is_in_s3(uri))


def _image_faults(loaded: LoadedRecipe, region: str) -> Iterator[Diagnostic]:
    image, place = loaded.recipe.launch.image, loaded.place("launch", "image")
    if not image:
        return
    match = _IMAGE.fullmatch(image)
    if match is None:
        hint = "push it to ECR and name it `<account>.dkr.ecr.<region>.amazonaws.com/<name>@sha256:...`"
        yield error(
            "CPT581", f"`{image}` is not an image in ECR, where training jobs take them from", place=place, hint=hint
        )
        return
    if not match["digest"] and not loaded.recipe.is_nova:
        hint = "append the digest that `docker push` printed; `aws ecr describe-images` shows it too"
        message = f"`{image}` names no digest, and a tag can be another image tomorrow"
        yield error("CPT581", message, place=place, hint=hint)
    if region and match["region"] != region:
        message = (
            f"the image is in `{match['region']}` and the job in `{region}`, which takes no image of another Region"
        )
        yield error("CPT581", message, place=place, hint="push the image to the Region of the job")


def _region_faults(loaded: LoadedRecipe, region: str) -> Iterator[Diagnostic]:
    launch = loaded.recipe.launch
    for key in ("kms_key", "output_kms_key", "volume_kms_key", "training_plan"):
        arn = getattr(launch, key)
        elsewhere = arn.split(":")[3] if arn.startswith(_ARN) else region
        if region and elsewhere != region:
            message = f"`{key}` is in `{elsewhere}`, the job runs in `{region}`"
            yield error("CPT584", message, place=loaded.place("launch", key))


def launch_advice(loaded: LoadedRecipe, plan: Plan) -> Iterator[Diagnostic]:
    """Comment on what the cloud is told."""
    if plan.launch is None:
        return
    yield from limit_advice(loaded, plan)
    group = loaded.recipe.run.model_package_group
    if group and not plan.launch.model_package_group:
        why = "names it by its ARN" if loaded.recipe.is_nova else "trains a Nova model"
        message = f"`model_package_group` has no effect: the service registers the result of a job that {why}"
        yield warning("CPT585", message, place=loaded.place("run", "model_package_group"))
