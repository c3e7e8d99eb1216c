"""`cloudcpt render RECIPE`: the recipe as AWS's own launcher takes it, and how to start it there.

The recipe is this command's data; the commands to run next, and what has to be uploaded first, go to stderr.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

import cloudcpt
from cloudcpt.cli import render
from cloudcpt.cli.check import check
from cloudcpt.cli.save import save
from cloudcpt.errors import DatasetError, Diagnostic, PlanError, error, note

if TYPE_CHECKING:
    from cloudcpt.jobs.hyperpod import HandOver
    from cloudcpt.plan.inputs import DataInput
    from cloudcpt.plan.plan import DataFile
    from cloudcpt.recipe.load import LoadedRecipe


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--target", type=click.Choice(["hyperpod"]), default="hyperpod", help="What to make the recipe ready for."
)
@click.option(
    "--region",
    metavar="REGION",
    envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
    default="",
    help="Of the cluster, where the recipe names none; else $AWS_REGION.",
)
@click.option("--output-file", type=click.Path(path_type=Path, dir_okay=False), help="Write the recipe to this file.")
def command(recipe: Path, target: str, region: str, output_file: Path | None) -> None:  # noqa: ARG001  # one target
    """Print a Nova RECIPE as SageMaker HyperPod takes it: complete, with AWS's keys only, and with S3 paths.

    What the recipe says is checked first, and so is data on this machine. Nothing is uploaded or started: the commands
    that do it, with AWS's image for the Region, are shown on stderr.
    """
    from cloudcpt.jobs.hyperpod import hand_over
    from cloudcpt.recipe.launch import DEFAULT_INSTANCE
    from cloudcpt.recipe.load import load_recipe

    loaded = load_recipe(recipe)
    render.show_diagnostics(loaded.diagnostics, {loaded.path: loaded.text})
    region = loaded.recipe.launch.region or region
    _refuse(loaded, region)
    uris, uploads = _data(loaded)
    text = _text(loaded, uris)
    if output_file is None:
        click.echo(text, nl=False)
    else:
        save(output_file, text)
    instance_type = loaded.recipe.launch.instance_type or DEFAULT_INSTANCE
    order = hand_over(loaded.recipe, region=region, instance_type=instance_type)
    _show_next(order, uploads, str(output_file or "RECIPE.yaml"))


def _refuse(loaded: "LoadedRecipe", region: str) -> None:
    """Say everything that keeps a recipe from HyperPod.

    Raises:
        PlanError: with all of it.
    """
    from cloudcpt.jobs.hyperpod import REGIONS

    run = loaded.recipe.run
    if not loaded.recipe.is_nova:
        message = (
            f"`{run.model_type}` has open weights, and AWS has no recipe that continues its pretraining on HyperPod"
        )
        hint = f"the same machines train it as a training job: `cloudcpt submit {loaded.path} --target sagemaker`"
        raise PlanError(error("CPT420", message, place=loaded.place("run", "model_type"), hint=hint))
    faults: list[Diagnostic] = []
    for key, what in (("data_s3_path", "training data"), ("output_s3_path", "place for its results")):
        if not getattr(run, key):
            message = f"a HyperPod job needs `run.{key}`, the {what}"
            faults.append(error("CPT421", message, place=loaded.place("run", key), hint="an s3:// URI"))
    if region and region not in REGIONS and not loaded.recipe.launch.image:
        known = ", ".join(f"`{name}`" for name in REGIONS)
        message = f"AWS has no image that trains Nova in `{region}`, only in {known}"
        hint = "name the cluster's Region in `launch.region`, or in `launch.image` an image that AWS gave you"
        faults.append(error("CPT421", message, place=loaded.place("launch", "region"), hint=hint))
    if faults:
        raise PlanError(*faults)


def _data(loaded: "LoadedRecipe") -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Find where the job reads its data.

    Returns:
        S3 URI by channel, and what of it has to be uploaded first, from where.

    Raises:
        InputError: data on this machine has faults, or is more than one file.
    """
    from cloudcpt.dataset.places import is_in_s3
    from cloudcpt.plan.addresses import addressed
    from cloudcpt.plan.inputs import recipe_inputs
    from cloudcpt.plan.launching import input_uri_of

    uris, uploads = {}, []
    for one in recipe_inputs(loaded):
        uris[one.channel] = one.path
        if not is_in_s3(one.path):
            path, file = _checked_file(loaded, one)
            (placed,) = addressed([file], input_uri_of(loaded.recipe))
            uris[one.channel] = placed.uri
            uploads.append((path, placed.uri))
    return uris, uploads


def _checked_file(loaded: "LoadedRecipe", one: "DataInput") -> "tuple[str, DataFile]":
    """Read a dataset on this machine, which has to be one file without faults.

    Raises:
        DatasetError: it has faults, or is not there.
        PlanError: it is more than one file.
    """
    from cloudcpt.dataset.files import LocalFiles
    from cloudcpt.plan.plan import DataFile

    report = check(one.path, LocalFiles(loaded.folder), first=5)
    if not report.ok:
        raise DatasetError(*report.diagnostics)
    render.show_diagnostics(report.diagnostics)
    if len(report.files) != 1:
        message = f"`{one.path}` is {len(report.files)} files, a Nova recipe on HyperPod names one place in S3"
        hint = "join them to one JSONL file, or upload the folder yourself and name its s3:// URI"
        raise PlanError(error("CPT421", message, place=loaded.place(*one.named_by), hint=hint))
    (file,) = report.files
    return file.path, DataFile(name=file.name, uri=file.path, size_bytes=file.size_bytes, blake3=file.blake3)


def _text(loaded: "LoadedRecipe", uris: dict[str, str]) -> str:
    """Write the recipe below two lines that say what it is."""
    from cloudcpt.jobs.hyperpod import kubernetes_name
    from cloudcpt.jobs.nova_recipe import recipe_yaml

    run = loaded.recipe.run
    name = kubernetes_name(run.name)
    if name != run.name:
        message = (
            f"`{run.name}` becomes `{name}`: HyperPod's jobs have names in lower case, with 34 characters of yours"
        )
        render.show_diagnostics(
            [note("CPT430", message, place=loaded.place("run", "name"))], {loaded.path: loaded.text}
        )
    body = recipe_yaml(
        loaded.recipe,
        name=name,
        data=uris["train"],
        validation=uris.get("validation", ""),
        output=run.output_s3_path,
    )
    made = f"cloudcpt {cloudcpt.__version__} from {Path(loaded.path).name}"
    return f"# {run.model_type}, continued pretraining on SageMaker HyperPod; made by {made}.\n{body}"


def _show_next(order: "HandOver", uploads: list[tuple[str, str]], file: str) -> None:
    from cloudcpt.jobs.hyperpod import REGIONS

    lines = [shlex.join(("aws", "s3", "cp", path, uri)) for path, uri in uploads]
    copy, start = order.commands(file)
    lines += [copy, "hyperpod connect-cluster --cluster-name CLUSTER", start]
    console = render.err()
    console.print(
        "\nnext, with the `hyperpod` command of aws/sagemaker-hyperpod-cli, branch release_v2:", style="faint"
    )
    for line in lines:
        console.print(f"    {line}")
    if not order.image:
        console.print(f"IMAGE depends on the Region; name it with --region: {', '.join(REGIONS)}", style="faint")
    console.print(
        "the cluster needs a restricted instance group; the newer `hyp` takes models of the hub, not recipe files\n"
        "source: Amazon Nova user guide, HyperPod essential commands; aws/sagemaker-hyperpod-recipes, 2026-06-23",
        style="faint",
    )
