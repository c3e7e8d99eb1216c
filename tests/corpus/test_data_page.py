"""docs/data.md says what is so: every command of `cloudcpt data` and every measure of `stats`, with its limit."""

import re
from pathlib import Path

import pytest

from cloudcpt.cli.data import COMMANDS
from cloudcpt.cli.stats_view import QUESTIONS, share_words
from cloudcpt.corpus.stats import measures
from cloudcpt.corpus.stats.credentials import KINDS

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text("utf-8")
TABLE = PAGE.partition("### What is measured")[2].partition("\n###")[0]
ROWS = {name: cells for name, *cells in re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", TABLE, re.MULTILINE)}


def test_every_command_has_a_section_a_row_and_an_example() -> None:
    for name in COMMANDS:
        assert f"\n## {name}\n" in PAGE
        assert f"| [`{name}`](#{name}) |" in PAGE
        assert f"$ cloudcpt data {name} " in PAGE


@pytest.mark.parametrize("name", measures._words())
def test_a_measure_is_listed_with_its_meaning_and_limit(name: str) -> None:
    words = measures._words()[name]
    meaning, limit, source = ROWS[name]
    assert meaning == words["meaning"]
    share = share_words(words["limit"]) if words["limit"] else "any"
    assert limit == f"{share} of the {words['per']}"
    assert source == (words["source"] or "ours")


def test_no_measure_is_listed_that_there_is_not() -> None:
    assert set(ROWS) == set(measures._words())


def test_the_five_questions_and_the_kinds_of_secrets_are_named() -> None:
    assert all(question in PAGE for question in QUESTIONS.values())
    brands = {kind.partition("_")[0] for kind in KINDS} - {"private", "web", "hugging"}
    assert [brand for brand in brands if brand not in PAGE.lower()] == []
