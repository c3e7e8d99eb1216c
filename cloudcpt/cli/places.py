"""Where jobs are: on this machine and in the cloud, behind one set of ports.

A command asks here for a job by its name and never has to know where it runs. What this machine remembers of jobs in
the cloud is read without asking anybody; the service is asked about what can still change, and nothing else.
"""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

from cloudcpt.aws.attempts import is_job_name
from cloudcpt.aws.records import CloudRecord, Records
from cloudcpt.cli.cloud import AwsCloud, Cloud, CloudJobs
from cloudcpt.errors import CloudcptError, SetupError, UsageProblem, error, note
from cloudcpt.jobs.follow import POLL_S
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.names import find_job, unknown_job
from cloudcpt.jobs.ports import START, JobStatus, LogChunk, Submission
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.record import read_record
from cloudcpt.plan.plan import Plan, read_plan

CLOUD_POLL_S = 5.0
"""Seconds between two looks at a job in the cloud that has nothing new to say: its log is behind anyway, and requests
are counted per account."""

_FULL_NAME = re.compile(r".+-[0-9a-f]{10}(-r[0-9]+)?")
"""What `Plan.job_name` makes: only such a name is worth a question to the service."""

_NOTHING_TO_ADD = {"CPT400", "CPT406", "CPT454"}
"""No credentials, no region, and the answer that there is no such job: whoever trains on this machine alone and
mistypes a name needs no account."""


class Places:
    """A `JobService`, `LogSource`, `ModelSource` and `CheckpointSource` over every place that jobs of this user run in.

    Args:
        local: This machine; the user's own state directory when None.
        connect: Gives the cloud of a region, for a state directory; an empty region is the configured one.
        cloud_poll_s: Seconds between two looks at a job in the cloud.
    """

    def __init__(
        self,
        local: LocalEngine | None = None,
        *,
        connect: Callable[[str, Path], Cloud] = AwsCloud,
        cloud_poll_s: float = CLOUD_POLL_S,
    ) -> None:
        self.local = local or LocalEngine()
        self.records = Records(self.local.state)
        self.journal = UploadJournal(self.local.state / "uploads")
        self._connect = connect
        self._cloud_poll_s = cloud_poll_s
        self._clouds: dict[str, Cloud] = {}

    # --- the ports ---------------------------------------------------------------------------------------------------

    def create(self, plan: Plan, *, replace: bool = False) -> Submission:
        """Make sure that the one job of a plan is under way, where the plan says; see `JobService.create`."""
        home = self.local if plan.launch is None else self.cloud(plan.launch.region).jobs
        return home.create(plan, replace=replace)

    def status(self, name: str) -> JobStatus:
        """Look at a job; see `JobService.status`. A cloud job that has ended is not asked about again."""
        record = None if self.is_local(name) else self.record(name)
        return record.ended if record and record.ended else self._home(name).status(name)

    def resume(self, name: str) -> Submission:
        """Let a job go on from its recovery state; see `JobService.resume`."""
        return self._home(name).resume(name)

    def stop(self, name: str) -> None:
        """Ask a job to stop; see `JobService.stop`."""
        self._home(name).stop(name)

    def names(self) -> tuple[str, ...]:
        """Name every job, newest first; see `JobService.names`."""
        here, away = self.local.names(), self.records.names()
        if not (here and away):
            return here or away
        return tuple(sorted((*here, *away), key=self._created_at, reverse=True))

    def read(self, name: str, position: str = START) -> LogChunk:
        """Read on in the log of a job; see `LogSource.read`."""
        return self._home(name).read(name, position)

    def faults(self, name: str) -> list[str]:
        """Verify the job's model where it lies; see `ModelSource.faults`."""
        return self._home(name).faults(name)

    def copy(self, name: str, folder: Path) -> None:
        """Copy the job's model folder; see `ModelSource.copy`."""
        self._home(name).copy(name, folder)

    def copy_checkpoint(self, name: str, step: int, folder: Path) -> None:
        """Copy the model that a job keeps of a step; see `CheckpointSource.copy_checkpoint`."""
        self._home(name).copy_checkpoint(name, step, folder)

    # --- where is what -----------------------------------------------------------------------------------------------

    def find(self, wanted: str | None) -> str:
        """Pick the job that a person means; see `find_job`. A job of another machine is found by its full name.

        Raises:
            UsageProblem: there is no job at all, no such job, or more than one.
        """
        is_full = wanted is not None and _FULL_NAME.fullmatch(wanted) is not None and is_job_name(wanted)
        if wanted is not None and is_full and not self.is_local(wanted) and self.records.read(wanted):
            return wanted  # also an earlier attempt, whose name is the start of a later one's
        try:
            return find_job(self.names(), wanted)
        except UsageProblem as exc:
            if wanted is None or not is_full:
                raise
            trouble = self._ask_elsewhere(wanted)
            if trouble is None:
                return wanted
            first = trouble.diagnostics[0]
            if first.code in _NOTHING_TO_ADD:
                raise
            in_cloud = note("CPT454", f"in the cloud: {first.message}", hint=first.hint)
            raise UsageProblem(*exc.diagnostics, in_cloud) from trouble

    def is_local(self, name: str) -> bool:
        """Tell whether a job runs on this machine."""
        return self.local.folder(name).root.is_dir()

    def record(self, name: str) -> CloudRecord:
        """Recall what this machine knows of a job in the cloud.

        Raises:
            UsageProblem: there is no such job.
            SetupError: the record is damaged.
        """
        found = self.records.read(name)
        if found is None:
            raise unknown_job(self.names(), name)
        return found

    def plan(self, name: str) -> Plan:
        """Read the plan that a job executes.

        Raises:
            PlanError: it cannot be read.
            UsageProblem: the job works on data and has no plan.
        """
        if self.is_local(name):
            return read_plan(self.local.folder(name).ml.plan)
        if not self.record(name).makes_model:
            message = f"job `{name}` works on data, it trains nothing"
            hint = f"see `cloudcpt status {name}` and `cloudcpt logs {name}`"
            raise UsageProblem(error("CPT777", message, hint=hint))
        return read_plan(self.records.plan_path(name))

    def cloud(self, region: str) -> Cloud:
        """Give the cloud of a region; the configured one when it is empty."""
        if region not in self._clouds:
            self._clouds[region] = self._connect(region, self.local.state)
        return self._clouds[region]

    def cloud_of(self, name: str) -> Cloud:
        """Give the cloud that a job runs in."""
        return self.cloud(self.record(name).region)

    def folder(self, name: str) -> Path:
        """Give the folder in which this machine keeps what it has of a job."""
        return self.local.folder(name).root if self.is_local(name) else self.records.folder(name)

    def poll_s(self, name: str) -> float:
        """Say how many seconds to leave between two looks at a job."""
        return POLL_S if self.is_local(name) else self._cloud_poll_s

    def _home(self, name: str) -> LocalEngine | CloudJobs:
        return self.local if self.is_local(name) else self.cloud_of(name).jobs

    def _ask_elsewhere(self, name: str) -> CloudcptError | None:
        """Ask for a job of another machine, to remember it from then on; give why it was not found, if it was not."""
        try:
            self.cloud("").jobs.status(name)
        except CloudcptError as exc:
            return exc
        return None

    def _created_at(self, name: str) -> float:
        with contextlib.suppress(SetupError):  # a damaged folder has a name all the same
            found = read_record(self.local.folder(name).record) if self.is_local(name) else self.record(name)
            return found.created_at
        return 0.0
