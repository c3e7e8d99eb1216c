"""The catalog: Nova as AWS publishes it, open models with sizes that can be worked out from their shapes."""

from datetime import date

import pytest

from cloudcpt.recipe.catalog import ModelRow, find_model, model_rows, open_replicas, size_class_of

ROWS = {row.model_type: row for row in model_rows()}
OPEN = [row for row in ROWS.values() if row.parameters]


def counted(row: ModelRow) -> int:
    """Count parameters from the shapes, by the architecture's own layout."""
    h, i, v, queries, keys = (
        row.hidden_size,
        row.intermediate_size,
        row.vocab_size,
        row.heads * row.head_size,
        row.kv_heads * row.head_size,
    )
    attention = h * queries + 2 * h * keys + queries * h
    embeddings = v * h * (1 if row.tied_embeddings else 2)
    if row.architecture in ("llama", "mistral"):
        return embeddings + h + row.layers * (attention + 3 * h * i + 2 * h)
    if row.architecture == "qwen2":  # biases on queries, keys and values
        return embeddings + h + row.layers * (attention + queries + 2 * keys + 3 * h * i + 2 * h)
    if row.architecture == "qwen3":  # norms on queries and keys
        return embeddings + h + row.layers * (attention + 2 * row.head_size + 3 * h * i + 2 * h)
    if row.architecture == "gemma2":  # two norms around each block
        return embeddings + h + row.layers * (attention + 3 * h * i + 4 * h)
    if row.architecture == "gemma3_text":  # and norms on queries and keys
        return embeddings + h + row.layers * (attention + 2 * row.head_size + 3 * h * i + 4 * h)
    plain = attention + 4 * h + 2 * h * i + i + h + 4 * h  # biases everywhere, two layer norms with bias
    if row.architecture == "gpt_neox":
        return embeddings + 2 * h + row.layers * plain
    if row.architecture == "bloom":  # and a layer norm on the embedding
        return embeddings + 4 * h + row.layers * plain
    assert row.architecture == "gpt2"
    return embeddings + row.context * h + 2 * h + row.layers * plain


@pytest.mark.parametrize("row", OPEN, ids=lambda row: row.model_type)
def test_the_parameters_follow_from_the_shapes(row: ModelRow) -> None:
    assert counted(row) == row.parameters


@pytest.mark.parametrize("row", OPEN, ids=lambda row: row.model_type)
def test_an_open_model_runs_on_the_machines_of_its_size_class_or_on_one(row: ModelRow) -> None:
    assert row.size_class == size_class_of(row.parameters)
    assert row.replicas == open_replicas(size_class_of(row.parameters))
    assert row.replicas[0] == 1
    assert row.hugging_face


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_row_says_where_it_is_from_and_when_it_was_checked(row: ModelRow) -> None:
    assert row.source
    assert row.licence
    assert row.languages
    assert date.fromisoformat(row.date) <= date(2100, 1, 1)
    assert row.context > 0


def test_models_without_a_base_checkpoint_say_that_they_were_tuned() -> None:
    assert {name for name, row in ROWS.items() if row.tuned} == {"qwen3-32b", "bloomz-560m"}


def test_nova_is_as_the_user_guide_lists_it() -> None:
    nova = {name: (row.generation, row.replicas) for name, row in ROWS.items() if row.family == "nova"}
    assert nova == {
        "amazon.nova-micro-v1:0:128k": (1, (2, 4, 8)),
        "amazon.nova-lite-v1:0:300k": (1, (4, 8, 16, 32)),
        "amazon.nova-pro-v1:0:300k": (1, (6, 12, 24)),
        "amazon.nova-2-lite-v1:0:256k": (2, (4, 8, 16, 32)),
    }
    assert ROWS["amazon.nova-micro-v1:0:128k"].published_replicas == (16, 32)


def test_hf_stands_for_every_other_model() -> None:
    row = find_model("hf")
    assert row is not None
    assert (row.family, row.size_class, row.parameters) == ("open", "", 0)
    assert row.replicas == (1, 2, 4, 6, 8, 12, 16, 24, 32)


@pytest.mark.parametrize(
    ("parameters", "size_class"),
    [(10**10, "micro"), (10**10 + 1, "lite"), (4 * 10**10, "lite"), (4 * 10**10 + 1, "pro")],
)
def test_size_classes_end_at_10_and_40_billion_parameters(parameters: int, size_class: str) -> None:
    assert size_class_of(parameters) == size_class


def test_an_unknown_model_has_no_row() -> None:
    assert find_model("gpt-5") is None
