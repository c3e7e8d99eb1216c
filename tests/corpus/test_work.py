"""Work is the same while its inputs and options are; what is shown, and how many processes do it, is no part of it."""

import os
from dataclasses import replace
from pathlib import Path

from cloudcpt.corpus.work import work_of
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.places import InputFile


def local(tmp_path: Path, path: str) -> tuple[InputFile, ...]:
    return LocalFiles(tmp_path).select(path).files


def test_another_size_time_or_option_is_other_work(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("one")
    first = work_of("data dedup", local(tmp_path, "a.jsonl"), seed=1)
    assert work_of("data dedup", local(tmp_path, "a.jsonl"), seed=1) == first
    assert work_of("data dedup", local(tmp_path, "a.jsonl"), seed=2) != first
    assert work_of("data split", local(tmp_path, "a.jsonl"), seed=1) != first
    os.utime(file, ns=(1, 1))
    assert work_of("data dedup", local(tmp_path, "a.jsonl"), seed=1) != first


def test_how_a_file_is_shown_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("one")
    (file,) = local(tmp_path, "a.jsonl")
    assert work_of("data dedup", [file]) == work_of("data dedup", [replace(file, shown="../a.jsonl")])


def test_an_object_is_known_by_its_etag_and_never_looked_for_here() -> None:
    file = InputFile(name="a.jsonl", path="s3://bucket/a.jsonl", shown="s3://bucket/a.jsonl", etag="1")
    (known,) = work_of("data dedup", [file])["input_files"]
    assert known["etag"] == "1"
    assert "mtime_ns" not in known


def test_a_file_that_is_gone_is_for_whoever_opens_it_to_say(tmp_path: Path) -> None:
    file = InputFile(name="a.jsonl", path=str(tmp_path / "a.jsonl"), shown="a.jsonl")
    assert work_of("data dedup", [file])["input_files"][0]["mtime_ns"] is None
