"""`data filter` leaves out what is named and nothing else, and its names are those of `data stats`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli import data_filter

pytest.importorskip("numpy", reason="needs the [data] extra")
pytest.importorskip("py3langid", reason="needs the [data] extra")

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err

PROSE = "The harbour was quiet when the fishermen came back, and only a few gulls were waiting on the wall. "
TEXTS = [PROSE, "short", f"{PROSE}\nBuy now!", f"{PROSE} a@b.org"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return tmp_path


def test_what_was_left_out_is_told_with_the_reasons(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("data", "filter", "in.jsonl", "--to", "out", "--drop", "email", "--drop-lines", "advertising")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == (
        "out: 3 documents in 1 file, 242 B\n"
        "  left out   1 document: 1 email\n"
        "  shortened  1 document of which lines went\n"
    )  # fmt: skip


def test_json_says_the_same(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("data", "filter", "in.jsonl", "--to", "out.jsonl", "--language", "en", "--output", "json")
    found = json.loads(shown.out)
    assert (found["schema_version"], found["ok"], found["shortened"]) == (1, True, 0)
    assert (found["written"]["documents"], found["written"]["dropped"]) == (3, {"language": 1})
    assert len(Path("out.jsonl").read_text().splitlines()) == 3


def test_what_is_there_is_not_replaced_unasked(cloudcpt: Cloudcpt) -> None:
    arguments = ("data", "filter", "in.jsonl", "--to", "out", "--drop", "email")
    assert cloudcpt(*arguments).code == 0
    assert cloudcpt(*arguments).code == 2
    assert cloudcpt(*arguments, "--overwrite").code == 0


def test_every_name_that_can_be_dropped_is_one_that_is_measured(cloudcpt: Cloudcpt) -> None:
    found = json.loads(cloudcpt("data", "stats", "in.jsonl", "--output", "json").out)
    of_documents = {one["name"] for one in found["measures"]} - {
        "little", "unreadable", "repeated_documents", "frequent_lines",
    }  # fmt: skip
    assert set(data_filter._RULES) == of_documents
    from cloudcpt.corpus.stats.phrases import known_phrases

    assert set(data_filter._PHRASES) == set(known_phrases())
    assert set(data_filter._WEB_RULES) <= {*data_filter._RULES, *data_filter.SECRETS}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "say what is to go"),
        (["--drop", "adverts"], "'adverts' is not one of"),
        (["--drop-lines", "email"], "'email' is not one of"),
        (["--language", "english"], "`--language english` is none of"),
    ],
)
def test_a_command_line_without_sense_is_a_usage_error(cloudcpt: Cloudcpt, arguments: list[str], words: str) -> None:
    shown = cloudcpt("data", "filter", "in.jsonl", "--to", "out", *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert words in shown.err
    assert not Path("out").exists()


def test_a_pipe_is_refused_before_a_byte_of_it_is_lost(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("data", "filter", "-", "--to", "out", "--web")
    assert (shown.code, shown.out) == (1, "")
    assert "error[CPT316] what was cut off has to be read again, and a pipe gives its bytes once" in shown.err
