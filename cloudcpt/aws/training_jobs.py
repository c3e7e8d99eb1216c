"""Training jobs of one region: create, look at, stop. What is created and what an answer means is decided elsewhere.

ListTrainingJobs is not here on purpose: an account may call it twice a second in all, and records make it needless.
"""

import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from cloudcpt.aws.console import quotas_link
from cloudcpt.aws.errors import translated
from cloudcpt.errors import ServiceRefused, error

Description = Mapping[str, Any]
"""What DescribeTrainingJob answers; its members are as various as the service's model."""

FINAL = frozenset({"Completed", "Failed", "Stopped"})
"""Values of TrainingJobStatus after which nothing changes. Source: botocore, sagemaker 2017-07-24."""

_QUOTA = re.compile(
    r"service limit '(?P<name>[^']+)' is (?P<value>\d+)\D*?(?:current utilization of (?P<used>\d+)\D*?)?"
    r"(?:request delta of (?P<wanted>\d+)\b.*)?$",
    re.DOTALL,
)


class NameInUse(ServiceRefused):
    """There is a job of this name, perhaps the one that was to be created."""


class TrainingJobs:
    """The service in one region.

    Args:
        client: Of SageMaker.
        region: Of the client.
    """

    def __init__(self, client: Any, region: str) -> None:
        self._client = client
        self._region = region

    def create(self, request: Mapping[str, Any]) -> None:
        """Create a job.

        botocore repeats the call when an answer is lost. That is safe only because a name can be given once: the
        repetition is refused, and the caller looks whose job has the name.

        Raises:
            NameInUse: there is a job of this name.
            ServiceRefused: a quota is used up, or the request is not one that the service takes.
            SetupError: credentials or permissions.
            TransientError: nobody knows whether there is a job now.
        """
        name = request["TrainingJobName"]
        with translated(f"create job `{name}`"):
            try:
                self._client.create_training_job(**request)
            except self._client.exceptions.ResourceLimitExceeded as exc:
                raise quota_refusal(exc.response["Error"].get("Message", ""), self._region) from exc
            except self._client.exceptions.ResourceInUse as exc:
                raise NameInUse(error("CPT457", f"the name `{name}` is taken by another job")) from exc

    def describe(self, name: str) -> Description | None:
        """Look at a job; None when there is none of that name in this account and region.

        Raises:
            CloudcptError: the service cannot be asked.
        """
        with translated(f"look at job `{name}`"):
            try:
                answer: Description = self._client.describe_training_job(TrainingJobName=name)
            except ClientError as exc:
                if _is_missing(exc):
                    return None
                raise
        return answer

    def stop(self, name: str) -> None:
        """Ask a job to stop; one that has ended, or is ending, is left alone.

        Raises:
            CloudcptError: the service cannot be asked, or says no to a job that runs.
        """
        with translated(f"stop job `{name}`"):
            try:
                self._client.stop_training_job(TrainingJobName=name)
            except ClientError as exc:
                # The answer about a job that has ended differs from "no such job" in its text alone, so look.
                found = self.describe(name)
                if found is None or found["TrainingJobStatus"] not in FINAL | {"Stopping"}:
                    raise exc from None


def quota_refusal(text: str, region: str) -> ServiceRefused:
    """Say which quota is used up, how high it is, and where to ask for more; the service's words where they are new."""
    found = _QUOTA.search(text)
    page = quotas_link(region)
    where = f"at {page}" if page else "in the Service Quotas console"
    if found is None:
        return ServiceRefused(error("CPT419", f"a limit of the account was reached: {text}", hint=f"ask {where}"))
    use = f", {found['used']} in use" if found["used"] else ""
    wanted = f", and the job needs {found['wanted']}" if found["wanted"] else ""
    message = f"the quota `{found['name']}` is {found['value']} in {region}{use}{wanted}"
    hint = f"ask for more {where}, service `Amazon SageMaker`, quota `{found['name']}`, or take another instance type"
    return ServiceRefused(error("CPT419", message, hint=hint))


def _is_missing(exc: ClientError) -> bool:
    """Tell "no such job" from other refusals: the service has no code of its own for it."""
    answer = exc.response.get("Error", {})
    code, text = answer.get("Code"), str(answer.get("Message", "")).lower()
    return code == "ResourceNotFound" or (code == "ValidationException" and "not found" in text)
