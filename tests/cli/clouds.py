"""A region of an account in memory, for commands: the port fakes of tests/fakes.py, with the records that the real
adapter keeps on this machine."""

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from cloudcpt.aws.records import CloudRecord, Records, record_of
from cloudcpt.cli.main import cli
from cloudcpt.cli.places import Places
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.checks import Check, passed
from cloudcpt.jobs.names import unknown_job
from cloudcpt.jobs.ports import START, JobState, JobStatus, LogChunk, Phase, Submission
from cloudcpt.local.engine import LocalEngine
from cloudcpt.plan.plan import Plan
from tests.fake_objects import FakeObjects
from tests.fakes import FakeJobs, FakeLogs, FakeModels

ACCOUNT = "123456789012"


@dataclass
class FakeCloudJobs:
    """The jobs of a region. What goes wrong is taken from `trouble`, one per call.

    Args:
        state: The state directory, where records are kept.
        jobs: What runs.
        logs: What it printed.
        trouble: Raised by the next calls, in order.
        elsewhere: Plans of jobs that were started from another machine.
    """

    state: Path
    jobs: FakeJobs
    logs: FakeLogs
    trouble: list[CloudcptError] = field(default_factory=list)
    elsewhere: dict[str, Plan] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @property
    def records(self) -> Records:
        return Records(self.state)

    def create(self, plan: Plan, *, replace: bool = False) -> Submission:
        self._call(f"create {plan.job_name}")
        made = self.jobs.create(plan, replace=replace)
        self.remember(plan)
        return made

    def resume(self, name: str) -> Submission:
        self._call(f"resume {name}")
        self.records.write(replace(self._record(name), ended=None))
        return self.jobs.resume(name)

    def status(self, name: str) -> JobStatus:
        self._call(f"status {name}")
        if name in self.elsewhere:
            self.remember(self.elsewhere[name])
        record = self._record(name)
        status = self.jobs.status(name)
        phases = tuple(Phase(state=one.state, at=one.at, detail=one.state.title()) for one in status.phases)
        status = replace(status, phases=phases, cost_usd=12.5, link=f"https://console/{name}")
        if status.state.is_final:
            self.records.write(replace(record, ended=status))
        return status

    def stop(self, name: str) -> None:
        self._call(f"stop {name}")
        self.jobs.stop(name)

    def names(self) -> tuple[str, ...]:
        return self.records.names()

    def read(self, name: str, position: str = START) -> LogChunk:
        self._call(f"read {name}")
        return self.logs.read(name, position)

    def faults(self, name: str) -> list[str]:
        return FakeModels(self.jobs, self.state).faults(name)

    def copy(self, name: str, folder: Path) -> None:
        FakeModels(self.jobs, self.state).copy(name, folder)

    def copy_checkpoint(self, name: str, step: int, folder: Path) -> None:
        raise NotImplementedError("no command test needs the checkpoints of a job in the cloud")

    def remember(self, plan: Plan, **changes: Any) -> CloudRecord:
        made = record_of(plan, plan.job_name, attempt=1, account_id=ACCOUNT, created_at=time.time(), is_confirmed=True)
        record = replace(made, **changes)
        self.records.write(record, plan=plan.to_json())
        return record

    def _record(self, name: str) -> CloudRecord:
        record = self.records.read(name)
        if record is None:
            raise unknown_job(self.names(), name)
        return record

    def _call(self, words: str) -> None:
        self.calls.append(words)
        if self.trouble:
            raise self.trouble.pop(0)


class FakeRegion:
    """A `Cloud` in memory, with one bucket.

    Args:
        state: The state directory.
        end: How its jobs end.
        hold: Where its jobs stay until somebody stops them.
        lines: What its jobs print.
    """

    account = ACCOUNT

    def __init__(
        self,
        state: Path,
        *,
        end: JobState = JobState.COMPLETED,
        hold: JobState | None = None,
        lines: tuple[str, ...] = ("first", "second"),
    ) -> None:
        jobs = FakeJobs(end=end, hold=hold)
        self.jobs = FakeCloudJobs(state=state, jobs=jobs, logs=FakeLogs(jobs, lines))
        self.objects = FakeObjects()
        self.objects.uri = "s3://my-bucket"
        self.checks: tuple[Check, ...] = (passed("identity", "you"), passed("quota", "4 of 4 free"))
        self.preflights = 0
        self.opened: list[tuple[str, str, str]] = []

    def store(self, bucket: str, *, owner: str, kms_key: str = "") -> FakeObjects:
        self.opened.append((bucket, owner, kms_key))
        assert f"s3://{bucket}" == self.objects.uri
        return self.objects

    def describe(self, name: str) -> Mapping[str, Any] | None:
        if name not in self.jobs.jobs.jobs:
            return None
        return {"TrainingJobName": name, "CreationTime": dt.datetime(2026, 11, 21, tzinfo=dt.UTC)}

    def preflight(self, _plan: Plan) -> tuple[Check, ...]:
        self.preflights += 1
        return self.checks


def places_with(region: FakeRegion, local: LocalEngine | None = None) -> Places:
    """Make places whose only cloud is the given one, and whose pauses are none."""
    engine = local or LocalEngine(region.jobs.state)
    return Places(engine, connect=lambda _region, _state: region, cloud_poll_s=0.0)


def nobody_asks(region: str, _state: Path) -> FakeRegion:
    """Be the cloud of a machine that must not ask anybody."""
    raise AssertionError(f"region `{region}` was asked")


@dataclass(frozen=True)
class Shown:
    """What a shell would see of a command.

    Args:
        code: Its exit code.
        out: Its data.
        err: Its messages; those of the error that it ended with come last, with their hints.
        codes: Of that error.
    """

    code: int
    out: str
    err: str
    codes: tuple[str, ...]


def run(places: Places, *arguments: object) -> Shown:
    """Type a command where jobs are at the given places."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], obj=places)
    failed = result.exception if isinstance(result.exception, CloudcptError) else None
    if failed is None and not isinstance(result.exception, SystemExit | None):
        raise result.exception
    found = failed.diagnostics if failed else ()
    words = "".join(f"{one.code} {one.message}; {one.hint}\n" for one in found)
    code = failed.exit_code if failed else result.exit_code
    return Shown(code, result.stdout, result.stderr + words, tuple(one.code for one in found))
