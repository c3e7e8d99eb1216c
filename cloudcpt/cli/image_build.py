"""`cloudcpt image build`: from this cloudcpt and a base image to the training image."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloudcpt.cli import render
from cloudcpt.cli.image_options import builder_option, new_name, own_image
from cloudcpt.cli.quantities import duration, size
from cloudcpt.errors import Place, SetupError, error

if TYPE_CHECKING:
    from cloudcpt.image.build import Source
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
    "--tag",
    default="",
    metavar="NAME",
    callback=new_name,
    help="What to call it; `localhost/cloudcpt:VERSION-FLAVOUR` without it.",
)
@builder_option
@click.option(
    "--context", "kept", type=click.Path(path_type=Path), metavar="FOLDER", help="Keep the build context here."
)
@click.option(
    "--bill", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write the SBOM here."
)
@render.output_option
def command(flavour: str, base: str, tag: str, program: str, kept: Path | None, bill: Path | None, output: str) -> None:
    """Build the training image from the cloudcpt that is running.

    A base image that is not on this machine is fetched, also from a private registry of AWS. Packages are fetched
    next, each with its hash from the lock; the build itself has no network. Two builds of the same commit on the same
    base give the same image. It holds a bill of materials, `/opt/cloudcpt/bom.json`.
    """
    from cloudcpt.image.build import AWS_BASE, CPU_BASE, find_source
    from cloudcpt.local.containers import find_builder

    started = time.monotonic()
    engine, source = find_builder(program), find_source()
    tag = tag or own_image(flavour)
    if bill is not None:
        _make_folder(bill.parent)
    with _context_folder(kept) as context, render.live_progress(f"building {tag}") as progress:
        base, image = _build(
            engine, base or (AWS_BASE if flavour == "gpu" else CPU_BASE), tag, source, context, progress
        )
    if bill is not None:
        _write_bill(engine, image, bill)
    seconds = time.monotonic() - started
    if output == "json":
        found = {"image": tag, "id": f"sha256:{image}", "digest": engine.inspect(image).get("Digest", ""), "base": base}
        render.print_json({**found, "revision": source.revision, "seconds": round(seconds, 1)})
        return
    render.out().print(f"{tag}  sha256:{image}")
    render.err().print(f"\nbuilt in {duration(seconds)}; next: cloudcpt image check {tag}", style="faint")


def _build(
    engine: "Engine", base: str, tag: str, source: "Source", context: Path, progress: render.LiveProgress
) -> tuple[str, str]:
    """Fetch what is missing and build; give the base by its digest, and the ID of the image."""
    from cloudcpt.image.base_image import fetch_base, look_into, pinned
    from cloudcpt.image.build import build
    from cloudcpt.image.context import make_context

    if not engine.has(base):
        progress.line(f"fetching the base image {base}; those for GPUs are 10 GB and more")
        fetch_base(engine, base, progress.line)
    progress.update(0, None, f"looking into {base}")
    python = look_into(engine, base)
    progress.line(f"fetching packages for Python {python.version}")
    make_context(context, python)
    progress.line(f"context: {size(_bytes_of(context))} in {len(list((context / 'wheels').iterdir()))} packages")
    base = pinned(engine, base)
    image = build(engine, context, base=base, python=python, tag=tag, source=source, tell=progress.line)
    return base, image


@contextmanager
def _context_folder(kept: Path | None) -> Iterator[Path]:
    """Give an empty folder, which goes afterwards unless it was asked for."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="cloudcpt-context-") as folder:
            yield Path(folder)
        return
    if kept.exists() and (kept.is_file() or any(kept.iterdir())):
        raise click.UsageError(f"`{kept}` is not empty; name another folder for the context")
    _make_folder(kept)
    yield kept


def _bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _make_folder(folder: Path) -> None:
    """Make a folder before minutes of work, not after them.

    Raises:
        SetupError: the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        message = f"the folder `{folder}` cannot be made: {exc.strerror}"
        raise SetupError(error("CPT440", message, place=Place(path=str(folder)))) from exc


def _write_bill(engine: "Engine", image: str, path: Path) -> None:
    from cloudcpt.cli.save import save
    from cloudcpt.image.bill import BILL_FILE
    from cloudcpt.local.containers import require

    answer = engine.ask_inside(image, "/bin/cat", BILL_FILE)
    require(answer, f"read `{BILL_FILE}` in the image")
    save(path, answer.out)
