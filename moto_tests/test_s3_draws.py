"""`data split` and `data sample` of data in S3: what they make of the same files here, and nothing written there."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.aws.s3_ahead import AHEAD
from cloudcpt.cli.main import main
from cloudcpt.fake.cloud import FakeCloud

BUCKET = "corpora"


@pytest.fixture
def corpus(fake_cloud: FakeCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """More small files than are asked for at a time, and one of several ranges."""
    monkeypatch.chdir(tmp_path)
    store = fake_cloud.store()
    store.create_bucket(Bucket=BUCKET)
    fake_cloud.s3.service.rules = replace(fake_cloud.s3.service.rules, require_owner=False)
    (tmp_path / "data").mkdir()
    for number in range(AHEAD + 5):
        many = 3000 if number == 2 else 3
        lines = [
            json.dumps({"text": f"{number} {index} " + "word " * (1000 if many > 3 else 5)}) for index in range(many)
        ]
        content = "".join(f"{line}\n" for line in lines).encode()
        (tmp_path / "data" / f"{number:02}.jsonl").write_bytes(content)
        store.put_object(Bucket=BUCKET, Key=f"data/{number:02}.jsonl", Body=content)
    fake_cloud.s3.calls.clear()
    return tmp_path


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.jsonl")}


def test_a_sample_of_s3_is_that_of_the_same_files_here(corpus: Path, fake_cloud: FakeCloud) -> None:
    command = ["data", "sample", "--documents", "100", "--workers", "1"]
    assert main([*command, "data", "--to", "here.jsonl"]) == 0
    assert main([*command, f"s3://{BUCKET}/data/", "--to", "away.jsonl"]) == 0
    assert (corpus / "away.jsonl").read_bytes() == (corpus / "here.jsonl").read_bytes()
    reads = [call.path for call in fake_cloud.s3.calls.all("GetObject")]
    assert len(reads) == len(set(reads)) + 1, "each object once, the large one in two ranges"
    assert set(fake_cloud.s3.calls.operations()) == {"ListObjectsV2", "GetObject"}


def test_a_split_of_s3_is_that_of_the_same_files_here(corpus: Path, fake_cloud: FakeCloud, capfd: Any) -> None:
    command = ["data", "split", "--validation", "10%", "--exact-only", "--workers", "1"]
    assert main([*command, "data", "--to", "here"]) == 0
    assert main([*command, f"s3://{BUCKET}/data/", "--to", "away"]) == 0
    assert files_in(corpus / "away") == files_in(corpus / "here")
