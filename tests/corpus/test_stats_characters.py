"""Characters by script, against another program's tables of Unicode; words, against Python's own."""

import random
import unicodedata
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.corpus.stats.characters import characters_of

pytest.importorskip("numpy", reason="needs the [data] extra")
regex = pytest.importorskip("regex", reason="comes with transformers; it knows the scripts of Unicode")

LINES = files("cloudcpt.corpus.stats").joinpath("scripts.txt").read_text("utf-8").splitlines()
RUNS = [(int(start, 16), name) for start, _, name in (line.partition(" ") for line in LINES)]
NAMES = sorted({name for _, name in RUNS})


def is_of(code: int, script: str) -> bool:
    return regex.fullmatch(rf"\p{{Script={script}}}", chr(code)) is not None


@pytest.mark.parametrize("script", NAMES)
def test_a_run_begins_where_its_script_begins_and_the_one_before_has_ended(script: str) -> None:
    for number, (start, name) in enumerate(RUNS):
        if name == script:
            assert is_of(start, script), f"U+{start:04X} is not {script}"
            is_before = number > 0 and script != "Unknown" and is_of(start - 1, script)
            assert not is_before, f"U+{start - 1:04X} is {script} already"


def test_any_letter_has_the_script_that_unicode_gives_it() -> None:
    letters = [code for code in range(0x20000) if unicodedata.category(chr(code)).startswith("L")]
    for code in random.Random(7).sample(letters, 3000):
        script = characters_of(chr(code)).script or "Common"
        assert is_of(code, script), f"U+{code:04X} is not {script}"


def test_characters_of_several_scripts_are_counted_apart_and_signs_belong_to_none() -> None:
    seen = characters_of("Ein Haus, 房子 и дом! 123 \U0001f600")
    assert seen.scripts == {"Latin": 7, "Han": 2, "Cyrillic": 4}
    assert seen.script == "Latin"
    assert characters_of("12 + 3").script == ""
    assert characters_of("аb").script == "Cyrillic"  # a tie goes by name


@pytest.mark.parametrize(
    ("text", "has_words"), [("a house", True), ("房子", False), ("บ้าน", False), ("집", True), ("1 2", False)]
)
def test_words_stand_between_spaces_in_some_scripts_only(text: str, has_words: bool) -> None:
    assert characters_of(text).has_words is has_words


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_words_are_those_that_python_splits(text: str) -> None:
    seen = characters_of(text)
    assert seen.words == len(text.split())
    assert seen.blank == sum(map(str.isspace, text))
    assert seen.words_with_letter == sum(bool(characters_of(word).scripts) for word in text.split())
