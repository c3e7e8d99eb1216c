"""`data check` does what `validate` does to datasets, to any number of them, and finds what is in several."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err

GOOD = '{"text": "hello there"}\n{"text": "good day to you"}\n'
SHARED = '{"text": "something else"}\n{"text": "good day to you"}\n{"text": "hello there"}\n'
BAD = '{"text": "hello"}\n{"txet": "b"}\n{"text": 5}\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text(GOOD)
    (tmp_path / "bad.jsonl").write_text(BAD)
    (tmp_path / "shared.jsonl").write_text(SHARED)
    return tmp_path


def without_time(text: str) -> str:
    before, _, after = text.rpartition(" in ")
    return before + " in TIME" + after[after.index(" s") + 2 :]


@pytest.mark.parametrize("paths", [["good.jsonl"], ["bad.jsonl"], ["bad.jsonl", "gone.jsonl"]])
def test_its_answer_about_datasets_is_that_of_validate(cloudcpt: Cloudcpt, paths: list[str]) -> None:
    checked, validated = cloudcpt("data", "check", *paths), cloudcpt("validate", *paths)
    assert (checked.code, checked.err) == (validated.code, validated.err)
    assert without_time(checked.out) == without_time(validated.out)


def test_documents_in_two_paths_are_found_and_shown_in_both(cloudcpt: Cloudcpt) -> None:
    pytest.importorskip("numpy", reason="needs the [data] extra")
    shown = cloudcpt("data", "check", "good.jsonl", "shared.jsonl")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.count("2 documents in 1 file") == 1
    assert without_time(shown.out).endswith(
        "warning[CPT755] 2 documents are both in `shared.jsonl` and in `good.jsonl`"
        "  shared.jsonl:2 (byte 27)\n"
        '    2 | {"text": "good day to you"}\n'
        "   --> good.jsonl:2 (byte 24) the first of them is here\n"
        '    2 | {"text": "good day to you"}\n'
        "   hint: keep each in one of the two; a validation file that shares text with training measures memory\n"
        "\n"
        "Found 1 warning in TIME; explain: cloudcpt explain CPT755\n"
    )
    assert cloudcpt("data", "check", "good.jsonl", "shared.jsonl", "--strict").code == 1


def test_json_holds_what_is_about_one_path_and_what_is_about_several(cloudcpt: Cloudcpt) -> None:
    pytest.importorskip("numpy", reason="needs the [data] extra")
    shown = cloudcpt("data", "check", "good.jsonl", "shared.jsonl", "bad.jsonl", "--output", "json")
    found = json.loads(shown.out)
    assert (shown.code, found["ok"], found["schema_version"]) == (1, False, 1)
    assert [one["path"] for one in found["inputs"]] == ["good.jsonl", "shared.jsonl", "bad.jsonl"]
    assert [len(one["diagnostics"]) for one in found["inputs"]] == [0, 0, 2]
    assert [one["code"] for one in found["across"]] == ["CPT755"]
    assert (found["found"]["errors"], found["found"]["warnings"]) == (2, 1)


def test_findings_for_other_programs_hold_those_about_several_paths(cloudcpt: Cloudcpt) -> None:
    pytest.importorskip("numpy", reason="needs the [data] extra")
    assert "CPT755" in cloudcpt("data", "check", "good.jsonl", "shared.jsonl", "--output", "github").out
    assert "CPT755" in cloudcpt("data", "check", "good.jsonl", "shared.jsonl", "--output", "sarif").out


def test_only_the_first_findings_are_shown(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "many.jsonl").write_text('{"text": 5}\n' * 30 + '{"text": "a"}\n')
    assert cloudcpt("data", "check", "many.jsonl", "--first", 2).out.count("error[CPT344]") == 2


@pytest.mark.parametrize(
    "arguments", [[], ["--first", "0", "good.jsonl"], ["--workers", "-1", "good.jsonl"], ["--output", "xml", "x.jsonl"]]
)
def test_a_command_line_without_sense_is_a_usage_error(cloudcpt: Cloudcpt, arguments: list[str]) -> None:
    shown = cloudcpt("data", "check", *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err
