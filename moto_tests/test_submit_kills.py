"""A whole submit killed with SIGKILL anywhere, or beside rivals: one job, on the right bytes, little sent twice."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from cloudcpt.aws.records import Records
from cloudcpt.fake.cloud import FakeCloud
from cloudcpt.fake.faults import FAILED_ANSWER, INTERNAL_ERROR, LOST_ANSWER, LOST_REQUEST
from cloudcpt.fake.s3_rules import OWNER_HEADER
from cloudcpt.fake.script import JobScript
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.jobs.consignment import inputs_to_send
from cloudcpt.jobs.parts import PART_BYTES
from cloudcpt.jobs.upload import PARTS_IN_FLIGHT
from cloudcpt.plan.keys import object_key
from cloudcpt.plan.plan import DataFile, Plan
from moto_tests.cloud_jobs import BUCKET, small_cloud_plan
from moto_tests.mortals import Mortals
from tests.jobs.cloud_plans import source

pytestmark = pytest.mark.slow

SIGKILL = 9
LARGE = PART_BYTES + 9
"""Two parts: the smallest file that does not go in one piece."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A plan on a disk, with the files that it wants.

    Args:
        plan: To submit.
        paths: BLAKE3 -> file.
        folder: Where it all is.
    """

    plan: Plan
    paths: dict[str, Path]
    folder: Path

    @classmethod
    def make(cls, folder: Path, *sizes: int, seed: int = 0) -> "Submission":
        """Write data files of noise, two small files of a model, and a plan for all of them."""
        folder.mkdir()
        bare = small_cloud_plan(folder, seed=seed)
        paths: dict[str, Path] = {}

        def write(name: str, size_bytes: int) -> DataFile:
            content = random.Random(f"{seed}:{name}").randbytes(size_bytes)
            digest = blake3(content).hexdigest()
            paths[digest] = folder / name
            paths[digest].write_bytes(content)
            uri = object_key("s3://my-bucket/cpt/cloudcpt", blake3=digest, name=name)
            return DataFile(name=name, uri=uri, size_bytes=size_bytes, blake3=digest)

        data = tuple(write(f"{number}.jsonl", size) for number, size in enumerate(sizes))
        weights = (write("config.json", 100), write("model.safetensors", 1000))
        model = replace(bare.model, files=weights)
        plan = small_cloud_plan(folder, seed=seed, sources=(source("train", *data),), model=model)
        (folder / "plan.json").write_text(plan.to_json(), "utf-8")
        return cls(plan=plan, paths=paths, folder=folder)

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in inputs_to_send(self.plan, self.paths))

    def order(self, state: str = "state") -> dict[str, Any]:
        """Word what a client has to do; clients of one state directory are one user's."""
        paths = {digest: str(path) for digest, path in self.paths.items()}
        return {"plan": str(self.folder / "plan.json"), "paths": paths, "state": str(self.folder / state)}


@cache
def behind(cloud: FakeCloud) -> Any:
    """Give a client past the judge; making one takes long."""
    return cloud.store()


def prepare(cloud: FakeCloud) -> None:
    """Empty the account, but for a bucket."""
    cloud.reset()
    cloud.clock.run(1.0)
    cloud.sagemaker.service.play = JobScript(training_s=1e6)
    behind(cloud).create_bucket(Bucket=BUCKET)


@pytest.fixture
def cloud(fake_cloud: FakeCloud) -> FakeCloud:
    prepare(fake_cloud)
    return fake_cloud


@pytest.fixture
def clients(cloud: FakeCloud) -> Iterator[Mortals]:  # after `cloud`, whose environment it passes on
    started = Mortals("moto_tests.submit_client")
    yield started
    started.end()


def require_one_job(cloud: FakeCloud, submission: Submission, state: str = "state") -> None:
    """Insist on one job of the plan, on everything that it reads, and on a record of it."""
    plan = submission.plan
    (job,) = cloud.sagemaker.service.jobs
    assert job == plan.job_name
    created = [call.status for call in cloud.sagemaker.calls.all("CreateTrainingJob")]
    assert created.count(200) <= 1, "a second job of the name would have been refused, and was not asked for"
    expected = {file.key: file.path.read_bytes() for file in inputs_to_send(plan, submission.paths)}
    expected |= {uri.removeprefix(f"s3://{BUCKET}/"): text for uri, text in channel_documents(plan).items()}
    s3 = behind(cloud)
    listed = [row["Key"] for row in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert sorted(listed) == sorted(expected)
    for key, content in expected.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content, key
    record = Records(submission.folder / state).read(plan.job_name)
    assert record is not None
    assert record.is_confirmed
    assert record.plan_hash == plan.hash


def sent_bytes(cloud: FakeCloud) -> int:
    """Count the bytes of files that arrived, the papers not counted."""
    calls = [call for operation in ("UploadPart", "PutObject") for call in cloud.s3.calls.all(operation)]
    return sum(call.size_bytes for call in calls if "/objects/" in call.path)


def require_owner(cloud: FakeCloud) -> None:
    assert {call.headers.get(OWNER_HEADER) for call in cloud.s3.calls.all()} == {cloud.account_id}


def test_sigkill_at_every_request_answer_and_write_makes_one_job(cloud, clients, tmp_path):
    for event in count():
        prepare(cloud)
        submission = Submission.make(tmp_path / str(event), LARGE, 500)
        (ended,) = clients.run(submission.order(), die_at=[event])
        if ended["signal"] == 0:
            assert ended["codes"] == []
            assert event >= ended["events"] > 50
            break
        assert ended["signal"] == SIGKILL
        if cloud.sagemaker.service.jobs:
            recorded = Records(submission.folder / "state").names()
            assert recorded == (submission.plan.job_name,), "a job that may cost money is always in the list"
        (again,) = clients.run(submission.order())
        assert (again["signal"], again["codes"]) == (0, []), f"event {event}"
        assert sent_bytes(cloud) <= submission.size_bytes + PARTS_IN_FLIGHT * PART_BYTES
        require_one_job(cloud, submission)
        require_owner(cloud)


def submit_with_rivals(cloud: FakeCloud, clients: Mortals, folder: Path, number: int) -> tuple[int, int]:
    """Let 2 to 8 clients submit one plan at once on a bad line, some of them dying; give the clients and the kills.

    Whoever was killed or gave up tries again alone. Everybody ends at the same job.
    """
    prepare(cloud)
    chance = random.Random(number)
    rivals = chance.randint(2, 8)
    submission = Submission.make(folder / str(number), chance.randint(1, 5000), chance.randint(0, 5000), seed=number)
    for front in (cloud.s3, cloud.sagemaker):
        faults = [INTERNAL_ERROR, LOST_REQUEST, LOST_ANSWER, FAILED_ANSWER]
        front.faults.seed(f"{number}", rate=chance.choice((0.0, 0.05, 0.2)), faults=faults)
    die_at = [chance.randrange(70) if chance.random() < 0.5 else None for _ in range(rivals)]
    ended = clients.run(submission.order(), die_at=die_at)
    for front in (cloud.s3, cloud.sagemaker):
        front.faults.clear()
    for client in ended:
        known = client["codes"] is None or all(code.startswith("CPT") for code in client["codes"])
        assert known, f"round {number}: {client}"
        if client["signal"] or client["codes"]:
            (again,) = clients.run(submission.order())
            assert again["codes"] == [], f"round {number}"
    require_one_job(cloud, submission)
    require_owner(cloud)
    return rivals, sum(client["signal"] == SIGKILL for client in ended)


def test_rivals_of_whom_some_are_killed_end_at_one_job(cloud, clients, tmp_path):
    outcomes = [submit_with_rivals(cloud, clients, tmp_path, number) for number in range(25)]
    assert sum(rivals for rivals, _ in outcomes) > 100
    assert sum(kills for _, kills in outcomes) > 25


@pytest.mark.torture
@pytest.mark.timeout(3600)
def test_500_rounds_of_rivals_end_at_one_job_each(cloud, clients, tmp_path):
    for number in range(25, 525):
        submit_with_rivals(cloud, clients, tmp_path, number)
