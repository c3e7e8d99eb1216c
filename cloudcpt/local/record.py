"""What a job folder says about its job: `job.json`, written once, and `status.json`, the journal of what happened.

The journal has one writer at a time: whoever holds the folder's lock.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cloudcpt.errors import Blame, SetupError, error
from cloudcpt.jobs.ports import JobState, Phase
from cloudcpt.wire import SCHEMA_VERSION, Evaluation, Failure, commit_text


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRecord:
    """What a job is; never changes.

    Args:
        name: Of the job and its folder.
        created_at: Seconds since 1970.
        target: As in the plan.
        plan_hash: As in the plan.
        max_runtime_s: As in the plan: 0 for no limit.
        client: The command line that made the job.
        trainer: The command that runs it, without `--root`.
        made_by: `cloudcpt` and its version.
        python: Version of the interpreter.
        is_rehearsal: A stand-in takes the place of the model.
        schema_version: Of `job.json`.
    """

    name: str
    created_at: float
    target: str
    plan_hash: str
    max_runtime_s: int
    client: tuple[str, ...]
    trainer: tuple[str, ...]
    made_by: str
    python: str
    is_rehearsal: bool = False
    schema_version: int = SCHEMA_VERSION

    def write(self, path: Path) -> None:
        """Write `job.json`."""
        commit_text(path, json.dumps(asdict(self), indent=2) + "\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Journal:
    """What has happened to a job so far.

    Args:
        phases: Every state so far, oldest first; at least one.
        failure: Why it failed or was stopped.
        evaluations: First and last of each held-out set, in order of their steps.
        schema_version: Of `status.json`.
    """

    phases: tuple[Phase, ...]
    failure: Failure | None = None
    evaluations: tuple[Evaluation, ...] = ()
    schema_version: int = SCHEMA_VERSION

    @property
    def state(self) -> JobState:
        """Give the present state."""
        return self.phases[-1].state

    def entering(self, state: JobState, at: float, failure: Failure | None = None) -> "Journal":
        """Add a state."""
        return replace(self, phases=(*self.phases, Phase(state=state, at=at)), failure=failure)

    def measured(self, evaluation: Evaluation) -> "Journal":
        """Add an evaluation; of each set the first and the last are kept."""
        same = [known for known in self.evaluations if known.set_name == evaluation.set_name]
        others = [known for known in self.evaluations if known.set_name != evaluation.set_name]
        kept = sorted([*others, *same[:1], evaluation], key=lambda known: known.step)
        return replace(self, evaluations=tuple(kept))

    def write(self, path: Path) -> None:
        """Write `status.json`, whole or not at all."""
        commit_text(path, json.dumps(asdict(self), indent=2) + "\n")


def read_record(path: Path) -> JobRecord:
    """Read `job.json`.

    Raises:
        SetupError: not readable, or not written by this version.
    """
    document = _read(path)
    try:
        return JobRecord(**{**document, "client": tuple(document["client"]), "trainer": tuple(document["trainer"])})
    except (TypeError, KeyError) as exc:
        raise _damaged(path, exc) from exc


def read_journal(path: Path) -> Journal:
    """Read `status.json`.

    Raises:
        SetupError: not readable, or not written by this version.
    """
    document = _read(path)
    try:
        return Journal(
            phases=tuple(Phase(state=JobState(row["state"]), at=float(row["at"])) for row in document["phases"]),
            failure=_failure(document["failure"]),
            evaluations=tuple(Evaluation(**row) for row in document["evaluations"]),
        )
    except (TypeError, KeyError, ValueError) as exc:
        raise _damaged(path, exc) from exc


def _failure(row: Mapping[str, Any] | None) -> Failure | None:
    return None if row is None else Failure(**{**row, "blame": Blame(row["blame"])})


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise _damaged(path, exc) from exc
    if not isinstance(document, dict) or document.get("schema_version") != SCHEMA_VERSION:
        raise _damaged(path, f"this cloudcpt reads schema version {SCHEMA_VERSION}")
    return document


def _damaged(path: Path, why: object) -> SetupError:
    hint = f"if nothing in it is needed, remove the folder `{path.parent}`"
    return SetupError(error("CPT459", f"cannot read `{path}`: {why}", hint=hint))
