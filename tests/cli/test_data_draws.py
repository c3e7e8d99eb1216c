"""`data split` and `data sample` on the command line: what they say, and what they say no to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.corpora import lines_in, prose, texts_in, write_corpus

pytest.importorskip("rensa")
Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


@pytest.fixture(autouse=True)
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_corpus(tmp_path / "data", {"a.jsonl": prose(30, 1), "b.jsonl": prose(20, 2)})


# --- split ----------------------------------------------------------------------------------------------------------


def test_a_split_tells_both_sides(cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    shown = cloudcpt("data", "split", "data", "--to", "parts", "--validation", "5")
    assert (shown.code, shown.err) == (0, "")
    assert "parts/train: 45 documents (90.00%) in 2 files" in shown.out
    assert "parts/validation: 5 documents (10.00%) in" in shown.out
    assert len(texts_in(tmp_path / "parts" / "validation")) == 5


def test_a_split_as_json_names_what_it_wrote(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("data", "split", "data", "--to", "parts", "--validation", "20%", "--output", "json")
    answer = json.loads(shown.out)
    assert answer["train"]["documents"] + answer["validation"]["documents"] == 50
    assert (answer["train"]["target"], answer["ok"], answer["schema_version"]) == ("parts/train", True, 1)


def test_a_split_replaces_nothing_unasked(cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    command = ("data", "split", "data", "--to", "parts", "--validation", "5")
    assert cloudcpt(*command).code == 0
    before = texts_in(tmp_path / "parts" / "validation")
    again = cloudcpt(*command, "--seed", "2")
    assert (again.code, "CPT370" in again.err) == (2, True)
    assert texts_in(tmp_path / "parts" / "validation") == before
    assert cloudcpt(*command, "--seed", "2", "--overwrite").code == 0
    assert texts_in(tmp_path / "parts" / "validation") != before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["data"], 2, "--to"),
        (["data", "--to", "parts.jsonl"], 2, "a split is two: name a folder"),
        (["data", "--to", "parts", "--validation", "0"], 2, "`0` sets nothing aside"),
        (["data", "--to", "parts", "--validation", "100%"], 2, "`100%` is not between 0 and 100 %"),
        (["data", "--to", "parts", "--validation", "many"], 2, "`many` is no share"),
        (["data", "--to", "parts", "--validation", "50"], 1, "CPT386"),
        (["data", "--to", "data/parts"], 2, "CPT371"),
        (["data", "--to", "s3://bucket/parts"], 2, "is not on this machine"),
        (["gone", "--to", "parts"], 1, "CPT300"),
        (["-", "--to", "parts"], 1, "CPT316"),
    ],
)
def test_a_split_that_makes_no_sense_is_refused(
    cloudcpt: Cloudcpt, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    shown = cloudcpt("data", "split", *arguments)
    assert (shown.code, shown.out) == (code, "")
    assert words in shown.err
    assert not list(tmp_path.glob("parts*")), "nor is anything unfinished left"


# --- sample ---------------------------------------------------------------------------------------------------------


def test_without_a_place_a_sample_is_printed(cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    shown = cloudcpt("data", "sample", "data", "--documents", "3")
    assert shown.code == 0
    texts = [json.loads(line)["text"] for line in shown.out.splitlines()]
    assert len(set(texts) & set(texts_in(tmp_path / "data"))) == 3
    assert shown.err.startswith("3 of 50 documents, ")
    assert cloudcpt("data", "sample", "data", "--documents", "3", "--to", "-").out == shown.out


def test_a_sample_is_a_file_or_a_folder(cloudcpt: Cloudcpt, tmp_path: Path) -> None:
    shown = cloudcpt("data", "sample", "data", "--bytes", "4kB", "--to", "few.jsonl")
    size = (tmp_path / "few.jsonl").stat().st_size
    assert (shown.code, 3000 < size <= 4000) == (0, True)
    assert "few.jsonl: " in shown.out
    answer = cloudcpt("data", "sample", "data", "--bytes", "4kB", "--to", "few", "--output", "json")
    assert json.loads(answer.out)["written"]["size_bytes"] == size
    assert lines_in(tmp_path / "few" / "sample.jsonl") == lines_in(tmp_path / "few.jsonl")
    assert json.loads((tmp_path / "few" / "report.json").read_text())["drawn"]["of_documents"] == 50


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["data"], 2, "say how much"),
        (["data", "--documents", "3", "--share", "1%"], 2, "say how much"),
        (["data", "--documents", "0"], 2, "0 is not in the range"),
        (["data", "--bytes", "much"], 2, "`much` is no amount of data"),
        (["data", "--documents", "3", "--output", "json"], 2, "name a place for them with `--to`"),
        (["data", "--bytes", "10"], 1, "CPT386"),
        (["data", "--bytes", "10", "--to", "few.jsonl"], 1, "CPT386"),
        (["gone", "--documents", "3"], 1, "CPT300"),
        (["data", "--documents", "3", "--to", "data/x.jsonl"], 2, "CPT371"),
    ],
)
def test_a_sample_that_makes_no_sense_is_refused(
    cloudcpt: Cloudcpt, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    shown = cloudcpt("data", "sample", *arguments)
    assert (shown.code, shown.out) == (code, "")
    assert words in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
