"""Whatever the file holds, loading gives a recipe or a RecipeError, in bounded time, and nothing odd to print."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.errors import RecipeError
from cloudcpt.recipe.load import load_recipe
from cloudcpt.recipe.outline import known_keys
from tests.recipe.samples import nova_2, open_model, written

RELAXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["1e-5", "s3://my-bucket/x", "[S3_PATH]", "amazon.nova-micro-v1:0:128k", "lora", "\u202e", "\x1b[2J"]
    ),
)
KEYS = st.one_of(st.sampled_from(known_keys()), st.text(max_size=6))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=30,
)
WORDS = ["run", ": ", "\n  ", "- ", "<<", "---\n", "...", "\\", "1e5", "é", "\\U0001f600"]
YAML_PIECES = st.lists(st.sampled_from([*"{}[]:,-?&*!|>'\"%@`#\n\t ~<=", *WORDS]), max_size=40).map("".join)


def check(path: Path) -> None:
    start = time.process_time()
    try:
        load_recipe(path)
    except RecipeError as exc:
        for found in exc.diagnostics:
            shown = f"{found.message}{found.hint or ''}{[related.label for related in found.related]}"
            assert shown.isprintable(), ascii(shown)
            assert found.place is not None
            assert (found.place.line or 1) >= 1
            assert found.place.length >= 1
    assert time.process_time() - start < 5


@RELAXED
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(data)
    check(path)


@RELAXED
@given(text=st.text(max_size=200))
def test_arbitrary_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    check(path)


@RELAXED
@given(text=YAML_PIECES)
def test_arbitrary_yaml_punctuation(tmp_path: Path, text: str) -> None:
    check(written(tmp_path, text))


@RELAXED
@given(tree=st.dictionaries(KEYS, TREES, max_size=6))
def test_arbitrary_trees_of_known_and_unknown_keys(tmp_path: Path, tree: dict[str, object]) -> None:
    check(written(tmp_path, tree))


@RELAXED
@given(
    sample=st.sampled_from([nova_2(), open_model()]),
    at=st.integers(0, 2000),
    length=st.integers(0, 30),
    new=YAML_PIECES,
)
def test_a_good_recipe_with_a_piece_replaced(
    tmp_path: Path, sample: dict[str, object], at: int, length: int, new: str
) -> None:
    text = written(tmp_path, sample).read_text("utf-8")
    check(written(tmp_path, text[:at] + new + text[at + length :]))


@pytest.mark.parametrize("key", ["__class__", "model_config", "model_fields", "run.name", "0", "", " ", "a" * 5000])
def test_odd_keys_are_only_unknown(tmp_path: Path, key: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(written(tmp_path, {**open_model(), key: 1}))
    check(written(tmp_path, {**open_model(), key: 1}))
