"""Everything that a job reads reaches the store once, files before papers, and never over something else."""

from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.errors import SetupError, TransientError, error
from cloudcpt.jobs.channels import channel_documents
from cloudcpt.jobs.consignment import ATTEMPTS, inputs_to_send, send_inputs
from cloudcpt.jobs.journal import UploadJournal
from cloudcpt.jobs.objects import WriteConflict
from cloudcpt.jobs.tally import UploadProgress
from cloudcpt.plan.keys import object_key
from cloudcpt.plan.plan import DataFile, Plan
from tests.fake_objects import FakeObjects
from tests.jobs.cloud_plans import cloud_plan, in_place, source

INPUT = "s3://my-bucket/cpt/cloudcpt"


class Watched(FakeObjects):
    """A bucket that remembers the order in which things came."""

    def __init__(self) -> None:
        super().__init__()
        self.uri = "s3://my-bucket"
        self.order: list[str] = []
        self.trouble: list[Exception] = []

    def put(self, key: str, content: object, *, crc64nvme: str) -> None:
        self.order.append(key)
        if self.trouble:
            raise self.trouble.pop(0)
        super().put(key, content, crc64nvme=crc64nvme)


def file(path: Path, content: bytes) -> DataFile:
    path.write_bytes(content)
    digest = blake3(content).hexdigest()
    uri = object_key(INPUT, blake3=digest, name=path.name)
    return DataFile(name=path.name, uri=uri, size_bytes=len(content), blake3=digest)


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two sets that share a file, a model, and a corpus that stays where it is."""
    train, shared, config = (file(tmp_path / name, name.encode()) for name in ("a.jsonl", "b.jsonl", "config.json"))
    made = cloud_plan(tmp_path)
    return replace(
        made,
        sources=(
            source("train", train, shared),
            source("validation", shared, role="validation"),
            source("replay-web", in_place("s3://elsewhere/web.jsonl", "web.jsonl"), role="replay"),
        ),
        model=replace(made.model, files=(config,)),
    )


@pytest.fixture
def paths(tmp_path: Path, plan: Plan) -> dict[str, Path]:
    files = [*(one for had in plan.sources[:2] for one in had.files), *plan.model.files]
    return {one.blake3: tmp_path / one.name for one in files}


def send(store: FakeObjects, plan: Plan, paths: dict[str, Path], tmp_path: Path) -> UploadProgress:
    return send_inputs(store, plan, paths, journal=UploadJournal(tmp_path / "journal"), resume="cloudcpt submit r.yaml")


def test_each_content_is_sent_once_and_what_lies_in_s3_stays_there(plan: Plan, paths: dict[str, Path]) -> None:
    assert [one.path.name for one in inputs_to_send(plan, paths)] == ["a.jsonl", "b.jsonl", "config.json"]


def test_the_papers_come_after_the_files(plan: Plan, paths: dict[str, Path], tmp_path: Path) -> None:
    store = Watched()
    sent = send(store, plan, paths, tmp_path)
    assert sent.files == 3
    kinds = ["papers" if "/plans/" in key else "file" for key in store.order]
    assert kinds == ["file"] * 3 + ["papers"] * len(channel_documents(plan))
    assert {f"s3://my-bucket/{key}" for key in store.objects} == {
        *channel_documents(plan),
        *(one.uri for had in plan.sources[:2] for one in had.files),
        *(one.uri for one in plan.model.files),
    }


def test_sending_again_sends_nothing(plan: Plan, paths: dict[str, Path], tmp_path: Path) -> None:
    store = Watched()
    send(store, plan, paths, tmp_path)
    store.order.clear()
    assert send(store, plan, paths, tmp_path).sent_bytes == 0
    assert store.order == []


def test_a_paper_with_other_bytes_is_never_written_over(plan: Plan, paths: dict[str, Path], tmp_path: Path) -> None:
    store = Watched()
    key = next(iter(channel_documents(plan))).removeprefix("s3://my-bucket/")
    store.objects[key] = b"{}"
    with pytest.raises(SetupError) as caught:
        send(store, plan, paths, tmp_path)
    assert [one.code for one in caught.value.diagnostics] == ["CPT760", "CPT418"]
    assert "cloudcpt submit r.yaml" in (caught.value.diagnostics[1].hint or "")
    assert store.objects[key] == b"{}"


def test_somebody_who_writes_the_same_paper_meanwhile_is_no_trouble(
    plan: Plan, paths: dict[str, Path], tmp_path: Path
) -> None:
    store = Watched()
    send(store, replace(plan, sources=plan.sources[:1]), paths, tmp_path)
    store.trouble = [WriteConflict(error("CPT415", "conflict"))] * (ATTEMPTS - 1)
    send(store, replace(plan, sources=plan.sources[:1], seed=1), paths, tmp_path)
    store.trouble = [WriteConflict(error("CPT415", "conflict"))] * ATTEMPTS
    with pytest.raises(TransientError):
        send(store, replace(plan, sources=plan.sources[:1], seed=2), paths, tmp_path)
