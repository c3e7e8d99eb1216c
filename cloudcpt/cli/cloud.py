"""One region of an AWS account, as far as the command line needs it. boto3 is loaded when it is first asked.

Protocols first, so that every command can be tried without an account; `AwsCloud` is the real one.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cloudcpt.jobs.objects import ObjectStore
from cloudcpt.jobs.ports import CheckpointSource, JobService, LogSource, ModelSource, Submission

if TYPE_CHECKING:
    from cloudcpt.aws.engine import CloudEngine
    from cloudcpt.aws.session import AwsSession
    from cloudcpt.jobs.checks import Check
    from cloudcpt.jobs.data_job import DataJob
    from cloudcpt.plan.plan import Plan


class CloudJobs(JobService, LogSource, ModelSource, CheckpointSource, Protocol):
    """The training jobs of a region; some of them work on data."""

    def create(self, plan: "Plan | DataJob", *, replace: bool = False) -> Submission:
        """Make sure that the one job exists and is under way; see `JobService.create`."""
        ...


class Cloud(Protocol):
    """A region of an account."""

    @property
    def account(self) -> str:
        """Number the account of whoever asks, twelve digits."""
        ...

    @property
    def jobs(self) -> CloudJobs:
        """Give its training jobs."""
        ...

    def store(self, bucket: str, *, owner: str, kms_key: str = "") -> ObjectStore:
        """Open a bucket.

        Args:
            bucket: Its name.
            owner: The account that it must belong to; empty for that of the caller.
            kms_key: Encrypts what is written; empty for the bucket's default.
        """
        ...

    def describe(self, name: str) -> Mapping[str, Any] | None:
        """Give the service's own answer about a job, whole; None when there is no such job."""
        ...

    def preflight(self, plan: "Plan") -> "tuple[Check, ...]":
        """Look whether the job of a plan can run there."""
        ...


class AwsCloud:
    """A `Cloud` over boto3.

    Args:
        region: Its name; the configured one when empty.
        state: The state directory.
    """

    def __init__(self, region: str, state: Path) -> None:
        self._region = region
        self._state = state

    @property
    def account(self) -> str:
        """Ask whose credentials these are."""
        return self._session.identity.account

    @cached_property
    def jobs(self) -> "CloudEngine":
        """Make the adapter of the job service."""
        from cloudcpt.aws.engine import CloudEngine

        return CloudEngine(self._session, self._state)

    def store(self, bucket: str, *, owner: str, kms_key: str = "") -> ObjectStore:
        """Open a bucket; see `Cloud.store`."""
        from cloudcpt.aws.object_store import S3ObjectStore

        return S3ObjectStore(self._session, bucket=bucket, owner=owner or self.account, kms_key_id=kms_key)

    def describe(self, name: str) -> Mapping[str, Any] | None:
        """Ask the service about a job; see `Cloud.describe`."""
        from cloudcpt.aws.training_jobs import TrainingJobs

        found = TrainingJobs(self._session.client("sagemaker"), self._session.region).describe(name)
        # The headers of the answer are about this request, not about the job.
        return found and {member: value for member, value in found.items() if member != "ResponseMetadata"}

    def preflight(self, plan: "Plan") -> "tuple[Check, ...]":
        """Look whether the job of a plan can run there; see `cloudcpt.aws.preflight`."""
        from cloudcpt.aws.preflight import preflight

        return preflight(self._session, plan)

    @cached_property
    def _session(self) -> "AwsSession":
        from cloudcpt.aws.session import AwsSession

        return AwsSession(region=self._region)
