"""`cloudcpt image check IMAGE`: whether an image does what SageMaker and a dry run ask of it."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.check_view import checks_as_json, show_checks
from cloudcpt.cli.image_options import engine_option, image_argument
from cloudcpt.errors import ExitCode

if TYPE_CHECKING:
    from cloudcpt.plan.plan import Plan

_RECIPE = """\
run: {name: image-check, model_type: hf, model_name_or_path: none, replicas: 1, data_s3_path: text.jsonl}
training_config:
  max_length: 64
  global_batch_size: 32
  trainer: {max_steps: 2}
  optim: {lr: 1e-4, sched: {warmup_steps: 1, min_lr: 1e-6}}
"""


@click.command()
@image_argument
@engine_option
@render.output_option
@click.pass_context
def command(context: click.Context, image: str, program: str, output: str) -> None:
    """Check IMAGE, ours or one of your own, against the contract of a training job.

    What it says of itself is read; then it is run: once without a plan, which must end in a coded failure, and once
    with a tiny job on a random model, without network, on a read-only root file system.

    What this does not prove: NCCL, EFA, and the memory of a real GPU.
    """
    from cloudcpt.image.check import check_image, is_kept
    from cloudcpt.local.containers import find_engine

    engine = find_engine(program)
    with (
        tempfile.TemporaryDirectory(prefix="cloudcpt-image-") as folder,
        render.live_progress(f"checking {image}") as bar,
    ):
        plan = _tiny_plan(Path(folder))
        checks = []
        for check in check_image(engine, image, plan):
            checks.append(check)
            bar.update(0, None, check.name)
    if output == "json":
        render.print_json({"image": image, "checks": checks_as_json(checks)})
    else:
        show_checks(checks, console=render.out())
    if not is_kept(checks):
        context.exit(ExitCode.FINDINGS)


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
