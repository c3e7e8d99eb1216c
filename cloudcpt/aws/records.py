"""What this machine remembers of jobs in the cloud: one folder per job under the user's state directory.

    <state>/cloud/<job name>/
      record.json    what the job is, whether the service has confirmed it, and how it ended
      plan.json      the plan that it executes

The record is written before the service is asked for anything, so a job that is under way is always in the list: a
client that is killed between the two leaves a record that is not confirmed, and the service knows whether there is a
job. Records make `list` free; nothing else depends on them, and a job from another machine is found by its full name.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cloudcpt.aws.attempts import is_job_name
from cloudcpt.errors import Blame, SetupError, error
from cloudcpt.jobs.data_job import DataJob
from cloudcpt.jobs.order import outlay_of
from cloudcpt.jobs.ports import JobState, JobStatus, Phase
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import CHECKPOINTS_DIR, PLAN_FILE, SCHEMA_VERSION, Evaluation, Failure, Progress, commit_text

_RECORD = "record.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudRecord:
    """What a job in the cloud is.

    Args:
        name: Of the job.
        job_name: Of its plan; the same as `name` unless this is a later attempt.
        attempt: From 1.
        region: Where it runs.
        account_id: That its buckets belong to.
        created_at: Seconds since 1970.
        target: As in the plan.
        plan_hash: As in the plan.
        output_uri: `s3://bucket/prefix` of everything that the job writes, without a `/` at its end.
        instance_type: As in the plan.
        instances: As in the plan.
        usd_per_instance_hour: As in the plan; 0 when it is not known.
        is_rehearsal: A stand-in takes the place of the model.
        is_confirmed: The service has answered that the job exists.
        checkpoints_uri: `s3://bucket/prefix` of the copy of its checkpoint folder; empty when it has none.
        makes_model: It trains; work on data leaves none.
        ended: The final status; None while something may still change.
        schema_version: Of `record.json`.
    """

    name: str
    job_name: str
    attempt: int
    region: str
    account_id: str
    created_at: float
    target: str
    plan_hash: str
    output_uri: str
    instance_type: str
    instances: int
    usd_per_instance_hour: float
    is_rehearsal: bool
    is_confirmed: bool
    checkpoints_uri: str = ""
    makes_model: bool = True
    ended: JobStatus | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def model_uri(self) -> str:
        """Name the folder of the model, as the service lays out loose files, with a `/` at its end."""
        return f"{self.output_uri}/output/model/"


def record_of(
    plan: Plan | DataJob,
    name: str,
    *,
    attempt: int,
    account_id: str,
    created_at: float,
    is_confirmed: bool = False,
    checkpoints_uri: str = "",
) -> CloudRecord:
    """Make the record of a job of a plan; see `CloudRecord` for the arguments.

    Without a `checkpoints_uri`, a plan that keeps anything has a place of its own for it.
    """
    assert plan.launch is not None, f"a plan for `{plan.target}` is not for the cloud"
    outlay = outlay_of(plan)
    own_uri = f"{plan.launch.output_uri}/{name}/{CHECKPOINTS_DIR}" if outlay.keeps_anything else ""
    return CloudRecord(
        name=name,
        job_name=plan.job_name,
        attempt=attempt,
        region=plan.launch.region,
        account_id=account_id,
        created_at=created_at,
        target=plan.target,
        plan_hash=plan.hash,
        output_uri=f"{plan.launch.output_uri}/{name}",
        instance_type=outlay.instance_type,
        instances=outlay.instances,
        usd_per_instance_hour=outlay.usd_per_instance_hour,
        is_rehearsal=outlay.is_rehearsal,
        makes_model=outlay.makes_model,
        is_confirmed=is_confirmed,
        checkpoints_uri=checkpoints_uri or own_uri,
    )


class Records:
    """The records of one state directory.

    Args:
        state: The state directory.
    """

    def __init__(self, state: Path) -> None:
        self._root = state / "cloud"

    def folder(self, name: str) -> Path:
        """Give the folder of a job, whether or not there is one."""
        assert is_job_name(name), f"`{name}` is no job name, it may not become a path"
        return self._root / name

    def plan_path(self, name: str) -> Path:
        """Give the place of a job's plan."""
        return self.folder(name) / PLAN_FILE

    def write(self, record: CloudRecord, *, plan: str | None = None) -> None:
        """Remember a job.

        Args:
            record: What it is.
            plan: Text of plan.json; None when it is there already. It comes first: a record always has its plan.

        Raises:
            SetupError: the state directory cannot be written.
        """
        try:
            if plan is not None:
                commit_text(self.plan_path(record.name), plan)
            commit_text(self.folder(record.name) / _RECORD, json.dumps(asdict(record), indent=2) + "\n")
        except OSError as exc:
            message = f"cannot keep records of jobs in `{self._root}`: {exc.strerror or exc}"
            hint = "name a folder on a local disk in $CLOUDCPT_STATE_DIR"
            raise SetupError(error("CPT450", message, hint=hint)) from exc

    def read(self, name: str) -> CloudRecord | None:
        """Recall a job; None when there is no record of it.

        Raises:
            SetupError: the record is damaged.
        """
        path = self.folder(name) / _RECORD
        try:
            return _record(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as exc:
            hint = f"remove the folder `{path.parent}`; the job itself is not touched, and found again by its full name"
            raise SetupError(error("CPT459", f"cannot read `{path}`: {exc}", hint=hint)) from exc

    def forget(self, name: str) -> None:
        """Drop the record of a job that does not exist."""
        shutil.rmtree(self.folder(name), ignore_errors=True)

    def names(self) -> tuple[str, ...]:
        """Name every job, newest first, and of the attempts at one plan only the latest."""
        latest: dict[str, _Row] = {}
        for row in sorted(self._rows(), key=_attempt):
            latest[row.job_name] = row
        return tuple(row.name for row in sorted(latest.values(), key=_created_at, reverse=True))

    def last_attempt(self, job_name: str) -> int:
        """Tell how often the job of a plan was attempted, as far as this machine knows; at least 1."""
        return max((row.attempt for row in self._rows() if row.job_name == job_name), default=1)

    def _rows(self) -> Iterator["_Row"]:
        for path in self._root.glob(f"*/{_RECORD}"):
            name = path.parent.name
            if not is_job_name(name):
                continue
            try:
                record = self.read(name)
            except SetupError:
                yield _Row(name=name, job_name=name, attempt=1, created_at=0.0)  # damaged, but there all the same
                continue
            if record is not None:
                yield _Row(name=name, job_name=record.job_name, attempt=record.attempt, created_at=record.created_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """What the list is made of."""

    name: str
    job_name: str
    attempt: int
    created_at: float


def _attempt(row: _Row) -> int:
    return row.attempt


def _created_at(row: _Row) -> float:
    return row.created_at


def _record(row: Mapping[str, Any]) -> CloudRecord:
    if row["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"this cloudcpt reads schema version {SCHEMA_VERSION}")
    ended = row["ended"]
    return CloudRecord(**{**row, "ended": None if ended is None else _status(ended)})


def _status(row: Mapping[str, Any]) -> JobStatus:
    failure, progress = row["failure"], row["progress"]
    return JobStatus(
        **{
            **row,
            "phases": tuple(Phase(**{**phase, "state": JobState(phase["state"])}) for phase in row["phases"]),
            "failure": None if failure is None else Failure(**{**failure, "blame": Blame(failure["blame"])}),
            "progress": None if progress is None else Progress(**progress),
            "evaluations": tuple(Evaluation(**found) for found in row["evaluations"]),
            "checkpoints": tuple(row.get("checkpoints", ())),
        }
    )
