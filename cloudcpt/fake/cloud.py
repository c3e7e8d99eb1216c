"""The whole fake: moto, the fronts before it, and SageMaker, on loopback ports, with one environment to reach them.

    with FakeCloud() as cloud:
        os.environ.update(cloud.environment)      # any AWS SDK or CLI now talks to the fake
        cloud.s3.faults.add(LOST_ANSWER, operation="CompleteMultipartUpload")
        ...
        cloud.clock.advance(3600)
        assert cloud.sagemaker.calls.operations() == ("CreateTrainingJob",)

moto keeps its state per process, so one process has one FakeCloud at a time.
"""

import logging
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from cloudcpt.fake.backstage import ACCESS_KEY, SECRET_KEY, backstage, client
from cloudcpt.fake.calls import CallLog
from cloudcpt.fake.clock import Clock
from cloudcpt.fake.faults import Faults
from cloudcpt.fake.front import Front, Service
from cloudcpt.fake.http import LOOPBACK, Request
from cloudcpt.fake.iam import Iam
from cloudcpt.fake.logs import Logs
from cloudcpt.fake.passing import JsonPassing, Moto, QueryPassing
from cloudcpt.fake.pricing import Pricing
from cloudcpt.fake.quotas import Quotas, ServiceQuotas
from cloudcpt.fake.sagemaker import Part, SageMaker
from cloudcpt.fake.script import JobScript
from cloudcpt.fake.strict_s3 import StrictS3

ACCOUNT_ID = "123456789012"
"""The account that moto gives to every unknown access key."""

SERVICES = ("s3", "sagemaker", "cloudwatch_logs", "sts", "iam", "ecr", "kms", "service_quotas", "pricing")
"""What the fake has a port for, by the name that is also in the endpoint variables."""

AnyService = TypeVar("AnyService", bound=Service)


@dataclass(frozen=True, kw_only=True)
class Handle(Generic[AnyService]):
    """What a test holds of one service.

    Args:
        service: Its settings and its state.
        front: Its endpoint.
    """

    service: AnyService
    front: Front

    @property
    def url(self) -> str:
        """Give the endpoint URL."""
        return self.front.url

    @property
    def faults(self) -> Faults:
        """Decide what goes wrong."""
        return self.front.faults

    @property
    def calls(self) -> CallLog:
        """Look at what arrived."""
        return self.front.calls


class FakeCloud:
    """An AWS account in one region, on this machine.

    Args:
        region: Of every service.
        clock: The time that jobs live in; it stands still until a test turns it unless another one is given.
        play: How jobs are played: a script, or `Trainer()` to run the bundled loop.
        ports: Fixed ports by service name, such as `{"s3": 9000}`; any free one otherwise.

    Raises:
        RuntimeError: on leaving the context, when the fake itself broke.
    """

    def __init__(
        self,
        *,
        region: str = "us-east-1",
        clock: Clock | None = None,
        play: Part | None = None,
        ports: dict[str, int] | None = None,
    ) -> None:
        self.region = region
        self.account_id = ACCOUNT_ID
        self.clock = clock or Clock()
        self.quotas = Quotas()
        self.denied: set[str] = set()
        """IAM actions that the caller may not do, such as `s3:PutObject`."""
        self._server = _start_moto()
        self.moto_url = "http://{}:{}".format(*self._server.get_host_and_port())
        self._moto = moto = Moto(self.moto_url)
        self._ports = ports or {}
        self._fronts: list[Front] = []
        jobs = SageMaker(
            self.clock,
            self.quotas,
            backstage(self.moto_url, region),
            account_id=ACCOUNT_ID,
            play=play or JobScript(),
        )
        s3 = StrictS3(moto, account_id=ACCOUNT_ID, denied=self.denied)
        self.sagemaker = self._open(jobs, before_each=jobs)
        self.s3 = self._open(s3, before_each=jobs, skewed=s3)
        self.logs = self._open(Logs(moto), before_each=jobs)
        self.sts = self._open(QueryPassing("sts", moto, free=frozenset({"GetCallerIdentity"})))
        self.iam = self._open(Iam(moto, self.denied))
        self.ecr = self._open(JsonPassing("ecr", "ecr", moto))
        self.kms = self._open(JsonPassing("kms", "kms", moto))
        self.service_quotas = self._open(ServiceQuotas(self.quotas, region=region, account_id=ACCOUNT_ID))
        self.pricing = self._open(Pricing())

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that point every AWS SDK and CLI at the fake and away from the user's own account."""
        endpoints = {f"AWS_ENDPOINT_URL_{front.service.name.upper()}": front.url for front in self._fronts}
        return {
            "AWS_ENDPOINT_URL": self.moto_url,
            **endpoints,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """Make a boto3 client that goes through the front of a service, named as boto3 names it."""
        named = {"logs": "cloudwatch_logs", "service-quotas": "service_quotas"}.get(service, service)
        urls = {front.service.name: front.url for front in self._fronts}
        return client(service, urls.get(named, self.moto_url), self.region)

    def store(self, service: str = "s3") -> Any:
        """Make a boto3 client that goes to moto directly, for a test's own preparations."""
        return client(service, self.moto_url, self.region)

    def reset(self) -> None:
        """Forget everything: jobs, objects, calls, faults, grants, the time that passed.

        Raises:
            RuntimeError: the fake itself broke since the last time.
        """
        crashes = [crash for front in self._fronts for crash in front.crashes]
        for front in self._fronts:
            front.reset()
        self.denied.clear()
        self.clock.reset()
        self._moto.pass_on(Request(method="POST", path="/moto-api/reset"))
        if crashes:
            raise RuntimeError("the fake broke:\n" + "\n".join(crashes))

    def close(self) -> None:
        """End jobs and servers.

        Raises:
            RuntimeError: the fake itself broke while it was used.
        """
        try:
            self.reset()
        finally:
            for front in self._fronts:
                front.close()
            self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(
        self, service: AnyService, *, before_each: SageMaker | None = None, skewed: StrictS3 | None = None
    ) -> Handle[AnyService]:
        front = Front(
            service,
            denied=self.denied,
            account_id=ACCOUNT_ID,
            port=self._ports.get(service.name, 0),
            skew_s=lambda: skewed.rules.skew_s if skewed else 0.0,
            before=before_each.settle if before_each else lambda: None,
        )
        self._fronts.append(front)
        return Handle(service=service, front=front)


def _start_moto() -> Any:
    from moto.s3 import models as moto_s3
    from moto.server import ThreadedMotoServer

    moto_s3.S3_UPLOAD_PART_MIN_SIZE = 0  # type: ignore[attr-defined]  # ours is `S3Rules.min_part_bytes`, which a test can change
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would print a line per request
    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    return server
