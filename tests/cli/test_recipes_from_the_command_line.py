"""Every recipe that is shipped gives a plan on the command line, before there is any data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.recipe.load import load_recipe

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))


def has_its_model(path: Path) -> bool:
    """A recipe for this machine needs its model here; `make demo`, or a download, brings it."""
    loaded = load_recipe(path)
    is_local = not loaded.recipe.is_nova and loaded.recipe.launch.target == "local"
    return not is_local or (path.parent / loaded.recipe.run.model_name_or_path).exists()


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_plans_with_an_assumed_amount_or_lacks_its_model(cloudcpt: Cloudcpt, path: Path) -> None:
    shown = cloudcpt("plan", path, "--samples", 100_000, "--output", "json")
    answer = json.loads(shown.out)
    if has_its_model(path):
        assert shown.code == 0, shown.err
        assert answer["plan"]["geometry"]["steps"] >= 1
        assert answer["plan"]["recipe_path"] == path.name
    else:
        assert shown.code == 1
        assert [found["code"] for found in answer["diagnostics"]] == ["CPT520"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_plan_reads_within_the_width_of_a_screen(cloudcpt: Cloudcpt, path: Path) -> None:
    if has_its_model(path):
        shown = cloudcpt("plan", path, "--samples", 100_000)
        assert max(map(len, shown.out.splitlines())) <= 110
