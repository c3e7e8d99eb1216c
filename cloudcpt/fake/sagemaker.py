"""The SageMaker service, as far as training jobs go: create once, describe, stop, list, delete, tag.

Every request is held against the limits of the service's model and the rules between fields, a name is taken for as
long as its job is remembered, quotas are counted, and time is the fake's clock. What a job then does is a script, or a
process on this machine.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from cloudcpt.fake.backstage import Backstage
from cloudcpt.fake.channels import check_channels
from cloudcpt.fake.clock import Clock
from cloudcpt.fake.container import Trainer
from cloudcpt.fake.execution import Execution
from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.job_list import Rate, list_jobs
from cloudcpt.fake.job_request import (
    DEFAULT_MAX_RUNTIME_S,
    JobRequest,
    instance_count,
    instance_types,
    is_spot,
    resources,
    stopping,
)
from cloudcpt.fake.job_rules import check_rules
from cloudcpt.fake.json_protocol import json_answer, json_refusal, read_parameters, target_operation
from cloudcpt.fake.performance import Performance, ScriptedPerformance
from cloudcpt.fake.quotas import SPOT, TRAINING, WARM_POOL, Quotas
from cloudcpt.fake.script import JobScript
from cloudcpt.fake.shapes import check_shape
from cloudcpt.fake.training_job import TrainingJob

Part = JobScript | Trainer
"""How a job is played."""


class SageMaker:
    """Training jobs of one account in one region.

    Args:
        clock: Its time.
        quotas: What it counts against.
        back: Its access to S3 and the logs.
        account_id: Of the caller.
        play: How jobs are played unless `cast` has a part for their name.
    """

    name = "sagemaker"

    def __init__(self, clock: Clock, quotas: Quotas, back: Backstage, *, account_id: str, play: Part) -> None:
        self.play = play
        self.cast: dict[str, Part] = {}
        """How jobs of a certain name are played."""
        self.list_rate = Rate()
        """How often ListTrainingJobs may be called; `list_rate.limit(2.0)` is the real limit."""
        self.create_rate = Rate()
        self.jobs: dict[str, TrainingJob] = {}
        self.training_plans: dict[str, dict[str, Any]] = {}
        """Reserved capacity by name: members of a DescribeTrainingPlan answer, times in seconds since 1970."""
        self._first_play = play
        self._clock = clock
        self._quotas = quotas
        self._back = back
        self._account_id = account_id
        self._lock = threading.RLock()
        self._handlers: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "StopTrainingJob": self._stop,
            "ListTrainingJobs": self._list,
            "DeleteTrainingJob": self._delete,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DescribeTrainingPlan": self._describe_plan,
        }

    def operation(self, head: Request) -> str:
        """Read the target header."""
        return target_operation(head)

    def action(self, operation: str) -> str:
        """Name the action, which is called as the operation is."""
        return f"sagemaker:{operation}"

    def answer(self, request: Request) -> Answer:
        """Do what is asked.

        Raises:
            Refusal: the service says no.
        """
        operation, parameters = target_operation(request), read_parameters(request)
        handler = self._handlers.get(operation)
        if handler is None:
            raise Refusal(status=400, code="UnknownOperationException", message=f"{operation} is not played here")
        check_shape(operation, parameters)
        with self._lock:
            return json_answer(handler(parameters))

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as JSON."""
        return json_refusal(refusal)

    def settle(self) -> None:
        """Let everything happen that is due: log lines, uploads."""
        with self._lock:
            for job in list(self.jobs.values()):
                job.performance.settle(self._clock.now())

    def job(self, name: str) -> TrainingJob:
        """Find a job.

        Raises:
            Refusal: there is none of that name.
        """
        if name not in self.jobs:
            raise _invalid("Requested resource not found.")
        return self.jobs[name]

    def execution(self, name: str) -> Execution:
        """Give the running process behind a job that a `Trainer` plays."""
        performance = self.job(name).performance
        assert isinstance(performance, Execution), f"job `{name}` is played by a script"
        return performance

    def reset(self) -> None:
        """End every job and forget it."""
        for job in self.jobs.values():
            job.performance.close()
        self.jobs.clear()
        self.training_plans.clear()
        self.cast.clear()
        self.play = self._first_play
        self.list_rate.limit(0.0)
        self.create_rate.limit(0.0)

    def _create(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        now, name = self._clock.now(), parameters["TrainingJobName"]
        self.create_rate.take(now)
        check_rules(parameters, region=self._back.region, account_id=self._account_id)
        arn = f"arn:aws:sagemaker:{self._back.region}:{self._account_id}:training-job/{name}"
        if name in self.jobs:
            message = (
                "Training job names must be unique within an AWS account and region, and a training job with this name "
                f"already exists ({arn})"
            )
            raise Refusal(status=400, code="ResourceInUse", message=message)
        self._check_quotas(parameters, now)
        check_channels(self._back, parameters)
        tags = {tag["Key"]: tag["Value"] for tag in parameters.get("Tags", ())}
        self.jobs[name] = TrainingJob(
            name=name,
            arn=arn,
            request=parameters,
            created_at=now,
            performance=self._perform(parameters, arn, now),
            tags=tags,
        )
        return {"TrainingJobArn": arn}

    def _perform(self, request: JobRequest, arn: str, now: float) -> Performance:
        part = self.cast.get(request["TrainingJobName"], self.play)
        if isinstance(part, Trainer):
            return Execution(part, request, arn, self._clock, self._back)
        return ScriptedPerformance(part, request, now, self._back)

    def _check_quotas(self, request: JobRequest, now: float) -> None:
        seconds = stopping(request).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_S)
        self._quotas.check_limits(seconds=seconds, instances=instance_count(request))
        if "TrainingPlanArn" in resources(request):
            return  # reserved capacity has been bought already
        usage = SPOT if is_spot(request) else TRAINING
        wanted = instance_count(request)
        running = [job for job in self.jobs.values() if not job.is_final(now)]
        for instance_type in instance_types(request)[:1]:
            peers = [job for job in running if job.selected_type() == instance_type]
            used = sum(job.instances() for job in peers if is_spot(job.request) == is_spot(request))
            self._quotas.check(instance_type, usage, used=used, wanted=wanted)
            if resources(request).get("KeepAlivePeriodInSeconds"):
                self._quotas.check(instance_type, WARM_POOL, used=0, wanted=wanted)

    def _describe(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return self.job(parameters["TrainingJobName"]).describe(self._clock.now())

    def _stop(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        now, job = self._clock.now(), self.job(parameters["TrainingJobName"])
        if job.is_final(now):
            status = job.phases(now)[-1].primary
            raise _invalid(f"The request was rejected because the training job is in status {status}.")
        job.performance.stop(now)
        return {}

    def _list(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        now = self._clock.now()
        self.list_rate.take(now)
        return list_jobs(self.jobs.values(), parameters, now)

    def _delete(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        job = self.job(parameters["TrainingJobName"])
        if not job.is_final(self._clock.now()):
            message = f"Training job {job.name} is not in a terminal state"
            raise Refusal(status=400, code="ResourceInUse", message=message)
        job.performance.close()
        del self.jobs[job.name]
        return {}

    def _add_tags(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        job = self._by_arn(parameters["ResourceArn"])
        job.tags |= {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        return {"Tags": _tag_rows(job)}

    def _list_tags(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        return {"Tags": _tag_rows(self._by_arn(parameters["ResourceArn"]))}

    def _describe_plan(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        name = parameters["TrainingPlanName"]
        if name not in self.training_plans:
            raise Refusal(status=400, code="ResourceNotFound", message=f"Training plan {name} not found")
        arn = f"arn:aws:sagemaker:{self._back.region}:{self._account_id}:training-plan/{name}"
        return {"TrainingPlanArn": arn, "TrainingPlanName": name, **self.training_plans[name]}

    def _by_arn(self, arn: str) -> TrainingJob:
        return self.job(arn.rpartition("/")[2])


def _tag_rows(job: TrainingJob) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in job.tags.items()]


def _invalid(message: str) -> Refusal:
    return Refusal(status=400, code="ValidationException", message=message)
