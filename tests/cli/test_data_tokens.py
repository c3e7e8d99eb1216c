"""`cloudcpt data tokens`: counted with a tokenizer, estimated with an error, or guessed."""

import json
import random
from pathlib import Path

import pytest

from cloudcpt.dataset.files import HERE
from cloudcpt.dataset.tokens import load_tokenizer
from cloudcpt.plan.census import count
from cloudcpt.plan.geometry import cut_documents, pack

tokenizers = pytest.importorskip("tokenizers", reason="needs the [train] extra")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tokenizer of words, in which the commands run."""
    folder = tmp_path / "base"
    folder.mkdir()
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "</s>": 1, "a": 2, "b": 3}, "<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")


def test_every_token_is_counted_with_what_packing_makes_of_them(here: Path, cloudcpt) -> None:
    """Of 2, 3 and 6 tokens, in rows of 4: best-fit cuts the last, concat the second and the last."""
    write(here / "x.jsonl", ["a", "a b", "a b a b a"])
    found = cloudcpt("data", "tokens", "x.jsonl", "--tokenizer", "base", "--max-length", 4)
    assert found.code == 0
    assert found.out.splitlines() == [
        "x.jsonl: 11 tokens in 3 documents",
        "  how             counted",
        "  per document    2 to 6, median 3, mean 4, 95 % up to 6",
        "  per character   0.846",
        "  rows, best_fit  3 of 4 tokens, 8.3% padding, 1 document (33.3%) cut",
        "  rows, concat    3 of 4 tokens, 8.3% padding, 2 documents (66.7%) cut",
    ]
    assert "`cloudcpt plan RECIPE`" in found.err


def test_several_paths_are_counted_each_and_in_all(here: Path, cloudcpt) -> None:
    write(here / "x.jsonl", ["a"])
    write(here / "y.jsonl", ["a b", "b"])
    text = cloudcpt("data", "tokens", "x.jsonl", "y.jsonl", "--tokenizer", "base")
    assert text.out.splitlines()[-1] == "in all: 7 tokens in 3 documents"
    found = json.loads(cloudcpt("data", "tokens", "x.jsonl", "y.jsonl", "--tokenizer", "base", "--output", "json").out)
    assert (found["schema_version"], found["tokens"], found["exact"]) == (1, 7, True)
    assert [(one["path"], one["tokens"]) for one in found["inputs"]] == [("x.jsonl", 2), ("y.jsonl", 5)]
    assert found["inputs"][1]["tokens_per_document"] == {"min": 2, "mean": 2.5, "median": 2, "p95": 3, "max": 3}


def test_an_estimate_says_how_far_off_it_may_be_and_holds_the_truth(here: Path, cloudcpt) -> None:
    rng = random.Random(5)
    write(here / "x.jsonl", [" ".join(rng.choices(["a", "bb", "ccc"], k=rng.randint(5, 900))) for _ in range(1500)])
    options = ("data", "tokens", "x.jsonl", "--tokenizer", "base", "--output", "json")
    truth = json.loads(cloudcpt(*options).out)["inputs"][0]
    found = json.loads(cloudcpt(*options, "--estimate").out)["inputs"][0]
    assert (found["exact"], found["sampled_documents"], found["documents"]) == (False, 500, 1500)
    assert 0 < found["error"] < 0.02
    assert found["tokens"] == pytest.approx(truth["tokens"], rel=found["error"])
    for packing in ("best_fit", "concat"):
        assert found["rows"][packing]["rows"] == pytest.approx(truth["rows"][packing]["rows"], rel=0.05)
    shown = cloudcpt("data", "tokens", "x.jsonl", "--tokenizer", "base", "--estimate").out
    assert "about " in shown.splitlines()[0]
    assert "estimated from excerpts of 500 documents, within" in shown


def test_without_a_tokenizer_it_is_a_rule_of_thumb_and_says_so(here: Path, cloudcpt) -> None:
    write(here / "x.jsonl", ["abcd" * 1000] * 2)
    found = cloudcpt("data", "tokens", "x.jsonl")
    assert found.out.splitlines()[:2] == [
        "x.jsonl: about 2,000 tokens in 2 documents (1,400 to 2,600)",
        "  how             guessed from characters, within 30% or so; `--tokenizer FOLDER` counts",
    ]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("x.jsonl", "--exact"), 2, "name a model's folder with `--tokenizer`"),
        (("x.jsonl", "--tokenizer", "nowhere"), 1, "CPT360"),
        (("y.jsonl", "--tokenizer", "base"), 1, "CPT300"),
        (("bad.jsonl", "--tokenizer", "base"), 1, "bad.jsonl:2:10"),
        (("bad.jsonl",), 1, "bad.jsonl:2:10"),
        ((), 2, "PATH..."),
    ],
)
def test_what_cannot_be_counted_is_refused_with_its_place(here: Path, cloudcpt, options, code, said) -> None:
    write(here / "x.jsonl", ["a"])
    write(here / "bad.jsonl", ["a", " "])
    found = cloudcpt("data", "tokens", *options)
    assert (found.code, found.out) == (code, "")
    assert said in found.err


def test_the_count_is_that_of_the_encoded_documents_and_is_told_on_the_way(here: Path) -> None:
    rng = random.Random(3)
    texts = [" ".join(rng.choices("abc", k=rng.randint(1, 40))) for _ in range(500)]
    write(here / "x.jsonl", texts)
    tokenizer, seen = load_tokenizer(here / "base"), []
    files = HERE.select(str(here / "x.jsonl")).files
    found = count(HERE, files, tokenizer, seq_len=32, progress=seen.append)
    lengths = [len(ids) for ids in tokenizer.encode(texts)]
    assert (found.documents, found.tokens, found.characters) == (500, sum(lengths), sum(map(len, texts)))
    rows = pack(lengths, 32, "best_fit")
    assert (found.rows["best_fit"].rows, found.rows["best_fit"].cut_documents) == (len(rows), len(cut_documents(rows)))
    assert found.padding_share("best_fit") == pytest.approx(1 - sum(lengths) / (32 * len(rows)))
    assert (seen[-1].documents, seen[-1].bytes_done) == (500, files[0].size_bytes)
