"""`cloudcpt model stage NAME`: bring a base model from where it is published into a folder here."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.diagnostics import as_json
from cloudcpt.cli.quantities import count, duration, plural, size

if TYPE_CHECKING:
    from cloudcpt.jobs.intake import StagingProgress
    from cloudcpt.jobs.published import SourceName
    from cloudcpt.jobs.stage import StagedModel


@click.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    type=click.Choice(["hub", "modelscope", "s3"]),
    help="Where the model is published; without it, S3 for a URI of S3 and Hugging Face for any other name.",
)
@click.option("--endpoint", default="", metavar="URL", help="A mirror that answers like the hub.")
@click.option("--revision", default="", metavar="REV", help="A branch, tag or commit; the newest state without it.")
@click.option(
    "--to",
    "destination",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where to put it; `models/` and the model's name without it.",
)
@render.output_option
def command(
    name: str, source: "SourceName | None", endpoint: str, revision: str, destination: Path | None, output: str
) -> None:
    """Bring the base model NAME into a folder here, every file of it verified.

    NAME is one of `cloudcpt models`, an id such as Qwen/Qwen3-0.6B-Base, or the URI of a folder in S3. Only what a job
    reads is fetched: config, tokenizer, safetensors, licence and card; no pickle, no code. What cannot be trained is
    refused before its weights are fetched. The folder appears when all of it is there; a command that was cut off goes
    on where it was when it is given again. `staged.json` in the folder records the commit and every hash.

    A token is taken from $HF_TOKEN or $MODELSCOPE_API_TOKEN. The login of `hf auth login` is sent to huggingface.co and
    nowhere else. $HF_ENDPOINT and $MODELSCOPE_ENDPOINT name a mirror for good.
    """
    from cloudcpt.cli.model_place import model_place, open_publisher
    from cloudcpt.jobs.stage import stage_model
    from cloudcpt.plan.model_advice import tuning_findings

    place = model_place(name, source)
    if place.source == "s3" and (endpoint or revision):
        raise click.UsageError("a model in S3 has neither `--endpoint` nor `--revision`")
    publisher = open_publisher(place, endpoint)
    with render.live_progress(f"staging {place.repo}") as bar:
        bar.update(0, None, "looking at it")
        publication = publisher.find(place.repo, revision)
        staged = stage_model(publisher, publication, destination or place.folder, show=_shown_on(bar))
    findings = tuple(tuning_findings(staged.base, None))
    if output == "json":
        render.print_json({**_as_json(staged), "diagnostics": as_json(findings)})
    else:
        _show(staged)
    render.show_diagnostics(findings)


def _shown_on(bar: render.LiveProgress) -> "Callable[[StagingProgress], None]":
    start = time.monotonic()

    def show(reached: "StagingProgress") -> None:
        words = [f"{size(reached.done_bytes)} of {size(reached.size_bytes)}"]
        rate = reached.fetched_bytes / max(time.monotonic() - start, 1e-3)
        if reached.fetched_bytes:
            words += [f"{size(rate)}/s", f"{duration((reached.size_bytes - reached.done_bytes) / rate)} left"]
        bar.update(reached.done_bytes, reached.size_bytes, ", ".join(words))

    return show


def _show(staged: "StagedModel") -> None:
    base, progress = staged.base, staged.progress
    facts = [base.architecture, f"{count(base.sizes.parameters)} parameters", base.dtype]
    if base.context_tokens:
        facts.append(f"{base.context_tokens:,} positions")
    came = f"{size(progress.fetched_bytes)} fetched" if progress.fetched_bytes else "all of it was here already"
    here = f"{plural(progress.files, 'file')}, {size(progress.size_bytes)}, every file verified"
    render.out().print(f"{staged.folder}: complete", style="title")
    render.show_pairs(
        [
            ("from", f"{staged.record.origin.shown}, {staged.record.endpoint or 'S3'}"),
            ("model", ", ".join(facts)),
            ("files", f"{here}; {came}"),
            ("recipe", f"model_name_or_path: {staged.folder}"),
        ]
    )


def _as_json(staged: "StagedModel") -> dict[str, object]:
    record, base, progress = staged.record, staged.base, staged.progress
    return {
        "folder": str(staged.folder),
        "staged": record,
        "model": {
            "architecture": base.architecture,
            "parameters": base.sizes.parameters,
            "dtype": base.dtype,
            "context_tokens": base.context_tokens,
        },
        "fetched_bytes": progress.fetched_bytes,
        "kept_bytes": progress.kept_bytes,
    }
