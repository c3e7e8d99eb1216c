"""`data stats` measures a corpus, says what to do, and never shows what looks personal."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy", reason="needs the [data] extra")
pytest.importorskip("py3langid", reason="needs the [data] extra")

Cloudcpt = Callable[..., Any]  # the fixture of conftest.py; gives code, out and err

ENGLISH = "The harbour was quiet when the fishermen came back, and only a few gulls were waiting on the wall."
CHINESE = "渔民们回来的时候港口很安静，只有几只海鸥在墙上等着他们可能扔掉的东西。"
NOTICE = "This site uses cookies. Write to jane@example.org."
PERSONAL = ["jane@example.org", "4111 1111 1111 1111", "212-555-0147", "DE89 3704 0044 0532 0130 00", "8.8.8.8"]
PROSE = (
    "The harbour was quiet when the fishermen came back in the evening.",
    "Only a few gulls were waiting on the wall for what they might throw away.",
    "Nobody spoke, because there was nothing that had to be said about that day.",
    "Later the lamps were lit, one after the other, along the narrow street.",
    "And then the rain began, so softly that at first it could not be heard at all.",
)

SCREEN = """\
corpus.jsonl: 6 documents in 1 file, 949 B

Large: is there enough?
  characters               518; 35 to 149 a document, median 86, 95 % up to 149
  tokens                   not counted; name the folder of a tokenizer with `--tokenizer`
! little text              fewer than 40.00 M characters
! short documents          100.0 % of the documents (limit 10.0 %)
  not found                unreadable lines

Diverse: does it say many things?
  languages                en 66.6 %, zh 23.4 %, und 10.0 % of the characters
  scripts                  Latin 84.3 %, Han 15.7 % of the characters
! repeated documents       16.7 % of the documents (limit 0.10 %)
  not found                repetitive documents

Representative: is it what the model is to read and write?
  sources                  corpus.jsonl 100.0 % of the characters

Clean: is it only text?
! lines in many documents  85.7 % of the characters (limit 5.0 %)
! cookie notices           50.0 % of the documents (limit 1.0 %)
! personal data            email 3
  not found                rights and policies, navigation, advertising, placeholders, links, lists
                           of links, HTML, mojibake, unseen characters, not in normal form

Natural: is it fluent?
  not found                repeated lines, unfinished lines, short lines, lists, teasers, few
                           letters, odd words, symbols

Lines in most documents, of 6 compared
        3  The harbour was quiet when the fishermen came back, and only a few gulls were w…
        3  This site uses cookies. Write to [email].

What to do
! little text: 40 million characters are some 10 million tokens; a model that sees less text again
  and again learns it by heart. Train few epochs, mix general data in (`data_mixing`), and watch the
  validation loss; up to 4 epochs are nearly as good as new text
! short documents: below 50 words, or 100 characters where words stand without spaces: captions,
  titles, pieces of something. Join what belongs together before training, or leave them out with
  `cloudcpt data filter --drop short`; first: corpus.jsonl:1, corpus.jsonl:2, corpus.jsonl:3
! repeated documents: equal, character for character, to an earlier one: counted double, learned by
  heart. `cloudcpt data dedup`, which finds those that are nearly equal too; first: corpus.jsonl:4
! lines in many documents: lines of 20 characters or more that are in 3 documents of the draw, and
  in 0.1 % of them: menus, footers, licences. Take these lines out where the pages are made into
  text
! cookie notices: documents with lines about cookies. `cloudcpt data filter --drop-lines cookies`
  takes these lines out; first: corpus.jsonl:2, corpus.jsonl:5, corpus.jsonl:6
! personal data: has the form of it, with the right check digit where there is one. See whether
  these may be trained on, for a model can repeat what it has read once; `cloudcpt data filter
  --drop email` leaves out documents with such a kind, `--drop secrets` those with keys; first:
  email corpus.jsonl:2
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("corpus.jsonl", ENGLISH, f"{ENGLISH}\n{NOTICE}", CHINESE, ENGLISH, f"{CHINESE}\n{NOTICE}", f"A\n{NOTICE}")
    return tmp_path


def write(name: str, *texts: str) -> None:
    Path(name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def test_a_report_is_one_screen_with_five_questions_and_what_to_do(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("data", "stats", "corpus.jsonl")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == SCREEN


def test_what_looks_personal_is_counted_and_its_place_given_and_never_shown(cloudcpt: Cloudcpt) -> None:
    write("personal.jsonl", *(f"{ENGLISH} {text}" for text in PERSONAL for _ in range(3)))
    for output in ("text", "json"):
        shown = cloudcpt("data", "stats", "personal.jsonl", "--output", output)
        assert shown.code == 0
        assert [text for text in PERSONAL if text in shown.out + shown.err] == []
    found = json.loads(shown.out)["personal"]
    assert {kind: (hits["documents"], hits["amount"]) for kind, hits in found.items()} == dict.fromkeys(
        ["email", "credit_card", "phone", "iban", "ip_address"], (3, 3)
    )
    assert [place["line"] for place in found["iban"]["first"]] == [10, 11, 12]


def test_json_holds_every_measure_with_its_meaning(cloudcpt: Cloudcpt) -> None:
    found = json.loads(cloudcpt("data", "stats", "corpus.jsonl", "--output", "json").out)
    assert (found["schema_version"], found["documents"], found["tokens"]) == (1, 6, None)
    assert found["languages"]["zh"]["documents"] == 2
    measures = {one["name"]: one for one in found["measures"]}
    assert {one["section"] for one in measures.values()} == {"large", "diverse", "clean", "natural"}
    assert (measures["cookies"]["documents"], measures["cookies"]["is_notable"]) == (3, True)
    assert "cookies" in measures["cookies"]["meaning"]
    assert found["frequent_lines"]["top"][-1]["excerpt"] == "This site uses cookies. Write to [email]."


@pytest.mark.train
def test_a_tokenizer_counts_exactly_and_shows_what_each_language_costs(cloudcpt: Cloudcpt, folder: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="needs the [train] extra")
    words = tokenizers.Tokenizer(tokenizers.models.BPE())
    words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=257, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    words.train_from_iterator(["a"], trainer)
    (folder / "model").mkdir()
    words.save(str(folder / "model/tokenizer.json"))
    (folder / "model/tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    write("corpus.jsonl", ENGLISH * 150, CHINESE * 300)  # a vocabulary of bytes: one token a byte, and one at the end

    found = json.loads(cloudcpt("data", "stats", "corpus.jsonl", "--tokenizer", "model", "--output", "json").out)
    size = len((ENGLISH * 150 + CHINESE * 300).encode())
    assert found["tokens"] == size + 2
    costs = {one["language"]: one for one in found["fertility"]}
    assert costs["en"]["tokens_per_character"] == 1.0
    assert costs["zh"]["tokens_per_character"] == 3.0
    assert all(one["is_notable"] for one in costs.values())
    shown = cloudcpt("data", "stats", "corpus.jsonl", "--tokenizer", "model").out
    assert "! tokens per character  en 1.00 (" in shown
    assert "take a base model whose tokenizer knows the language" in " ".join(shown.lower().split())


def test_good_prose_asks_for_nothing_but_more_of_it(cloudcpt: Cloudcpt) -> None:
    write("prose.jsonl", "\n".join(PROSE))
    shown = cloudcpt("data", "stats", "prose.jsonl").out
    _, _, to_do = shown.partition("What to do\n")
    assert [line.partition(":")[0] for line in to_do.splitlines() if line.startswith("!")] == ["! little text"]


def test_a_file_that_looks_like_data_and_is_not_read_is_named(cloudcpt: Cloudcpt) -> None:
    Path("other.json").write_text("{}")
    shown = cloudcpt("data", "stats", ".")
    assert shown.code == 0
    assert "warning[CPT312] `other.json` does not end in `.jsonl` and is left out" in shown.err


@pytest.mark.parametrize("paths", [["gone.jsonl"], ["corpus.jsonl", "gone.jsonl"]])
def test_a_path_that_leads_nowhere_is_a_finding(cloudcpt: Cloudcpt, paths: list[str]) -> None:
    shown = cloudcpt("data", "stats", *paths)
    assert (shown.code, shown.out) == (1, "")
    assert "`gone.jsonl` does not exist" in shown.err


def test_a_file_without_a_document_is_a_finding(cloudcpt: Cloudcpt) -> None:
    Path("bad.jsonl").write_text('{"txt": 1}\n')
    shown = cloudcpt("data", "stats", "bad.jsonl")
    assert (shown.code, shown.out) == (1, "")
    assert "error[CPT757] there is no document in `bad.jsonl`" in shown.err


def test_a_folder_without_a_tokenizer_is_a_finding(cloudcpt: Cloudcpt) -> None:
    shown = cloudcpt("data", "stats", "corpus.jsonl", "--tokenizer", "nowhere")
    assert (shown.code, shown.out) == (1, "")
    assert "the model folder `nowhere` does not exist" in shown.err


@pytest.mark.parametrize("arguments", [[], ["--workers", "-1", "corpus.jsonl"], ["--output", "html", "corpus.jsonl"]])
def test_a_command_line_without_sense_is_a_usage_error(cloudcpt: Cloudcpt, arguments: list[str]) -> None:
    shown = cloudcpt("data", "stats", *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err
