"""Shares of the training tokens, and how the planned run keeps them."""

from fractions import Fraction

import pytest

from cloudcpt.plan.mixing import choose_mix, mixing_advice
from cloudcpt.plan.shift import STRONG_SHIFT

TWO_SOURCES = [{"name": "web", "path": "web.jsonl"}, {"name": "books", "path": "books.jsonl"}]


def mixing(**changes):
    return {"data_mixing": {"sources": TWO_SOURCES} | changes}


def weights_of(loaded, tokens):
    """Share out without any text to compare."""
    return choose_mix(loaded, tokens, domain=(), general=dict.fromkeys(tokens, ())).weights


def english(start):
    return tuple(f"the river bank holds word{'abcdefghij'[start + number % 3]} no water when" for number in range(200))


def strange(start):
    return tuple(f"der fluss hat wort{'abcdefghij'[start + number % 3]} kein wasser wenn" for number in range(200))


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


@pytest.mark.parametrize(("text", "ratio", "kind"), [(english, 0.05, "weak"), (strange, 0.25, "strong")])
@pytest.mark.parametrize("written", [{}, {"general_ratio": "auto"}])
def test_an_open_ratio_is_decided_by_how_far_the_domain_is(desk, text, ratio, kind, written):
    loaded = desk.recipe(mixing(**written))
    found = choose_mix(
        loaded, {"web": 300, "books": 100}, domain=text(0), general={"web": english(0), "books": english(1)}
    )
    assert float(found.general_ratio) == ratio
    (said,) = mixing_advice(loaded, found)
    assert said.code == "CPT561"
    assert f"{ratio:.0%} of the training tokens" in said.message
    assert f"the shift to the domain is {kind}: {found.shift:.2f} between 0 and 1" in said.message
    assert f"below {STRONG_SHIFT}" in said.message


def test_a_ratio_that_is_written_is_not_measured(desk):
    loaded = desk.recipe(mixing(general_ratio=0.05))
    found = choose_mix(loaded, {"web": 3, "books": 1}, domain=strange(0), general={"web": english(0), "books": ()})
    assert (found.shift, float(found.general_ratio)) == (None, 0.05)
    assert list(mixing_advice(loaded, found)) == []


def test_the_mode_of_the_sources_decides_which_of_them_the_domain_is_compared_with(desk):
    """The domain is like the books; by size the sources are nearly all web text, by weight nearly all books."""
    texts = {"domain": strange(0), "general": {"web": english(0), "books": strange(1)}}
    by_size = choose_mix(desk.recipe(mixing()), {"web": 99, "books": 1}, **texts)
    sources = [source | {"weight": weight} for source, weight in zip(TWO_SOURCES, (1, 99), strict=True)]
    by_weight = choose_mix(desk.recipe(mixing(mode="weights", sources=sources)), {"web": 99, "books": 1}, **texts)
    assert by_size.general_ratio == Fraction(1, 4)
    assert by_weight.general_ratio == Fraction(1, 20)


def test_too_little_text_is_taken_for_a_weak_shift_and_said_so(desk):
    loaded = desk.recipe(mixing())
    found = choose_mix(loaded, {"web": 1, "books": 1}, domain=("a b",), general={"web": english(0), "books": ()})
    (said,) = mixing_advice(loaded, found)
    assert (found.shift, found.general_ratio) == (None, Fraction(1, 20))
    assert "could not be measured" in said.message


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
