"""Bring a published base model to this machine: what a job needs of it, verified, whole or not at all, and recorded.

    look at config and headers -> gather beside the destination -> staged.json -> rename

Whatever cuts this off, the same command goes on where it was. What is at the destination is never touched.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cloudcpt
from cloudcpt.dataset.places import require_usable
from cloudcpt.errors import InputError, SetupError, TransientError, UsageProblem, error, note
from cloudcpt.jobs.gathering import gathering, occupied, put_in_place, require_space
from cloudcpt.jobs.intake import Intake, StagingProgress
from cloudcpt.jobs.published import Publication, PublishedModel, Publisher
from cloudcpt.jobs.receive import Order
from cloudcpt.plan.base_model import BaseModel, read_base_model, trainable_files
from cloudcpt.plan.model_folder import LocalModel
from cloudcpt.plan.staged import STAGED_FILE, StagedRecord, read_staged
from cloudcpt.wire import SCHEMA_VERSION, commit_text, sha256_of


@dataclass(frozen=True, kw_only=True, slots=True)
class StagedModel:
    """A model that is here.

    Args:
        folder: Where.
        record: Where from, and what it consists of.
        base: What it is.
        progress: What this run did for it.
    """

    folder: Path
    record: StagedRecord
    base: BaseModel
    progress: StagingProgress


def stage_model(
    publisher: Publisher,
    publication: Publication,
    destination: Path,
    *,
    show: Callable[[StagingProgress], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> StagedModel:
    """Bring a model so that `destination` is all of it, verified, or does not appear at all.

    Args:
        publisher: Where it is published.
        publication: What it consists of there.
        destination: A folder that does not exist yet or is empty, or holds this very model already.
        show: Called after every change, never by two threads at once.
        now: The time, for the record.

    Raises:
        PlanError: the model cannot be trained; nothing but its config and headers was fetched.
        DatasetError: a file has a name that cannot be used here.
        UsageProblem: something else is at the destination.
        InputError: the same model is there, and damaged.
        SetupError: it cannot be written, or does not fit on the disk.
        CloudcptError: it cannot be had; what has come stays for the next attempt.
    """
    destination = destination.absolute()
    record = _standing(destination)
    names = trainable_files(PublishedModel(publisher, publication))
    require_usable(names)
    listing = publication.listing(names)
    orders = [Order(publisher=publisher, publication=publication, file=publication.file(name)) for name in names]
    intake = Intake(len(names), sum(order.file.size_bytes for order in orders), show)
    if record is None:
        record = _bring(orders, destination, _record(publication, listing, now()), intake)
    else:
        _require_same(destination, record, publication, listing)
        _verify(destination, record, intake)
    base = read_base_model(LocalModel(destination), None)
    return StagedModel(folder=destination, record=record, base=base, progress=intake.progress())


def _bring(orders: Sequence[Order], destination: Path, record: StagedRecord, intake: Intake) -> StagedRecord:
    """Gather the files and put them in place; give the record with what they were found to be."""
    try:
        with gathering(destination, _identity(record)) as work:
            require_space(work, [(order.file.name, order.file.size_bytes) for order in orders])
            try:
                record = replace(record, files=intake.take(orders, work))
            except TransientError as exc:
                kept = note("CPT743", f"what has come is kept in `{work}`", hint="the same command goes on with it")
                raise type(exc)(*exc.diagnostics, kept) from exc
            commit_text(work / STAGED_FILE, record.to_json())
            put_in_place(work, destination)
    except OSError as exc:
        message = f"cannot write the model to `{destination}`: {exc.strerror or exc}"
        raise SetupError(error("CPT738", message, hint="what has come stays; the same command goes on")) from exc
    return record


def _standing(destination: Path) -> StagedRecord | None:
    """Read the record of a model that is at the destination already; None when nothing is there.

    Raises:
        UsageProblem: something that was not staged is there.
    """
    if not destination.exists() or (destination.is_dir() and next(destination.iterdir(), None) is None):
        return None
    record = read_staged(LocalModel(destination)) if destination.is_dir() else None
    if record is None:
        raise UsageProblem(occupied(destination, "something that was not staged"))
    return record


def _require_same(destination: Path, record: StagedRecord, publication: Publication, listing: str) -> None:
    stands = (record.source, record.repo, record.commit, record.listing)
    if stands != (publication.source, publication.repo, publication.commit, listing):
        raise UsageProblem(
            occupied(destination, f"`{record.origin.shown}`, which is another model or another state of it")
        )


def _verify(destination: Path, record: StagedRecord, intake: Intake) -> None:
    """Read every file of a model that was staged before.

    Raises:
        InputError: files that are not what was staged, all of them.
    """
    bad = []
    for file in record.files:
        path = destination / file.name
        if path.is_file() and sha256_of(path) == file.sha256:
            intake(file.size_bytes, is_new=False)
        else:
            bad.append(f"`{path}` is not the file that was staged")
    if bad:
        hint = "remove the folder and stage the model again"
        raise InputError(*(error("CPT741", message, hint=hint) for message in bad))


def _identity(record: StagedRecord) -> str:
    """Name what is gathered, so that only the same is gone on with."""
    from blake3 import blake3

    return blake3("\n".join((record.source, record.repo, record.commit, record.listing)).encode()).hexdigest()


def _record(publication: Publication, listing: str, at: datetime) -> StagedRecord:
    """Record where a model comes from, before it has come."""
    return StagedRecord(
        schema_version=SCHEMA_VERSION,
        made_by=f"cloudcpt {cloudcpt.__version__}",
        source=publication.source,
        endpoint=publication.endpoint,
        repo=publication.repo,
        revision=publication.revision,
        commit=publication.commit,
        listing=listing,
        staged_at=at.isoformat(timespec="seconds"),
        files=(),
    )
