"""`cloudcpt image build`: from this cloudcpt and a base image to the training image."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.image_options import engine_option, own_image
from cloudcpt.cli.quantities import duration, size

if TYPE_CHECKING:
    from cloudcpt.local.containers import Engine


@click.command()
@click.option(
    "--flavour",
    type=click.Choice(["gpu", "cpu"]),
    default="gpu",
    show_default=True,
    help="On AWS's PyTorch image, or on a small Debian for rehearsals.",
)
@click.option("--base", default="", metavar="IMAGE", help="Another image to build upon; best by digest.")
@click.option(
    "--tag", default="", metavar="NAME", help="What to call it; `localhost/cloudcpt:VERSION-FLAVOUR` without it."
)
@engine_option
@click.option(
    "--context", "kept", type=click.Path(path_type=Path), metavar="FOLDER", help="Keep the build context here."
)
@click.option(
    "--bill", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write the SBOM here."
)
@render.output_option
def command(flavour: str, base: str, tag: str, program: str, kept: Path | None, bill: Path | None, output: str) -> None:
    """Build the training image from the cloudcpt that is running.

    Packages are fetched first, each with its hash from the lock; the build itself has no network. Two builds of the
    same commit on the same base give the same image. It holds a bill of materials, `/opt/cloudcpt/bom.json`.
    """
    from cloudcpt.image.build import AWS_BASE, CPU_BASE, build, find_source, look_into, pinned
    from cloudcpt.image.context import make_context
    from cloudcpt.local.containers import find_engine

    started = time.monotonic()
    engine, source = find_engine(program), find_source()
    base = base or (AWS_BASE if flavour == "gpu" else CPU_BASE)
    tag = tag or own_image(flavour)
    with render.live_progress(f"building {tag}") as progress:
        progress.update(0, None, f"looking into {base}")
        python = look_into(engine, base)
        context = _fresh(kept)
        try:
            progress.update(0, None, f"fetching packages for Python {python.version}")
            make_context(context, python)
            progress.line(
                f"context: {size(_bytes_of(context))} in {len(list((context / 'wheels').iterdir()))} packages"
            )
            base = pinned(engine, base)
            image = build(engine, context, base=base, python=python, tag=tag, source=source)
        finally:
            if kept is None:
                shutil.rmtree(context, ignore_errors=True)
    if bill is not None:
        _write_bill(engine, image, bill)
    if output == "json":
        render.print_json({"image": tag, "id": f"sha256:{image}", "base": base, "revision": source.revision})
        return
    render.out().print(f"{tag}  sha256:{image}")
    render.err().print(
        f"\nbuilt in {duration(time.monotonic() - started)}; next: cloudcpt image check {tag}", style="faint"
    )


def _fresh(kept: Path | None) -> Path:
    if kept is None:
        return Path(tempfile.mkdtemp(prefix="cloudcpt-context-"))
    if kept.exists() and any(kept.iterdir()):
        raise click.UsageError(f"`{kept}` is not empty; name another folder for the context")
    kept.mkdir(parents=True, exist_ok=True)
    return kept


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write_bill(engine: "Engine", image: str, path: Path) -> None:
    from cloudcpt.cli.save import save
    from cloudcpt.image.bill import BILL_FILE

    save(path, engine.ask_inside(image, "/bin/cat", BILL_FILE).out)
