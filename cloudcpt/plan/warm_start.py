"""A base model that is the output of an earlier job: whole or refused, told apart from a resume, its line remembered.

    COMPLETE, manifest.json     -->  is it all there?            CPT546
    manifest, provenance        -->  which jobs led here         `ModelSpec.lineage`, the note CPT547
    provenance/plan.json        -->  was this data trained on?   CPT548

A warm start takes weights only: moments are zero, the data starts at its beginning and the learning rate warms up. What
continues an interrupted job is its recovery state, see `cloudcpt.plan.plan.Checkpoints`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from cloudcpt.errors import Diagnostic, Place, PlanError, error, note, warning
from cloudcpt.plan.model_folder import ModelFolder
from cloudcpt.plan.plan import Ancestor, DataFile, Plan, Schedule
from cloudcpt.plan.schedule import learning_rate
from cloudcpt.recipe.load import LoadedRecipe
from cloudcpt.wire import COMPLETE_FILE, MANIFEST_FILE, PLAN_FILE, PROVENANCE_DIR, Manifest

Document = TypeVar("Document")

_EARLIER_PLAN = f"{PROVENANCE_DIR}/{PLAN_FILE}"

_MOST_BYTES = 64 * 2**20
"""Of a manifest or a plan; one with a hundred thousand files is smaller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierOutput:
    """What an earlier job left.

    Args:
        lineage: The jobs that led to it, the first one first, itself last.
        trained: Hashes of its training files; empty where its plan cannot be read.
        last_rate: Learning rate of its last step; 0 where its plan cannot be read.
    """

    lineage: tuple[Ancestor, ...]
    trained: frozenset[str]
    last_rate: float


@dataclass(frozen=True)
class _Model:
    lineage: tuple[Ancestor, ...]


@dataclass(frozen=True)
class _Source:
    role: str
    files: tuple[DataFile, ...]


@dataclass(frozen=True)
class _EarlierPlan:
    """The part of a plan that matters to a later job, so that plans of other versions can be read too."""

    model: _Model
    sources: tuple[_Source, ...]
    schedule: Schedule


def find_earlier_output(folder: ModelFolder, place: Place | None) -> EarlierOutput | None:
    """Find out whether a model folder is the output of an earlier job, and which.

    Args:
        folder: Of the base model.
        place: Where the recipe names it.

    Raises:
        PlanError: it is one, and something of it is missing or changed.
    """
    if folder.kind != "folder":
        return None
    manifest = _manifest(folder)
    if manifest is None and COMPLETE_FILE not in folder.names:
        return None
    if faults := [*_faults(folder, manifest)]:
        hint = "copy the whole output again; one that you changed on purpose is a model like any other without "
        hint += f"`{MANIFEST_FILE}` and `{COMPLETE_FILE}`"
        message = f"`{folder.shown}` is an output of cloudcpt that is not whole: {', '.join(faults[:3])}"
        raise PlanError(error("CPT546", message, place=place, hint=hint))
    assert manifest is not None, "an output without a manifest has a fault"
    itself = Ancestor(
        job_name=manifest.job_name, plan_hash=manifest.plan_hash, steps=manifest.steps, tokens=manifest.tokens
    )
    plan_text = folder.read_deeper(_EARLIER_PLAN)
    plan = None if plan_text is None else _read(_EarlierPlan, plan_text)
    if plan is None:
        return EarlierOutput(lineage=(itself,), trained=frozenset(), last_rate=0.0)
    return EarlierOutput(
        lineage=(*plan.model.lineage, itself),
        trained=frozenset(file.blake3 for source in plan.sources if source.role == "train" for file in source.files),
        last_rate=learning_rate(plan.schedule, max(manifest.steps - 1, 0)),
    )


def warm_start_advice(loaded: LoadedRecipe, plan: Plan, earlier: EarlierOutput | None) -> Iterator[Diagnostic]:
    """Say what a warm start takes over, and warn when it warms up again on data that the model has seen."""
    if earlier is None or plan.model.stand_in:
        return
    job = earlier.lineage[-1]
    yield note(
        "CPT547",
        f"warm start from job `{job.job_name}` ({job.steps} steps, {job.tokens:,} tokens): weights only; moments, data "
        "order and learning rate start anew",
        place=loaded.place("run", "model_name_or_path"),
        hint="a job that was interrupted is not continued like this, but by `checkpoint.recovery_every_steps`",
    )
    files = [file for source in plan.sources_of("train") for file in source.files]
    again = sum(file.blake3 in earlier.trained for file in files)
    schedule = plan.schedule
    stays_low = schedule.name == "constant" and schedule.lr <= earlier.last_rate
    if again and not stays_low:
        yield warning(
            "CPT548",
            f"{again} of {len(files)} training files were trained on by job `{job.job_name}`, which ended at learning "
            f"rate {earlier.last_rate:.3g}; warming up to {schedule.lr:g} on the same data makes the model worse",
            place=loaded.place("run", "data_s3_path"),
            hint=f"train on new text, or go on with `sched.name: constant` and `lr: {earlier.last_rate:.3g}`",
        )


def _faults(folder: ModelFolder, manifest: Manifest | None) -> Iterator[str]:
    """Say what keeps the folder from being what the manifest sealed; files in folders below it are not looked at."""
    if COMPLETE_FILE not in folder.names:
        yield f"`{COMPLETE_FILE}` is missing"
        return
    if manifest is None:
        yield f"`{MANIFEST_FILE}` is missing or unreadable"
        return
    sealed = hashlib.sha256(_whole(folder, MANIFEST_FILE)).hexdigest()
    if _whole(folder, COMPLETE_FILE) != f"{sealed}\n".encode():
        yield f"`{MANIFEST_FILE}` is not the one that `{COMPLETE_FILE}` sealed"
        return
    for file in manifest.files:
        if "/" in file.name:
            continue
        if file.name not in folder.names:
            yield f"`{file.name}` is missing"
        elif (size := folder.size_bytes(file.name)) != file.size_bytes:
            yield f"`{file.name}` has {size} bytes, not {file.size_bytes}"
        elif folder.sha256(file.name) not in (None, file.sha256):
            yield f"`{file.name}` has changed"


def _manifest(folder: ModelFolder) -> Manifest | None:
    """Read the manifest; None when there is none, or another program's."""
    if MANIFEST_FILE not in folder.names or folder.size_bytes(MANIFEST_FILE) > _MOST_BYTES:
        return None
    return _read(Manifest, _whole(folder, MANIFEST_FILE))


def _whole(folder: ModelFolder, name: str) -> bytes:
    return folder.read(name, 0, folder.size_bytes(name))


def _read(kind: type[Document], text: bytes) -> Document | None:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError:
        return None
