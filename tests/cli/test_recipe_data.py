"""The datasets of a recipe: sizes, versions, and held-out text that is trained on, each told at its place."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from tests.plan.conftest import NOVA_RECIPE, OPEN_RECIPE, merged

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err
Validate = Callable[..., list[dict[str, Any]]]


def texts(first: int, last: int) -> bytes:
    return b"".join(json.dumps({"text": f"document number {number}"}).encode() + b"\n" for number in range(first, last))


@pytest.fixture
def validate(cloudcpt: Cloudcpt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Validate:
    """Write a recipe and its files; give the findings with the codes that were asked for."""
    monkeypatch.chdir(tmp_path)

    def run(
        codes: str, files: Mapping[str, bytes], recipe: Mapping[str, Any] = OPEN_RECIPE, **changes: Any
    ) -> list[dict[str, Any]]:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        (tmp_path / "recipe.yaml").write_text(json.dumps(merged(dict(recipe), changes), indent=2))
        (found,) = json.loads(cloudcpt("validate", "recipe.yaml", "--output", "json").out)["inputs"]
        return [one for one in found["diagnostics"] if one["code"] in codes.split()]

    return run


HELD_OUT = {"validation_data_s3_path": "held-out.jsonl"}


# --- overlap --------------------------------------------------------------------------------------------------------


def test_held_out_documents_that_are_trained_on_are_counted_and_shown(validate: Validate) -> None:
    files = {"train.jsonl": texts(0, 100), "held-out.jsonl": texts(90, 120)}
    (found,) = validate("CPT385", files, run=HELD_OUT)
    assert found["severity"] == "warning"
    assert found["message"].startswith(
        "10 of the 30 different documents of `held-out.jsonl` can be found in `train.jsonl`"
    )
    first, trained = (one["place"] for one in found["related"])
    assert (first["path"], first["line"], trained["path"], trained["line"]) == ("held-out.jsonl", 1, "train.jsonl", 91)
    assert found["place"]["path"] == "recipe.yaml"


def test_data_that_shares_nothing_is_not_mentioned(validate: Validate) -> None:
    assert not validate("CPT385", {"train.jsonl": texts(0, 100), "held-out.jsonl": texts(100, 120)}, run=HELD_OUT)


def test_a_text_is_the_same_however_it_is_written(validate: Validate) -> None:
    files = {"train.jsonl": b'{"text":"caf\\u00e9"}\n', "held-out.jsonl": ' { "text" : "café" }\r\n'.encode()}
    (found,) = validate("CPT385", files, run=HELD_OUT)
    assert found["message"].startswith("every document of `held-out.jsonl`")


def test_the_training_file_as_validation_file_is_told_once(validate: Validate) -> None:
    same = {"validation_data_s3_path": "train.jsonl"}
    (found,) = validate("CPT157 CPT385", {"train.jsonl": texts(0, 9)}, run=same)
    assert found["code"] == "CPT157"


def test_a_file_that_is_the_same_under_another_name_is_named(validate: Validate) -> None:
    files = {"data/a.jsonl": texts(0, 9), "data/b.jsonl": texts(9, 20), "held-out.jsonl": texts(9, 20)}
    (found,) = validate("CPT385", files, run={**HELD_OUT, "data_s3_path": "data"})
    message = "every document of `held-out.jsonl` can be found in `data` (`b.jsonl` is the same file): "
    assert found["message"].startswith(message)


def test_every_held_out_set_is_held_against_every_source(validate: Validate) -> None:
    files = {
        "train.jsonl": texts(0, 50),
        "web.jsonl": texts(50, 100),
        "held-out.jsonl": texts(40, 60),
        "general.jsonl": texts(95, 99),
    }
    mixing = {"sources": [{"name": "web", "path": "web.jsonl"}]}
    found = validate("CPT385", files, run=HELD_OUT, data_mixing=mixing, eval={"general_data_path": "general.jsonl"})
    assert [one["message"].partition(":")[0] for one in found] == [
        "10 of the 20 different documents of `held-out.jsonl` can be found in `train.jsonl`",
        "10 of the 20 different documents of `held-out.jsonl` can be found in `web.jsonl`",
        "every document of `general.jsonl` can be found in `web.jsonl`",
    ]


def test_held_out_data_that_cannot_be_read_is_one_finding(validate: Validate) -> None:
    found = validate("CPT300 CPT385", {"train.jsonl": texts(0, 5)}, run=HELD_OUT)
    assert [one["code"] for one in found] == ["CPT300"]


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_data_above_the_limits_is_warned_of_and_the_recipe_raises_them(validate: Validate) -> None:
    files = {"data/a.jsonl": texts(0, 50), "data/b.jsonl": texts(50, 150), "data/c.jsonl": texts(150, 155)}
    run = {"data_s3_path": "data"}
    assert not validate("CPT381 CPT382", files, run=run)
    large, total = validate("CPT381 CPT382", files, run=run, data={"max_file_gb": 1e-6, "max_total_gb": 4e-6})
    assert (large["code"], total["code"]) == ("CPT381", "CPT382")
    assert "`b.jsonl` has 3.1e-06 GB and is the largest of 2 files that are above 1e-06 GB" in large["message"]
    assert "`data.max_file_gb`" in large["hint"]
    assert "`data.max_total_gb`" in total["hint"]
    assert {large["severity"], total["severity"]} == {"warning"}
    assert not validate("CPT381 CPT382", files, run=run, data={"max_file_gb": 1, "max_total_gb": 1})


def test_data_that_is_named_twice_counts_once(validate: Validate) -> None:
    size_gb = len(texts(0, 50)) / 1e9
    twice = {"validation_data_s3_path": "train.jsonl"}
    assert not validate("CPT382", {"train.jsonl": texts(0, 50)}, run=twice, data={"max_total_gb": size_gb * 1.5})


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_pinned_content_is_held_against_what_is_there(validate: Validate) -> None:
    digits = blake3(texts(0, 5)).hexdigest()
    files = {"train.jsonl": texts(0, 5), "held-out.jsonl": texts(5, 9)}
    pins = {"version": f"blake3:{digits[:12]}"}
    assert not validate("CPT318 CPT319", files, run=HELD_OUT, data=pins)
    (found,) = validate("CPT318 CPT319", {"train.jsonl": texts(0, 6)}, run=HELD_OUT, data=pins)
    assert (found["code"], found["severity"]) == ("CPT319", "error")
    assert blake3(texts(0, 6)).hexdigest()[:16] in found["hint"]


def test_each_dataset_has_a_version_of_its_own(validate: Validate) -> None:
    names = ("train", "held-out", "general", "web")
    found = validate(
        "CPT319",
        {f"{name}.jsonl": texts(index * 10, index * 10 + 5) for index, name in enumerate(names)},
        run=HELD_OUT,
        data={"version": "blake3:00000000", "validation_version": "blake3:00000001"},
        data_mixing={"sources": [{"name": "web", "path": "web.jsonl", "version": "blake3:00000002"}]},
        eval={"general_data_path": "general.jsonl", "general_data_version": "blake3:00000003"},
    )
    assert [one["message"].split("blake3:")[1][:8] for one in found] == ["00000000", "00000002", "00000001", "00000003"]
    assert len({one["place"]["line"] for one in found}) == 4


def test_a_version_that_data_here_cannot_have_is_refused(validate: Validate) -> None:
    (found,) = validate("CPT318", {"train.jsonl": texts(0, 5)}, data={"version": "v2"})
    assert found["severity"] == "error"


# --- a pipe ---------------------------------------------------------------------------------------------------------


def test_a_recipe_does_not_read_a_pipe(validate: Validate) -> None:
    (found,) = validate("CPT316", {}, run={"data_s3_path": "-"})
    assert found["place"]["path"] == "recipe.yaml"


# --- Arrow ----------------------------------------------------------------------------------------------------------


def test_dates_alone_and_very_long_lines_are_told_for_nova_only(validate: Validate) -> None:
    dates = b'{"text":"2026-11-20"}\n{"text":"2026-11-21"}\n'
    long = texts(0, 3) + b'{"text":"' + b"a" * (1 << 20) + b'"}\n'
    for content, severity, line in ((dates, "warning", 1), (long, "note", 4)):
        (found,) = validate("CPT384", {"train.jsonl": content}, NOVA_RECIPE)
        assert (found["severity"], found["place"]["line"]) == (severity, line)
        assert not validate("CPT384", {"train.jsonl": content})
    assert not validate("CPT384", {"train.jsonl": texts(0, 3) + dates}, NOVA_RECIPE)
