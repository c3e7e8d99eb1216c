"""Bring a job's model back: copy, verify every hash on the copy, and only then give it its name."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cloudcpt.errors import InputError, SetupError, UsageProblem, error
from cloudcpt.jobs.ports import CheckpointSource, JobStatus, ModelSource
from cloudcpt.wire import MANIFEST_FILE, model_faults


def fetch_model(models: ModelSource, status: JobStatus, destination: Path, *, replace: bool = False) -> None:
    """Copy a job's model so that `destination` is all of it, verified, or does not appear at all.

    Args:
        models: Where the model is.
        status: Of the job; its plan's hash must be the one in the model's manifest.
        destination: A folder that does not exist yet, or is empty.
        replace: Also accept a folder that holds an earlier model; it goes once the new one has been verified.

    Raises:
        UsageProblem: something is at the destination already, or there is no such job.
        InputError: the model is incomplete or altered; one diagnostic per fault.
        SetupError: the copy cannot be written.
    """
    _fetch(lambda folder: models.copy(status.name, folder), status, destination, replace=replace)


def fetch_checkpoint(
    checkpoints: CheckpointSource, status: JobStatus, step: int, destination: Path, *, replace: bool = False
) -> None:
    """Copy the model that a job keeps of a step, as `fetch_model` does the final one.

    Args:
        checkpoints: Where it is.
        status: Of the job.
        step: One of its `checkpoints`.
        destination: As for `fetch_model`.
        replace: As for `fetch_model`.
    """
    _fetch(lambda folder: checkpoints.copy_checkpoint(status.name, step, folder), status, destination, replace=replace)


def _fetch(copy: Callable[[Path], None], status: JobStatus, destination: Path, *, replace: bool) -> None:
    destination = destination.resolve()
    try:
        _refuse_occupied(destination, replace=replace)
        with _work_folder(destination) as work:
            copy(work / "model")
            refuse_faults(status.name, job_model_faults(work / "model", status.plan_hash))
            _put_in_place(work / "model", destination, aside=work / "replaced" if replace else None)
    except OSError as exc:
        problem = error("CPT468", f"cannot write the model to `{destination}`: {exc.strerror or exc}")
        raise SetupError(problem) from exc


def job_model_faults(folder: Path, plan_hash: str) -> list[str]:
    """List what keeps a folder from being the whole, unaltered model of the job of a plan; empty when it is."""
    if faults := model_faults(folder):
        return faults
    made_by = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["plan_hash"]
    return [] if made_by == plan_hash else [f"it was made by another plan, `{made_by[:16]}...`"]


def refuse_faults(name: str, faults: Sequence[str]) -> None:
    """Refuse a model that is not complete and unaltered.

    Raises:
        InputError: with every fault.
    """
    if faults:
        raise InputError(*(error("CPT462", f"the model of job `{name}`: {fault}") for fault in faults))


def _refuse_occupied(destination: Path, *, replace: bool) -> None:
    is_folder = destination.is_dir()
    if not destination.exists() or (is_folder and next(destination.iterdir(), None) is None):
        return
    # Even when asked to replace, only a model gives way: `fetch NAME ~ --force` must not cost a home directory.
    if replace and is_folder and (destination / MANIFEST_FILE).is_file():
        return
    raise UsageProblem(
        error(
            "CPT463",
            f"`{destination}` exists" + (" and is not a fetched model" if replace else ""),
            hint="name another folder"
            if replace
            else "name another folder, or replace an earlier model with `--force`",
        )
    )


def _put_in_place(model: Path, destination: Path, *, aside: Path | None) -> None:
    if aside is None or not destination.exists():
        model.rename(destination)  # takes the place of an empty folder, and of nothing else
        return
    destination.rename(aside)
    try:
        model.rename(destination)
    except BaseException:
        aside.rename(destination)
        raise


@contextmanager
def _work_folder(destination: Path) -> Iterator[Path]:
    """Give a folder beside the destination, so that the last step is a rename; it is gone afterwards."""
    work = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}.partial")
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
