"""`cloudcpt data dedup` and `data decontaminate` as a person meets them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from tests.corpus.corpora import lines_in, prose, resembling, write_corpus

pytest.importorskip("rensa")
Run = Callable[..., Outcome]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = prose(10, 1)
    return write_corpus(Path("data"), {"a.jsonl": [*texts, texts[2]], "b.jsonl": [resembling(texts[3]), texts[4]]})


def test_a_dry_run_says_what_would_go_and_writes_nothing(cloudcpt: Run, data: Path) -> None:
    done = cloudcpt("data", "dedup", data, "--dry-run", "--by", "near")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:3] == [
        "3 of 13 documents would go (23.1%)",
        "  data/a.jsonl  1 of 11",
        "  data/b.jsonl  2 of 2",
    ]
    assert "data/b.jsonl:2   data/a.jsonl:5  1.000" in done.out
    assert sorted(path.name for path in Path().iterdir()) == ["data"]


def test_the_output_is_told_in_one_line(cloudcpt: Run, data: Path) -> None:
    done = cloudcpt("data", "dedup", data, "--to", "out")
    assert done.code == 0
    assert done.out.splitlines() == [
        f"out: 11 documents in 2 files, {sum(p.stat().st_size for p in Path('out').glob('*.jsonl')) / 1024:.1f} KiB",
        "  left out  2 documents: 2 exact",
    ]
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.jsonl", "b.jsonl", "dropped.csv", "report.json"]
    again = cloudcpt("data", "dedup", data, "--to", "out")
    assert (again.code, "CPT370" in again.err) == (2, True)
    assert cloudcpt("data", "dedup", data, "--to", "out", "--overwrite", "--by", "near").code == 0
    assert not Path("out/b.jsonl").exists(), "a file of which nothing stays is not written"


def test_json_holds_the_report(cloudcpt: Run, data: Path) -> None:
    done = cloudcpt("data", "dedup", data / "a.jsonl", "--to", "clean.jsonl", "--output", "json")
    shown = json.loads(done.out)
    assert (shown["written"]["documents"], shown["report"]["dropped"], shown["report"]["by"]) == (10, 1, "exact")
    assert shown["report"]["examples"][0]["kept_line"] == 3
    assert lines_in(Path("clean.jsonl")) == lines_in(data / "a.jsonl")[:10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "say where to write with `--to`, or see what would go with `--dry-run`"),
        (["data", "--to", "out", "--threshold", "0.7"], "`--threshold` is for `--by near`"),
        (["data", "--to", "out.jsonl"], "CPT750"),
        (["data", "data/a.jsonl", "--to", "out"], "`data/a.jsonl` is among the inputs twice"),
        (["data", "--to", "data/out"], "CPT371"),
        (["data", "--to", "out", "--by", "near", "--threshold", "0.2"], "0.5<=x<=1"),
    ],
)
def test_what_makes_no_sense_is_refused(cloudcpt: Run, data: Path, arguments: list[str], message: str) -> None:
    done = cloudcpt("data", "dedup", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not Path("out").exists()


def test_files_that_are_not_read_are_named(cloudcpt: Run, data: Path) -> None:
    (data / "c.json").write_text("[]")
    done = cloudcpt("data", "dedup", data, "--to", "out")
    assert (done.code, "CPT312" in done.err, "`c.json` does not end in `.jsonl`" in done.err) == (0, True, True)


def test_lines_that_are_no_documents_are_findings(cloudcpt: Run, data: Path) -> None:
    with (data / "b.jsonl").open("a") as file:
        file.write('{"text": ""}\n')
    done = cloudcpt("data", "dedup", data, "--to", "out")
    assert (done.code, "CPT345" in done.err, "data/b.jsonl:3" in done.err) == (1, True, True)


@pytest.fixture
def evaluation(data: Path) -> Path:
    words = json.loads(lines_in(data / "a.jsonl")[6])["text"].split()
    path = Path("eval.jsonl")
    path.write_text(json.dumps({"question": " ".join(words[5:30]), "id": 1}) + '\n{"question": "too short"}\n')
    return path


def test_decontaminating_names_the_words_and_the_line(cloudcpt: Run, data: Path, evaluation: Path) -> None:
    common = ("data", "decontaminate", data, "--against", evaluation, "--column", "question")
    looked = cloudcpt(*common, "--dry-run")
    assert looked.code == 0
    assert looked.out.splitlines()[0] == "1 of 13 documents would go (7.7%)"
    assert "data/a.jsonl:7  eval.jsonl:1" in looked.out
    assert "1 evaluation text with too few words" in looked.err
    done = cloudcpt(*common, "--to", "out", "--output", "json")
    assert json.loads(done.out)["report"]["evaluation"]["files"] == [{"file": "eval.jsonl", "dropped": 1}]
    assert lines_in(Path("out/b.jsonl")) == lines_in(data / "b.jsonl")


def test_an_evaluation_set_of_other_fields_is_a_finding(cloudcpt: Run, data: Path, evaluation: Path) -> None:
    done = cloudcpt("data", "decontaminate", data, "--against", evaluation, "--to", "out")
    assert done.code == 1
    assert "the line has no field `text`; it has `question`, `id`" in done.err
    assert "--column" in done.err
    assert not Path("out").exists()


def test_two_links_to_one_file_are_two_files(cloudcpt: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("eval.jsonl").write_text('{"text": "one two three four five six seven eight nine ten eleven twelve 13 14"}\n')
    Path("a.jsonl").write_text('{"text": "nothing that is in it"}\n')
    Path("b.jsonl").symlink_to("a.jsonl")
    shown = cloudcpt("data", "decontaminate", "a.jsonl", "b.jsonl", "--against", "eval.jsonl", "--to", "out")
    assert shown.code == 0
    assert sorted(path.name for path in Path("out").glob("*.jsonl")) == ["a.jsonl", "b.jsonl"]
