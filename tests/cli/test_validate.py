"""`validate` finds, shows and counts; its answer is on stdout and in its exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err

GOOD = '{"text": "hello there"}\n{"text": "good day to you"}\n'
BAD = '{"text": "hello"}\n{"txet": "b"}\n{"text": 5}\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_text(GOOD)
    (tmp_path / "bad.jsonl").write_text(BAD)
    return tmp_path


def without_time(text: str) -> str:
    before, _, after = text.rpartition(" in ")
    return before + " in TIME" + after[after.index(" s") + 2 :]


def test_good_data_is_summarised(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("validate", "good.jsonl")
    assert (shown.code, shown.err) == (0, "")
    assert without_time(shown.out) == (
        "good.jsonl: 2 documents in 1 file, 52 B\n"
        "  characters  11 to 15, median 11, mean 13, 95 % up to 15\n"
        "  histogram   8 █ 16, doubling per bar\n"
        "  repeated    no document twice\n"
        "\n"
        "Found no problems in TIME\n"
    )


def test_bad_data_is_shown_with_carets_and_counted(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("validate", "bad.jsonl")
    assert (shown.code, shown.err) == (1, "")
    assert '    2 | {"txet": "b"}\n      | ^' in shown.out
    assert '    3 | {"text": 5}\n      |          ^' in shown.out
    assert "bad.jsonl:3:10 (byte 41)" in shown.out
    assert without_time(shown.out).endswith("\nFound 2 errors in TIME; explain: cloudcpt explain CPT341\n")


def test_several_paths_are_checked_and_counted_together(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("validate", "good.jsonl", "bad.jsonl", "gone.jsonl")
    assert shown.code == 1
    assert "good.jsonl: 2 documents" in shown.out
    assert "`gone.jsonl` does not exist" in shown.out
    assert "Found 3 errors" in shown.out


def test_a_folder_and_a_pattern_are_datasets(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "bad.jsonl").unlink()
    assert "2 documents in 1 file" in cloudcpt("validate", ".").out
    assert "2 documents in 1 file" in cloudcpt("validate", "*.jsonl").out


def test_only_the_first_findings_are_shown_and_all_are_counted(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "many.jsonl").write_text('{"text": 5}\n' * 30 + '{"text": "a"}\n')
    shown = cloudcpt("validate", "many.jsonl", "--first", 2)
    assert shown.out.count("error[CPT344]") == 2
    assert "   ... and 28 more CPT344\n" in shown.out
    assert "Found 30 errors" in shown.out


def test_warnings_fail_only_when_strict(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "twice.jsonl").write_text('{"text": "a"}\n{"text": "a"}\n')
    assert cloudcpt("validate", "twice.jsonl").code == 0
    assert cloudcpt("validate", "twice.jsonl", "--strict").code == 1
    assert "1 document (50.0%)" in cloudcpt("validate", "twice.jsonl").out


@pytest.mark.parametrize("arguments", [[], ["--first", "0", "good.jsonl"], ["--output", "xml", "good.jsonl"]])
def test_wrong_usage_is_told_and_prints_nothing_on_stdout(cloudcpt: Cloudcpt, arguments: list[str]) -> None:
    shown = cloudcpt("validate", *arguments)
    assert (shown.code, shown.out) == (2, "")


def test_without_a_path_it_says_what_to_type(cloudcpt: Cloudcpt, folder: Path) -> None:
    assert "such as `cloudcpt validate bad.jsonl`" in cloudcpt("validate").err
    (folder / "recipes").mkdir()
    (folder / "recipes" / "demo.yaml").write_text("")
    assert "such as `cloudcpt validate recipes/demo.yaml`" in cloudcpt("validate").err
    for path in folder.glob("**/*.*"):
        path.unlink()
    assert "such as `cloudcpt validate recipe.yaml`" in cloudcpt("validate").err


def test_json_has_everything_and_a_version(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("validate", "bad.jsonl", "good.jsonl", "--output", "json")
    answer = json.loads(shown.out)
    assert shown.code == 1
    assert (answer["schema_version"], answer["ok"], answer["found"]["errors"]) == (1, False, 2)
    bad, good = answer["inputs"]
    assert [found["place"]["byte"] for found in bad["diagnostics"]] == [18, 41]
    assert (good["path"], good["kind"], good["diagnostics"]) == ("good.jsonl", "dataset", [])
    assert good["datasets"][0]["documents"] == 2
    assert "Found 2 errors" in shown.err


def test_github_gets_one_annotation_per_finding(cloudcpt: Cloudcpt) -> None:
    first, second = cloudcpt("validate", "bad.jsonl", "--output", "github").out.splitlines()
    assert first.startswith("::error title=CPT341,file=bad.jsonl,line=2,col=1,endColumn=2::the object has no field")
    assert second.startswith("::error title=CPT344,file=bad.jsonl,line=3,col=10,")


def test_sarif_names_rules_and_places(cloudcpt: Cloudcpt) -> None:
    (run,) = json.loads(cloudcpt("validate", "bad.jsonl", "--output", "sarif").out)["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["CPT341", "CPT344"]
    assert run["results"][1]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "bad.jsonl"},
        "region": {"startLine": 3, "startColumn": 10, "endColumn": 11},
    }


def test_a_clean_sarif_log_has_no_results(cloudcpt: Cloudcpt) -> None:
    (run,) = json.loads(cloudcpt("validate", "good.jsonl", "--output", "sarif").out)["runs"]
    assert run["results"] == []


RECIPE = """\
run:
  name: demo
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 8
  data_s3_path: {data}
training_config:
  max_length: 64
  global_batch_size: 32
  trainer:
    max_epochs: 1
  model:
    optim:
      lr: 1e-5
      sched:
        warmup_steps: {warmup}
        min_lr: 1e-6
"""


def write_recipe(folder: Path, *, data: str = "good.jsonl", warmup: str = "1") -> str:
    (folder / "r.yaml").write_text(RECIPE.format(data=data, warmup=warmup))
    return "r.yaml"


def test_a_wrong_recipe_is_shown_with_its_lines(cloudcpt: Cloudcpt, folder: Path) -> None:
    shown = cloudcpt("validate", write_recipe(folder, warmup="21"))
    assert shown.code == 1
    assert "r.yaml:16:23" in shown.out
    assert "   16 |         warmup_steps: 21\n      |                       ^^" in shown.out
    assert "Found 1 error" in shown.out


def test_a_recipe_that_is_not_there_is_a_finding(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("validate", "gone.yaml")
    assert shown.code == 1
    assert "gone.yaml" in shown.out


def test_a_missing_dataset_points_at_the_line_of_the_recipe_that_names_it(cloudcpt: Cloudcpt, folder: Path) -> None:
    shown = cloudcpt("validate", write_recipe(folder, data="god.jsonl"))
    assert shown.code == 1
    assert "`god.jsonl` does not exist" in shown.out
    assert "    6 |   data_s3_path: god.jsonl\n      |                 ^^^^^^^^^" in shown.out
    assert "hint: did you mean `good.jsonl`?" in shown.out


def test_the_datasets_of_a_recipe_are_checked_too(cloudcpt: Cloudcpt, folder: Path) -> None:
    shown = cloudcpt("validate", write_recipe(folder, data="bad.jsonl"))
    assert shown.code == 1
    assert '    3 | {"text": 5}' in shown.out
    assert "Found 2 errors" in shown.out


def test_data_in_s3_is_noted_as_not_checked(cloudcpt: Cloudcpt, folder: Path) -> None:
    shown = cloudcpt("validate", write_recipe(folder, data="s3://bucket/train.jsonl"))
    assert "note[CPT395] `s3://bucket/train.jsonl` is in S3, which is not read from here" in shown.out
    assert "    6 |   data_s3_path: s3://bucket/train.jsonl" in shown.out
    assert shown.code == 0


def test_a_good_recipe_is_planned(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "good.jsonl").write_text("".join(f'{{"text": "document {n} says {n * 7919}"}}\n' for n in range(2000)))
    recipe = write_recipe(folder)
    (one,) = json.loads(cloudcpt("validate", recipe, "--output", "json").out)["inputs"]
    assert one["kind"] == "recipe"
    assert one["plan"]["job_name"].startswith("demo-")
    assert one["datasets"][0]["documents"] == 2000
    shown = cloudcpt("validate", recipe)
    assert shown.code == 0
    assert f"job `{one['plan']['job_name']}`\n" in shown.out


def test_a_recipe_that_cannot_be_planned_is_a_finding(cloudcpt: Cloudcpt, folder: Path) -> None:
    shown = cloudcpt("validate", write_recipe(folder))
    assert shown.code == 1
    assert "error[CPT505]" in shown.out


def test_datasets_are_named_from_where_one_stands(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "recipes").mkdir()
    write_recipe(folder / "recipes", data="../bad.jsonl")
    shown = cloudcpt("validate", "recipes/r.yaml")
    assert "  bad.jsonl:3:10 (byte 41)\n" in shown.out
    assert str(folder) not in shown.out
