"""`cloudcpt data convert` as people type it: what they see, and what a script gets."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.corpus.kills import killed_at

CSV = 'id,review\n1,"It was good,\nreally good"\n2,\n3,Quite bad I think\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.csv").write_text(CSV)
    (tmp_path / "raw" / "b.txt").write_text("Plain text\n")
    return tmp_path


def test_a_folder_becomes_a_dataset(here, cloudcpt) -> None:
    done = cloudcpt("data", "convert", "raw", "--to", "out")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "out: 3 documents in 2 files, 91 B",
        "  left out   1 document: 1 blank",
        "  text from  `review` of a.csv",
    ]
    assert (here / "out" / "b.txt.jsonl").read_text() == '{"text": "Plain text"}\n'
    assert cloudcpt("validate", "out/a.csv.jsonl").code == 0
    report = json.loads((here / "out" / "report.json").read_text())
    assert (report["command"], report["written"]["documents"]) == ("data convert", 3)


def test_json_says_the_same(here, cloudcpt) -> None:
    (here / "raw" / "c.pdf").touch()
    done = cloudcpt("data", "convert", "raw", "--to", "all.jsonl", "--output", "json")
    answer = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert answer["written"] == {
        "target": "all.jsonl",
        "files": 1,
        "documents": 3,
        "size_bytes": (here / "all.jsonl").stat().st_size,
        "dropped": {"blank": 1},
    }
    assert [source["format"] for source in answer["sources"]] == ["CSV", "text"]
    assert [found["code"] for found in answer["diagnostics"]] == ["CPT375"]


def test_what_is_left_out_of_a_folder_is_said(here, cloudcpt) -> None:
    for name in ("c.pdf", "d.docx", "e", "f.tar.gz", "g.parquet.gz"):
        (here / "raw" / name).touch()
    (here / "raw" / "link.txt").symlink_to("b.txt")
    (here / "raw" / ".hidden").touch()
    done = cloudcpt("data", "convert", "raw", "--to", "out", "--output", "json")
    assert done.code == 0
    messages = [found["message"] for found in json.loads(done.out)["diagnostics"]]
    assert messages == [
        "`raw/c.pdf` is a `.pdf` and is left out",
        "`raw/d.docx` is a `.docx` and is left out",
        "`raw/e` has a name that says nothing of what it holds and is left out",
        "`raw/f.tar.gz` is a `.tar.gz` and is left out",
        "`raw/g.parquet.gz` is packed once more, as gzip and is left out",
    ]
    assert json.loads(done.out)["diagnostics"][0]["count"] == 6


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("raw", 2, "Missing option '--to'"),
        ("--to out", 2, "Missing argument 'PATH...'"),
        ("raw/a.csv --to out --column nothing", 1, "has no column `nothing`"),
        ("raw/a.csv --to out --column id", 0, ""),
        ("raw/a.csv --to out --column id --template {id}", 2, "both say what the text is"),
        ("raw/a.csv --to out --template {id", 2, "cannot be read"),
        ("raw/a.csv --to out --template {id!r}", 2, "more than names between braces"),
        ("raw/a.csv --to out --template text", 2, "names no column"),
        ("raw/a.csv --to out --template {}", 2, "more than names between braces"),
        ("raw/a.csv --to out --encoding nothing", 2, "`nothing` is no encoding"),
        ("raw/a.csv --to out --encoding base64", 2, "`base64` is no encoding"),
        ("raw/a.csv --to out --delimiter ab", 2, "`--delimiter` is one character"),
        ("raw/a.csv --to out --max-bytes much", 2, "`much` is no amount of data"),
        ("raw/a.csv --to out.jsonl --max-bytes 5MB", 2, "is to be a single file"),
        ("raw --to raw/out", 2, "CPT371"),
        ("raw --to raw --overwrite", 2, "CPT371"),
        ("nowhere --to out", 1, "`nowhere` does not exist"),
        ("raw/*.md --to out", 1, "no file matches `raw/*.md`"),
        ("raw/* --to out", 0, ""),
        ("s3://bucket/raw --to out", 1, "aws s3 sync s3://bucket/raw data/"),
        ("- --to out", 1, "what comes through a pipe cannot be converted"),
        ("setup.cfg --to out", 1, "has a name that says nothing of what it holds and is not converted"),
        ("empty --to out", 1, "there is nothing to convert in `empty`"),
        ("raw --to no.jsonl/out", 3, "cannot be written"),
    ],
)
def test_wrong_input_is_refused_with_a_reason(here, cloudcpt, arguments: str, code: int, words: str) -> None:
    (here / "setup.cfg").touch()
    (here / "no.jsonl").touch()
    (here / "empty").mkdir()
    done = cloudcpt("data", "convert", *arguments.split())
    assert done.code == code
    assert words in done.err
    assert (here / "out").exists() == (code == 0)
    assert not list(here.glob("*.partial"))


def test_an_output_that_is_there_is_replaced_only_on_demand(here, cloudcpt) -> None:
    assert cloudcpt("data", "convert", "raw", "--to", "out").code == 0
    again = cloudcpt("data", "convert", "raw", "--to", "out")
    assert again.code == 2
    assert "this same command wrote it, from the same inputs" in again.err
    (here / "raw" / "b.txt").write_text("Another text\n")
    assert cloudcpt("data", "convert", "raw", "--to", "out").code == 2
    assert cloudcpt("data", "convert", "raw", "--to", "out", "--overwrite").code == 0
    assert (here / "out" / "b.txt.jsonl").read_text() == '{"text": "Another text"}\n'


def test_a_command_that_was_killed_says_that_it_goes_on(here, cloudcpt) -> None:
    for number in range(130):
        (here / "raw" / f"{number}.txt").write_text(f"document {number}")
    event = 0
    partial = here / "out.partial" / "journal"
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 1):
        event += 100
        assert killed_at(event, lambda: cloudcpt("data", "convert", "raw", "--to", "out")), "it was not killed in time"
    done = cloudcpt("data", "convert", "raw", "--to", "out")
    assert done.err == "going on: 64 of 132 files were finished before\n"
    assert done.out.startswith("out: 133 documents in 132 files")


def test_other_options_begin_anew_and_say_so(here, cloudcpt) -> None:
    for number in range(70):
        (here / "raw" / f"{number}.txt").write_text(f"document {number}")
    event, partial = 0, here / "out.partial" / "journal"
    while not (partial.exists() and partial.read_bytes().count(b"\n") > 1):
        event += 100
        assert killed_at(event, lambda: cloudcpt("data", "convert", "raw", "--to", "out")), "it was not killed in time"
    done = cloudcpt("data", "convert", "raw", "--to", "out", "--nfc")
    assert done.err == "beginning anew: options or inputs are not those of the unfinished output\n"


def test_a_library_that_is_missing_is_named_with_its_extra(here: Path) -> None:
    """In an interpreter of its own, which cannot find pyarrow."""
    (here / "raw" / "p.parquet").touch()
    program = (
        "import sys, importlib.util as u; found = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name == 'pyarrow' else found(name, *rest);"
        "from cloudcpt.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", program, "data", "convert", "raw", "--to", "out"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"}, check=False)
    assert done.returncode == 3
    assert "pip install 'cloudcpt[data]'" in done.stderr


def test_help_shows_what_can_be_chosen(cloudcpt: Callable[..., object]) -> None:
    shown = cloudcpt("data", "convert", "--help").out  # type: ignore[attr-defined]
    for word in ("--column", "--template", "--documents", "--encoding", "--skip-bad", "--max-bytes", "--overwrite"):
        assert word in shown
