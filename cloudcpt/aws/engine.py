"""Jobs in the cloud: the ports of `cloudcpt.jobs` over SageMaker, CloudWatch Logs and S3.

create    record -> CreateTrainingJob -> (DescribeTrainingJob: whose is it?) -> record confirmed
status    DescribeTrainingJob, and the two ends of the log of the first machine
read      DescribeLogStreams, and GetLogEvents for every stream
names     records only
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloudcpt.aws.adoption import adopt
from cloudcpt.aws.attempts import attempt_name, is_job_name
from cloudcpt.aws.console import console_link
from cloudcpt.aws.creation import is_created, name_taken
from cloudcpt.aws.log_streams import LogStreams
from cloudcpt.aws.numbers import NO_NUMBERS, numbers_of
from cloudcpt.aws.records import CloudRecord, Records, record_of
from cloudcpt.aws.results import JobModel
from cloudcpt.aws.session import AwsSession
from cloudcpt.aws.standing import never_created, standing
from cloudcpt.aws.timeline import is_final
from cloudcpt.aws.training_jobs import Description, TrainingJobs
from cloudcpt.errors import CloudcptError, ServiceRefused, SetupError, TransientError, UsageProblem, error
from cloudcpt.jobs.data_job import DataJob
from cloudcpt.jobs.data_request import data_job_request
from cloudcpt.jobs.names import unknown_job
from cloudcpt.jobs.ports import START, JobState, JobStatus, LogChunk, Submission
from cloudcpt.jobs.request import checkpoint_config, training_job_request
from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.wire import finished_steps, step_name

LOG_LAG_S = 10.0
"""Seconds after the end of a job within which CloudWatch may still bring lines. Assumed: the agent sends every 5 s."""

_UNHAPPY = {JobState.FAILED, JobState.STOPPED}


class CloudEngine:
    """A `JobService`, `LogSource`, `ModelSource` and `CheckpointSource` over an AWS account.

    Every job is looked at in the region that its record names; one without a record, in that of the session.

    Args:
        session: Whose account, and which region by default.
        state: The state directory.
        request: Words the request for a plan's job.
        now: Tells the time, in seconds since 1970.
        pause: Waits for so many seconds.
    """

    def __init__(
        self,
        session: AwsSession,
        state: Path,
        *,
        request: Callable[[Plan], Mapping[str, Any]] = training_job_request,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.records = Records(state)
        self._session = session
        self._request = request
        self._now = now
        self._pause = pause
        self._clients: dict[tuple[str, str], Any] = {}
        self._ended_at: dict[str, float] = {}

    def create(self, plan: Plan | DataJob, *, replace: bool = False) -> Submission:
        """Make sure that the one job of a plan exists; see `JobService.create`. Its inputs must be in S3 already.

        A name can be given once in an account and region, and it is made from the plan's hash: that, and nothing on
        this machine, is why a plan is one job. The name of a job that failed stays taken, so what `replace` starts is
        a job of its own, `<name>-r2`, `<name>-r3`, ...: the first that nobody has made yet, in an order that every
        client goes through alike, so that two of them end at the same one. The earlier attempts stay as they are.

        Raises:
            PlanError: the plan is no job for the cloud.
            ServiceRefused: a quota is used up, the service refuses the request, or another plan has the name.
            SetupError: credentials or permissions, or the state directory cannot be written.
            TransientError: nobody knows whether there is a job now; calling again finds out.
        """
        return self._create(plan, replace=replace)

    def resume(self, name: str) -> Submission:
        """Let a job go on in a new attempt that begins with what the last one has left; see `JobService.resume`.

        The service brings the copy of the checkpoint folder to the machines before the trainer starts.
        """
        record = self.record(name)
        plan = read_plan(self.records.plan_path(name))
        return self._create(plan, replace=True, checkpoints_uri=record.checkpoints_uri)

    def _create(self, plan: Plan | DataJob, *, replace: bool, checkpoints_uri: str = "") -> Submission:
        """Make sure that the one job of a plan exists.

        Args:
            plan: What to execute.
            replace: Make another attempt when the last one failed or was stopped.
            checkpoints_uri: Where a new attempt finds what an earlier one has left; empty for a place of its own.
        """
        request = data_job_request(plan) if isinstance(plan, DataJob) else self._request(plan)
        attempt = self.records.last_attempt(plan.job_name)
        while True:
            record = self._recorded(plan, attempt, checkpoints_uri)
            named = {**request, "TrainingJobName": record.name}
            if record.checkpoints_uri:
                named["CheckpointConfig"] = checkpoint_config(record.checkpoints_uri)
            if not record.is_confirmed and is_created(self._jobs(record.region), self.records, record, named):
                return Submission(name=record.name, adopted=False)
            adopted = Submission(name=record.name, adopted=True)
            if self.status(record.name).state not in _UNHAPPY:
                return adopted
            attempt += 1
            if not (replace or self._exists(attempt_name(plan.job_name, attempt), record.region)):
                return adopted

    def status(self, name: str) -> JobStatus:
        """Look at a job; see `JobService.status`. One that ended a while ago is known without a call."""
        record = self.record(name)
        if record.ended:
            return record.ended
        described = self._jobs(record.region).describe(name)
        if described is None:
            return self._missing(record)
        return self._status(record, described)

    def stop(self, name: str) -> None:
        """Ask a job to stop; see `JobService.stop`."""
        record = self.record(name)
        if record.ended or (not record.is_confirmed and not self._exists(name, record.region)):
            return
        self._jobs(record.region).stop(name)

    def names(self) -> tuple[str, ...]:
        """Name every job that this machine knows, newest first, without a call; see `JobService.names`."""
        return self.records.names()

    def read(self, name: str, position: str = START) -> LogChunk:
        """Read on in the log of a job; see `LogSource.read`. Lines begin with their machine when there are several.

        Once a status has shown the end, the log is given the time that its last lines need to arrive.
        """
        record = self.record(name)
        streams = LogStreams(self._client("logs", record.region))
        with_hosts = record.instances > 1
        chunk = streams.read(name, position, now=self._now(), with_hosts=with_hosts)
        ended_at = self._ended_at.get(name)
        # Never longer than that: by a clock that is behind, the job ends in the future.
        missing_s = min(LOG_LAG_S, LOG_LAG_S - (self._now() - ended_at)) if ended_at is not None else 0.0
        if not chunk.ended or missing_s <= 0:
            return chunk
        self._pause(missing_s)
        rest = streams.read(name, chunk.position, now=self._now(), with_hosts=with_hosts)
        return replace(rest, lines=chunk.lines + rest.lines)

    def faults(self, name: str) -> list[str]:
        """Verify the job's model in S3, as far as that goes without a download; see `ModelSource.faults`."""
        record = self.record(name)
        return self._model(record).faults(record.plan_hash)

    def copy(self, name: str, folder: Path) -> None:
        """Download the job's model folder; see `ModelSource.copy`."""
        self._model(self.record(name)).copy(folder)

    def copy_checkpoint(self, name: str, step: int, folder: Path) -> None:
        """Download the model that a job keeps of a step; see `CheckpointSource.copy_checkpoint`."""
        record = self.record(name)
        self._folder(record, f"{record.checkpoints_uri}/{step_name(step)}/").copy(folder)

    def console_link(self, name: str) -> str | None:
        """Give the job's page in the AWS console; None where there is no public console."""
        return console_link(self.record(name).region, name)

    def record(self, name: str) -> CloudRecord:
        """Recall a job; one that was started elsewhere is looked up, and remembered from now on.

        Raises:
            UsageProblem: there is no such job, or it is not one of cloudcpt's.
        """
        if not is_job_name(name):
            raise unknown_job(self.names(), name)
        if record := self.records.read(name):
            return record
        region = self._session.region
        described = self._jobs(region).describe(name)
        if described is None:
            raise unknown_job(self.names(), name)
        record, plan = adopt(described, self._client("s3", region), region)
        self.records.write(record, plan=plan)
        return record

    def _recorded(self, plan: Plan | DataJob, attempt: int, checkpoints_uri: str) -> CloudRecord:
        """Recall an attempt, or write down that we are about to make it."""
        name = attempt_name(plan.job_name, attempt)
        if known := self.records.read(name):
            if known.plan_hash != plan.hash:
                raise name_taken(name)
            return known
        assert plan.launch is not None, f"a plan for `{plan.target}` is not for the cloud"
        account_id = plan.launch.account_id or self._session.identity.account
        record = record_of(
            plan,
            name,
            attempt=attempt,
            account_id=account_id,
            created_at=self._now(),
            checkpoints_uri=checkpoints_uri,
        )
        self.records.write(record, plan=plan.to_json())
        return record

    def _status(self, record: CloudRecord, described: Description) -> JobStatus:
        """Put a status together, and keep it when it is final and the log has had the time to arrive."""
        try:
            numbers = numbers_of(LogStreams(self._client("logs", record.region)), record.name)
            is_whole = True
        except (SetupError, TransientError, ServiceRefused):
            numbers, is_whole = NO_NUMBERS, False  # whoever may not read logs may know the state all the same
        kept, states, is_seen = self._kept(record)
        status = standing(record, described, numbers, now=self._now(), kept=kept, states=states)
        is_whole = is_whole and is_seen
        if is_final(described):
            self._ended_at[record.name] = ended_at = status.phases[-1].at
            if is_whole and self._now() - ended_at >= LOG_LAG_S:
                self.records.write(replace(record, is_confirmed=True, ended=status))
        return status

    def _kept(self, record: CloudRecord) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
        """List the steps of checkpoints and of recovery states, and tell whether they could be looked at."""
        if not record.checkpoints_uri:
            return (), (), True
        try:
            return (*finished_steps(self._folder(record, f"{record.checkpoints_uri}/").names()), True)
        except CloudcptError:  # whoever may not look into the bucket may know the state all the same
            return (), (), False

    def _missing(self, record: CloudRecord) -> JobStatus:
        """Say what a job is that the service does not know."""
        if record.is_confirmed:
            message = f"AWS does not know job `{record.name}` in {record.region} any more"
            hint = "are these the credentials of the account that it ran in? `aws sts get-caller-identity` shows them"
            raise UsageProblem(error("CPT443", message, hint=hint))
        return never_created(record)

    def _exists(self, name: str, region: str) -> bool:
        return self._jobs(region).describe(name) is not None

    def _model(self, record: CloudRecord) -> JobModel:
        return self._folder(record, record.model_uri)

    def _folder(self, record: CloudRecord, uri: str) -> JobModel:
        return JobModel(self._client("s3", record.region), uri=uri, owner=record.account_id)

    def _jobs(self, region: str) -> TrainingJobs:
        return TrainingJobs(self._client("sagemaker", region), region)

    def _client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            self._clients[service, region] = self._session.client(service, region=region)
        return self._clients[service, region]
