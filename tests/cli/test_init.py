"""`init` writes a recipe that is valid as it is, and never takes away what was there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.cli.init import _quoted, _run_name
from cloudcpt.recipe.catalog import model_rows
from cloudcpt.recipe.load import load_recipe

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("model", [row.model_type for row in model_rows()])
def test_the_recipe_of_every_model_is_valid_without_a_warning(cloudcpt: Cloudcpt, model: str) -> None:
    shown = cloudcpt("init", "--model", model)
    assert (shown.code, shown.out) == (0, "")
    assert "wrote recipe.yaml\nnext: cloudcpt validate recipe.yaml" in shown.err
    loaded = load_recipe(Path("recipe.yaml"))
    assert [str(found) for found in loaded.diagnostics] == []
    assert loaded.recipe.run.model_type == model


def test_the_commented_sections_are_valid_too(cloudcpt: Cloudcpt, folder: Path) -> None:
    cloudcpt("init")
    text = (folder / "recipe.yaml").read_text()
    head, mixing = text.split("# data_mixing:", 1)
    uncommented = "\n".join(line.removeprefix("# ") for line in f"data_mixing:{mixing}".splitlines())
    (folder / "recipe.yaml").write_text(head + uncommented + "\n")
    recipe = load_recipe(folder / "recipe.yaml").recipe
    assert recipe.data_mixing is not None
    assert recipe.eval.general_data_path


def test_a_recipe_that_is_there_is_not_overwritten(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "recipe.yaml").write_text("mine")
    shown = cloudcpt("init")
    assert shown.code == 2
    assert "`recipe.yaml` is there already; `--force` overwrites it" in shown.err
    assert (folder / "recipe.yaml").read_text() == "mine"
    assert cloudcpt("init", "--force").code == 0
    assert (folder / "recipe.yaml").read_text() != "mine"


def test_an_unknown_model_suggests_the_one_that_was_meant(cloudcpt: Cloudcpt, folder: Path) -> None:
    shown = cloudcpt("init", "--model", "llama3.2-1b")
    assert shown.code == 2
    assert "did you mean `llama-3.2-1b`?" in shown.err
    assert not list(folder.iterdir())


def test_the_file_names_the_run_and_the_data_is_quoted_when_it_must_be(cloudcpt: Cloudcpt) -> None:
    assert cloudcpt("init", "--output", "sub/legal_v2.yaml", "--data", "my data/*.jsonl").code == 0
    run = load_recipe(Path("sub/legal_v2.yaml")).recipe.run
    assert (run.name, run.data_s3_path) == ("legal-v2", "my data/*.jsonl")


def test_a_folder_that_cannot_be_written_is_an_environment_error(cloudcpt: Cloudcpt, folder: Path) -> None:
    (folder / "file").write_text("")
    shown = cloudcpt("init", "--output", "file/recipe.yaml")
    assert shown.code == 3
    assert "error[CPT440] `file/recipe.yaml` cannot be written" in shown.err


@pytest.mark.parametrize(
    ("file", "name"),
    [("recipe.yaml", "my-cpt"), ("a b.yaml", "a-b"), ("ü.yaml", "my-cpt"), ("x" * 70 + ".yaml", "x" * 63)],
)
def test_run_names_are_valid(file: str, name: str) -> None:
    assert _run_name(Path(file)) == name


@pytest.mark.parametrize(
    ("path", "text"), [("data/a.jsonl", "data/a.jsonl"), ("*.jsonl", '"*.jsonl"'), ("a # b", '"a # b"')]
)
def test_paths_are_quoted_where_yaml_would_misread_them(path: str, text: str) -> None:
    assert _quoted(path) == text
