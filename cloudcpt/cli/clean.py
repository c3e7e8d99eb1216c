"""`cloudcpt clean [RECIPE|s3://...]`: abort uploads of ours that nobody will finish; `--rows` empties the row cache."""

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from cloudcpt.cli import render
from cloudcpt.cli.ask import is_wanted
from cloudcpt.cli.job_view import age
from cloudcpt.cli.places import Places
from cloudcpt.cli.quantities import plural, size
from cloudcpt.errors import CloudcptError, PlanError, SetupError, UsageProblem, error
from cloudcpt.jobs.journal import JournalEntry
from cloudcpt.jobs.objects import ObjectStore
from cloudcpt.jobs.stale import StaleUpload, abort_stale, lost_entries, stale_uploads

_UNITS_S = {"m": 60, "h": 3600, "d": 86400}
_AGE = re.compile(r"([1-9][0-9]{0,4})([mhd])")


_UPLOADS_S = 7 * 86400.0
"""How long an upload must not have moved; rows are kept on purpose, and removed whenever somebody asks."""


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Read a time span such as `90m`, `12h` or `7d`.

    Raises:
        BadParameter: it is something else.
    """
    if value is None:
        return None
    match = _AGE.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"`{value}` is no time span such as `90m`, `12h` or `7d`", context, option)
    return float(int(match[1]) * _UNITS_S[match[2]])


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """A place that cloudcpt uploads to.

    Args:
        uri: `s3://bucket/prefix` without a `/` at its end.
        region: Of the bucket; empty for the configured one.
        owner: The account of the bucket; empty for that of the caller.
    """

    uri: str
    region: str = ""
    owner: str = ""


@dataclass(frozen=True, kw_only=True)
class Litter:
    """What is to be cleaned away at one place: uploads in the store, and what the journal says about lost ones."""

    shelf: Shelf
    store: ObjectStore
    uploads: tuple[StaleUpload, ...]
    lost: tuple[JournalEntry, ...]


@click.command()
@click.argument("where", required=False, metavar="[RECIPE|s3://BUCKET/PREFIX]")
@click.option(
    "--older-than",
    "older_than_s",
    callback=_seconds,
    metavar="SPAN",
    help="How long nothing must have arrived, or rows not been used: 90m, 12h, 7d.  [default: 7d; of rows: any]",
)
@click.option("--rows", "is_for_rows", is_flag=True, help="Remove the tokenised rows kept on this machine instead.")
@click.option("--dry-run", is_flag=True, help="Only show what would be aborted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@render.output_option
@click.make_pass_decorator(Places, ensure=True)
def command(
    places: Places,
    where: str | None,
    older_than_s: float | None,
    is_for_rows: bool,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Abort unfinished uploads of cloudcpt that have not moved for a while; S3 keeps and bills their parts.

    Looks where RECIPE uploads to, or below the given prefix; without either, wherever this machine began an upload or
    started a job. Objects that are complete, and uploads of other programs, are never touched.

    With --rows, removes what jobs on this machine have tokenised and kept for later ones; a job makes again what it
    needs.
    """
    from cloudcpt.cli.kept_rows import clean_rows, say_kept_rows

    if is_for_rows:
        if where is not None:
            raise click.UsageError("`--rows` is about this machine and takes no RECIPE or s3:// place")
        clean_rows(places.local.rows, older_than_s=older_than_s or 0.0, dry_run=dry_run, yes=yes, output=output)
        return
    age_s = _UPLOADS_S if older_than_s is None else older_than_s
    _clean_uploads(places, where, older_than_s=age_s, dry_run=dry_run, yes=yes, output=output)
    if output == "text":
        say_kept_rows(places.local.rows)


def _clean_uploads(
    places: Places, where: str | None, *, older_than_s: float, dry_run: bool, yes: bool, output: str
) -> None:
    """Look everywhere, show what is found, ask and abort.

    Raises:
        CloudcptError: the only place to look at cannot be looked at.
    """
    # Of two mentions of a place the first one counts: a job's record knows region and owner, the journal does not.
    shelves = {shelf.uri: shelf for shelf in reversed([*_shelves(places, where)])}
    litter, trouble = _look_around(places, shelves.values(), older_than_s)
    if trouble and (where is not None or not litter):
        raise trouble[0]
    uploads = [upload for one in litter for upload in one.uploads]
    if output == "text":
        _show(litter)
    is_done = not dry_run and (not uploads or is_wanted(f"abort {plural(len(uploads), 'upload')}?", yes=yes))
    if is_done:
        for one in litter:
            abort_stale(one.store, one.uploads, places.journal)
            for entry in one.lost:
                places.journal.forget(entry.uri)
    _report(litter, is_done=is_done, output=output)
    for unseen in trouble:
        render.show_diagnostics(unseen.diagnostics)


def _shelves(places: Places, where: str | None) -> Iterator[Shelf]:
    """List where to look.

    Raises:
        RecipeError: the recipe is wrong.
        PlanError: the recipe uploads nowhere.
    """
    if where is None:
        for name in places.records.names():
            with contextlib.suppress(
                SetupError, PlanError, UsageProblem
            ):  # a damaged record keeps nobody from cleaning elsewhere
                record, launch = places.record(name), places.plan(name).launch
                if launch is not None:
                    yield Shelf(uri=launch.input_uri, region=record.region, owner=record.account_id)
        yield from (Shelf(uri=entry.uri.rpartition("/objects/")[0]) for entry in places.journal.entries())
    elif where.startswith("s3://"):
        yield Shelf(uri=where.rstrip("/"))
    else:
        yield _shelf_of_recipe(Path(where))


def _shelf_of_recipe(path: Path) -> Shelf:
    from cloudcpt.plan.launching import input_uri_of
    from cloudcpt.recipe.load import load_recipe

    loaded = load_recipe(path)
    launch, uri = loaded.recipe.launch, input_uri_of(loaded.recipe)
    if not uri:
        hint = "name the place itself: `cloudcpt clean s3://bucket/prefix`"
        message = "this recipe has neither `input_s3_path` nor `output_s3_path`, so nothing is uploaded for it"
        raise PlanError(error("CPT763", message, place=loaded.place("run"), hint=hint))
    return Shelf(uri=uri, region=launch.region, owner=launch.account_id)


def _look_around(
    places: Places, shelves: Iterable[Shelf], older_than_s: float
) -> tuple[list[Litter], list[CloudcptError]]:
    """Look at every place; a bucket that is gone, or in another account, keeps nobody from cleaning elsewhere."""
    litter, trouble = [], []
    for shelf in shelves:
        try:
            litter.append(_look(places, shelf, older_than_s))
        except CloudcptError as exc:
            trouble.append(exc)
    return litter, trouble


def _look(places: Places, shelf: Shelf, older_than_s: float) -> Litter:
    bucket, _, prefix = shelf.uri.removeprefix("s3://").partition("/")
    store = places.cloud(shelf.region).store(bucket, owner=shelf.owner)
    uploads = stale_uploads(store, prefix, older_than_s=older_than_s, now=time.time())
    return Litter(shelf=shelf, store=store, uploads=uploads, lost=lost_entries(store, prefix, places.journal))


def _show(litter: list[Litter]) -> None:
    rows = [
        [f"{one.store.uri}/{upload.key}", age(upload.last_moved_at), size(upload.size_bytes)]
        for one in litter
        for upload in one.uploads
    ]
    if rows:
        render.show_table(["upload", "last moved", "size"], rows, right=["size"])


def _report(litter: list[Litter], *, is_done: bool, output: str) -> None:
    uploads = [upload for one in litter for upload in one.uploads]
    lost = [entry for one in litter for entry in one.lost]
    if output == "json":
        rows = [{"uri": f"{one.store.uri}/{upload.key}", **_facts(upload)} for one in litter for upload in one.uploads]
        looked_at = [one.shelf.uri for one in litter]
        render.print_json({"aborted": is_done, "looked_at": looked_at, "uploads": rows, "forgotten": len(lost)})
        return
    places = ", ".join(one.shelf.uri for one in litter) or "nowhere: nothing was ever uploaded from this machine"
    words = "nothing to abort"
    if uploads:
        freed = f"{plural(len(uploads), 'upload')}, {size(sum(upload.size_bytes for upload in uploads))}"
        words = f"{'aborted' if is_done else 'to abort'}: {freed}"
    noted = f"; {plural(len(lost), 'note')} about lost ones forgotten" if lost and is_done else ""
    render.err().print(f"{words}{noted}; looked at {places}")


def _facts(upload: StaleUpload) -> dict[str, object]:
    return {"upload_id": upload.upload_id, "last_moved_at": upload.last_moved_at, "size_bytes": upload.size_bytes}
