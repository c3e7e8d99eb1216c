"""`cloudcpt image check IMAGE`: whether an image does what SageMaker and a dry run ask of it."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.check_view import checks_as_json, show_checks
from cloudcpt.cli.excerpt import printable
from cloudcpt.cli.image_options import engine_option, own_image
from cloudcpt.errors import ExitCode

if TYPE_CHECKING:
    from cloudcpt.jobs.checks import Check
    from cloudcpt.local.containers import Engine
    from cloudcpt.plan.plan import Plan

_RECIPE = """\
run: {name: image-check, model_type: hf, model_name_or_path: none, replicas: 1, data_s3_path: text.jsonl}
training_config:
  max_length: 64
  global_batch_size: 32
  trainer: {max_steps: 2}
  optim: {lr: 1e-4, sched: {warmup_steps: 1, min_lr: 1e-6}}
"""


_LAST_LINES = 20
"""Of what the tiny job printed, shown where the image fails."""


@click.command()
@click.argument("image", default="")
@engine_option
@render.output_option
@click.pass_context
def command(context: click.Context, image: str, program: str, output: str) -> None:
    """Check IMAGE, ours or one of your own, against the contract of a training job.

    Without a name it is the one that `image build` made, for GPUs if there are both.

    What it says of itself is read; then it is run: once without a plan, which must end in a coded failure, and once
    with a tiny job on a random model, without network, on a read-only root file system.

    What this does not prove: NCCL, EFA, and the memory of a real GPU.
    """
    from cloudcpt.image.check import check_image, is_kept
    from cloudcpt.local.containers import find_engine

    engine = find_engine(program)
    image = image or _image_that_is_here(engine)
    checks: list[Check] = []
    with (
        tempfile.TemporaryDirectory(prefix="cloudcpt-image-") as folder,
        tempfile.TemporaryFile() as log,
        render.live_progress(f"checking {image}") as bar,
    ):
        bar.update(0, None, "half a minute, most of it in containers")
        checks += check_image(engine, image, _tiny_plan(Path(folder)), log)
        log.seek(0)
        printed = log.read().decode("utf-8", "replace").splitlines()
    if not is_kept(checks):
        render.err().print("\n".join(map(printable, printed[-_LAST_LINES:])), style="faint")
    if output == "json":
        render.print_json({"image": image, "is_kept": is_kept(checks), "checks": checks_as_json(checks)})
    else:
        show_checks(checks, console=render.out())
    if not is_kept(checks):
        context.exit(ExitCode.FINDINGS)


def _image_that_is_here(engine: "Engine") -> str:
    """Choose between our own two: the one for GPUs, unless only the other one was built."""
    gpu, cpu = own_image("gpu"), own_image("cpu")
    return cpu if engine.has(cpu) and not engine.has(gpu) else gpu


def _tiny_plan(folder: Path) -> "Plan":
    """Plan two steps on a random model and a few sentences."""
    from cloudcpt.cli.prepare import prepare

    lines = (
        f'{{"text": "sentence {number} of a text that is only there to be read {number * 7919} times"}}\n'
        for number in range(400)
    )
    (folder / "text.jsonl").write_text("".join(lines), "utf-8")
    (folder / "recipe.yaml").write_text(_RECIPE, "utf-8")
    plan = prepare(folder / "recipe.yaml", target="container", stand_in=True).plan
    assert plan is not None, "the recipe and the text are ours"
    return plan
