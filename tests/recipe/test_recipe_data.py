"""What a recipe says about its data: limits, and versions of what it names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloudcpt.recipe.model import Recipe
from tests.recipe.samples import changed, codes, full_training, nova_1, nova_2, open_model

RULES = {"max_file_gb": 20, "max_total_gb": 0.5, "version": "", "validation_version": ""}


@pytest.mark.parametrize("make", [nova_1, nova_2, open_model, full_training])
def test_every_model_takes_rules_for_its_data(make: Callable[[], dict[str, Any]]) -> None:
    assert Recipe.model_validate(changed(make(), data=RULES)).data.max_total_gb == 0.5


@pytest.mark.parametrize("key", ["max_file_gb", "max_total_gb"])
@pytest.mark.parametrize("value", [0, -1, "5", True])
def test_a_limit_is_a_number_above_zero(tmp_path: Path, key: str, value: object) -> None:
    assert len(codes(tmp_path, changed(full_training(), data={key: value}))) == 1


@pytest.mark.parametrize(
    ("section", "key", "path"),
    [
        ("data", "version", "run__data_s3_path"),
        ("data", "validation_version", "run__validation_data_s3_path"),
        ("eval", "general_data_version", "eval__general_data_path"),
    ],
)
def test_a_version_is_a_version_of_something(tmp_path: Path, section: str, key: str, path: str) -> None:
    recipe = changed(full_training(), **{section: {key: "blake3:01234567"}})
    for value, is_refused in (("", True), ("data.jsonl", False)):
        assert ("CPT318" in codes(tmp_path, changed(recipe, **{path: value}))) is is_refused
