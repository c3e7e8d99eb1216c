"""One training job as the service sees it, and how DescribeTrainingJob and ListTrainingJobs show it.

Source: botocore, sagemaker 2017-07-24, DescribeTrainingJobResponse and TrainingJobSummary; times are seconds.
"""

from dataclasses import dataclass, field
from typing import Any

from cloudcpt.fake.job_request import JobRequest, instance_count, instance_types, resources, stopping
from cloudcpt.fake.performance import Performance
from cloudcpt.fake.results import model_uri
from cloudcpt.fake.shapes import members
from cloudcpt.fake.timeline import FINAL, MESSAGES, ON_INSTANCES, Phase, training_s


@dataclass(kw_only=True)
class TrainingJob:
    """A job of the account.

    Args:
        name: Unique in account and region.
        arn: Of the job.
        request: As it was created.
        created_at: Seconds since 1970.
        performance: Plays it.
        tags: By key.
    """

    name: str
    arn: str
    request: JobRequest
    created_at: float
    performance: Performance
    tags: dict[str, str] = field(default_factory=dict)

    def phases(self, now: float) -> tuple[Phase, ...]:
        """Give the phases that have begun."""
        return self.performance.phases(now)

    def is_final(self, now: float) -> bool:
        """Tell whether the job has ended."""
        return self.phases(now)[-1].secondary in FINAL

    def selected_type(self) -> str:
        """Name the instance type that the job runs on: the first one with capacity."""
        types = instance_types(self.request)
        return next((one for one in types if one not in self.performance.unavailable), types[0])

    def instances(self) -> int:
        """Count the instances that the job runs on."""
        for preference in resources(self.request).get("InstancePreferences", ()):
            if preference["InstanceType"] == self.selected_type() and "InstanceCount" in preference:
                return int(preference["InstanceCount"])
        return instance_count(self.request)

    def describe(self, now: float) -> dict[str, Any]:
        """Word the answer to DescribeTrainingJob."""
        phases = self.phases(now)
        last = phases[-1]
        shown = members("DescribeTrainingJobResponse")
        document = {name: value for name, value in self.request.items() if name in shown}
        document |= _DEFAULTS | {name: document[name] for name in _DEFAULTS if name in document}
        document |= {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": last.primary,
            "SecondaryStatus": last.secondary,
            "SecondaryStatusTransitions": [_transition(phase, now) for phase in phases],
            "StoppingCondition": {"MaxRuntimeInSeconds": 86400, **stopping(self.request)},
            "CreationTime": self.created_at,
            "LastModifiedTime": last.start,
            "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **self.request["OutputDataConfig"]},
        }
        return document | self._found_out(phases, now)

    def summary(self, now: float) -> dict[str, Any]:
        """Word one row of ListTrainingJobs."""
        last = self.phases(now)[-1]
        row = {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "CreationTime": self.created_at,
            "LastModifiedTime": last.start,
            "TrainingJobStatus": last.primary,
            "SecondaryStatus": last.secondary,
        }
        return row | ({"TrainingEndTime": last.start} if last.secondary in FINAL else {})

    def _found_out(self, phases: tuple[Phase, ...], now: float) -> dict[str, Any]:
        """Word what only the course of the job tells."""
        found: dict[str, Any] = {"ModelArtifacts": {"S3ModelArtifacts": model_uri(self.request)}}
        last = phases[-1]
        started = next((phase.start for phase in phases if phase.secondary in ON_INSTANCES), None)
        if started is not None:
            found["TrainingStartTime"] = started
            if resources(self.request).get("InstancePreferences"):
                selected = {"SelectedInstanceType": self.selected_type(), "SelectedInstanceCount": self.instances()}
                found["ResourceConfig"] = {**resources(self.request), **selected}
        if last.secondary in FINAL and started is not None:
            seconds = training_s(phases, now)
            found["TrainingEndTime"] = last.start
            found["TrainingTimeInSeconds"] = round(seconds)
            found["BillableTimeInSeconds"] = round(seconds * self.performance.billable_share)
        if last.secondary == "Failed":
            found["FailureReason"] = self.performance.failure_reason()
        return found


_DEFAULTS: dict[str, Any] = {
    "EnableNetworkIsolation": False,
    "EnableInterContainerTrafficEncryption": False,
    "EnableManagedSpotTraining": False,
    "ProfilingStatus": "Disabled",
}


def _transition(phase: Phase, now: float) -> dict[str, Any]:
    message = MESSAGES[phase.secondary]
    row = {"Status": phase.secondary, "StartTime": phase.start, "StatusMessage": message}
    if phase.secondary in FINAL:
        return row | {"EndTime": phase.start}
    return row | ({"EndTime": phase.end} if phase.end <= now else {})
