"""Shares of the training tokens, and how the planned run keeps them."""

from fractions import Fraction

import pytest

from cloudcpt.plan.mixing import weights_of

TWO_SOURCES = [{"name": "web", "path": "web.jsonl"}, {"name": "books", "path": "books.jsonl"}]


def mixing(**changes):
    return {"data_mixing": {"sources": TWO_SOURCES} | changes}


def test_auto_shares_five_percent_by_the_size_of_the_sources(desk):
    found = weights_of(desk.recipe(mixing()), {"web": 300, "books": 100})
    assert found == {"web": Fraction(3, 80), "books": Fraction(1, 80)}
    assert sum(found.values()) == Fraction(1, 20)


def test_weights_are_relative_among_the_general_sources(desk):
    sources = [source | {"weight": weight} for source, weight in zip(TWO_SOURCES, (3, 1), strict=True)]
    loaded = desk.recipe(mixing(mode="weights", general_ratio=0.2, sources=sources))
    assert weights_of(loaded, {"web": 1, "books": 1_000_000}) == {"web": Fraction(3, 20), "books": Fraction(1, 20)}


def test_a_share_of_zero_trains_on_the_domain_alone(desk):
    assert set(weights_of(desk.recipe(mixing(general_ratio=0)), {"web": 1, "books": 1}).values()) == {Fraction(0)}


def test_without_mixing_there_are_no_shares(desk):
    assert weights_of(desk.recipe(), {}) == {}


def test_the_plan_adds_replay_rows_on_top_of_an_epoch(desk, reported):
    """9,000 domain rows at 90 %: 1,000 more of the general source, half as long a one for twice the passes."""
    changes = {
        "data_mixing": {"general_ratio": 0.1, "sources": [{"name": "web", "path": "web.jsonl"}]},
        "training_config": {"trainer": {"max_steps": None, "max_epochs": 2}},
    }
    full_row = 4 * 63  # characters of a document that fills a row of 64 tokens, boundary included
    reports = {"train": reported([full_row] * 9000), "replay-web": reported([full_row] * 500)}
    plan, _ = desk.plan(desk.recipe({**changes, "run": {"model_name_or_path": "elsewhere"}}), reports, stand_in=True)
    assert plan.schedule.steps == 2 * 10_000 // 32
    weights = {source.name: source.weight for source in plan.sources}
    assert weights == pytest.approx({"domain": 0.9, "web": 0.1})
