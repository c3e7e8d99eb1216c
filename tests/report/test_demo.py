"""The demo's own rules: which text goes where, and which numbers it accepts as shown."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

DEMO = Path(__file__).parents[2] / "recipes" / "demo"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"demo_{name}", DEMO / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


corpora = script("corpora")
run = script("run")


@pytest.fixture(scope="module")
def domain() -> dict[str, list[str]]:
    paragraphs = corpora.Paragraphs()
    others = sorted(set(corpora.topics) - set(corpora.HELD_OUT_TOPICS))
    return {
        "held-out": list(corpora.domain_documents(corpora.HELD_OUT_TOPICS, paragraphs)),
        "train": list(corpora.domain_documents(others, paragraphs)),
    }


def long_paragraphs(documents: list[str]) -> set[str]:
    found = (" ".join(text.split()) for document in documents for text in document.split("\n\n"))
    return {text for text in found if len(text) > 100}


def test_no_held_out_paragraph_of_the_reference_is_trained_on(domain):
    assert len(long_paragraphs(domain["held-out"])) > 100
    assert not long_paragraphs(domain["held-out"]) & long_paragraphs(domain["train"])


def test_every_held_out_topic_exists_in_this_python():
    assert set(corpora.HELD_OUT_TOPICS) <= set(corpora.topics)


def test_a_topic_is_cut_at_its_headings_and_loses_nothing():
    text = "Title\n*****\n\nFirst.\n\nPart\n====\n\nSecond."
    assert list(corpora.sections(text)) == ["Title\n*****\n\nFirst.", "Part\n====\n\nSecond."]


def test_a_paragraph_is_handed_out_once_and_short_ones_always():
    paragraphs = corpora.Paragraphs()
    long = "One two three four five six seven eight nine."
    assert paragraphs.new([long, "yield x"]) == [long, "yield x"]
    assert paragraphs.new([long.upper(), "yield x"]) == ["yield x"]


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        ("Return the number of items in the container, or raise an error when it cannot be known at all.", True),
        (">>> Return the number of items in the container, or raise an error when it cannot be known at all.", False),
        ("return the number of items in the container, or raise an error when it cannot be known at all.", False),
        ("| name | size | description of the size and of the name and everything else in the table. |", False),
        ("Return x[0] = {1: 2, 3: 4}; y[1] = {5: 6, 7: 8}; z[2] = {9: 0, 1: 2}; w[3] = {3: 4}; v[4] = {}.", False),
        ("Too short.", False),
    ],
)
def test_prose_is_told_from_code_and_tables(paragraph, expected):
    assert corpora.is_prose(paragraph) is expected


def test_general_text_that_quotes_the_reference_is_dropped():
    quoted = (
        "An assert statement is a convenient way to insert debugging assertions into a program, says this text here."
    )
    own = "Another paragraph of the same docstring says something of its own that is found nowhere else in this world."
    more = (
        "A third paragraph makes the document long enough to be kept, whatever happens to the first one of the three."
    )
    foreign = corpora._shingles("a convenient way to insert debugging assertions into a program")
    (document,) = corpora.general_documents([("m", f"{quoted}\n\n{own}\n\n{more}")], corpora.Paragraphs(), foreign)
    assert document == f"{own}\n\n{more}"


def test_docstrings_are_read_without_running_the_module(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        '"""Of the module."""\nraise SystemExit\nclass A:\n    """Of A."""\n    def b(self):\n        "Of b."\n'
    )
    assert [text for text in corpora.docstrings(module) if text] == ["Of the module.", "Of A.", "Of b."]
    module.write_text("def broken(:\n")
    assert list(corpora.docstrings(module)) == []


def test_a_shortened_corpus_still_has_documents_from_everywhere():
    kept = corpora.shortened([f"{number:04}" for number in range(1000)], 400)
    assert len(kept) == 100
    assert (kept[0], kept[-1] > "0980") == ("0000", True)
    assert corpora.shortened(["a", "b"], None) == ["a", "b"]


def test_corpora_that_were_altered_are_made_again(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"x")
    record = tmp_path / "corpora.json"
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # sha256 of "x"
    record.write_text(json.dumps({"made_from": {"python": "3"}, "files": {"a.jsonl": digest}}))
    assert corpora.is_made(tmp_path, record, {"python": "3"})
    assert not corpora.is_made(tmp_path, record, {"python": "4"})
    (tmp_path / "a.jsonl").write_bytes(b"y")
    assert not corpora.is_made(tmp_path, record, {"python": "3"})


def numbers(before: float, after: float, forgetting: float) -> dict:
    return {"domain": {"perplexity_before": before, "perplexity_after": after}, "forgetting_nats": forgetting}


@pytest.mark.parametrize(
    ("replayed", "plain", "missed"),
    [
        (numbers(390, 102, -0.02), numbers(390, 118, 0.6), []),
        (numbers(390, 300, -0.02), numbers(390, 118, 0.6), ["domain perplexity"]),
        (numbers(390, 102, 0.15), numbers(390, 118, 0.6), ["with replay"]),
        (numbers(390, 102, 0.09), numbers(390, 118, 0.2), ["replay is worth"]),
    ],
)
def test_the_demo_fails_when_its_own_numbers_do_not_show_its_claims(replayed, plain, missed):
    found = run.failures(replayed, plain)
    assert len(found) == len(missed)
    assert all(words in sentence for words, sentence in zip(missed, found, strict=True))
