"""A split: nothing lost, nothing twice, what resembles each other on one side, and a side that nothing else changes."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.corpus.output import Output
from cloudcpt.corpus.split import SplitOptions, Splitting, split, split_work
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.standard_input import StandardInput
from cloudcpt.errors import DatasetError
from tests.corpus.corpora import lines_in, prose, resembling, texts_in, write_corpus

pytest.importorskip("rensa")
REPEATABLE = settings(
    derandomize=True, deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def run(
    folder: Path, to: Path, validation: float | int = 0.2, *, seed: int = 1, near: bool = True, workers: int = 1
) -> Splitting:
    place, options = LocalFiles(folder), SplitOptions(validation=validation, seed=seed, near=near)
    selection = place.select(".")
    output = Output(to, split_work(selection, options), overwrite=True)
    return split(place, selection, options, output, workers=workers)


def sides(to: Path) -> tuple[set[str], set[str]]:
    return set(texts_in(to / "train")), set(texts_in(to / "validation"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    texts = prose(300, 1)
    near = [resembling(text) for text in texts[:60]]
    return write_corpus(
        tmp_path / "data", {"a.jsonl": texts[:150], "b/c.jsonl": near + texts[:30], "d.jsonl": texts[150:]}
    )


def test_every_document_is_on_one_side_and_in_its_file(corpus: Path, tmp_path: Path) -> None:
    done = run(corpus, tmp_path / "out")
    for name in ("a.jsonl", "b/c.jsonl", "d.jsonl"):
        parts = [tmp_path / "out" / side / name for side in ("train", "validation")]
        lines = [line for part in parts if part.exists() for line in lines_in(part)]
        assert Counter(lines) == Counter(lines_in(corpus / name))
        order = {line: number for number, line in enumerate(lines_in(corpus / name))}
        for part in parts:
            numbers = [order[line] for line in lines_in(part)]
            assert numbers == sorted(numbers)
    train, validation = sides(tmp_path / "out")
    assert not train & validation
    assert done.train.documents + done.validation.documents == 390


def test_what_resembles_each_other_is_on_one_side(corpus: Path, tmp_path: Path) -> None:
    done = run(corpus, tmp_path / "out")
    train, validation = sides(tmp_path / "out")
    pairs = [(text, resembling(text)) for text in prose(300, 1)[:60]]
    assert all({left, right} <= train or {left, right} <= validation for left, right in pairs)
    assert done.groups == 60
    run(corpus, tmp_path / "out", near=False)
    train, validation = sides(tmp_path / "out")
    assert not all({left, right} <= train or {left, right} <= validation for left, right in pairs)


@given(numbers=st.lists(st.integers(0, 40), min_size=2, max_size=60), seed=st.integers(0, 3), near=st.booleans())
@REPEATABLE
def test_equal_texts_stay_together_and_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], seed: int, near: bool
) -> None:
    folder = tmp_path_factory.mktemp("split")
    texts = prose(41, 5, words=20)
    written = [texts[number] for number in numbers]
    write_corpus(folder / "data", {"a.jsonl": written[::2], "b.jsonl": written[1::2]})
    try:
        run(folder / "data", folder / "out", 0.4, seed=seed, near=near)
    except DatasetError as exc:
        assert exc.diagnostics[0].code == "CPT386"  # noqa: PT017 most draws leave both sides something
        return
    train, validation = sides(folder / "out")
    assert not train & validation
    assert Counter(texts_in(folder / "out")) == Counter(written)


def test_a_side_depends_on_no_other_file_and_no_order(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "one")
    texts = texts_in(corpus)
    write_corpus(tmp_path / "more", {"0.jsonl": prose(100, 2), "z.jsonl": sorted(texts), "zz.jsonl": prose(50, 3)})
    run(tmp_path / "more", tmp_path / "two")
    before, after = sides(tmp_path / "one"), sides(tmp_path / "two")
    assert before[0] == after[0] & set(texts)
    assert before[1] == after[1] & set(texts)


def test_seeds_split_differently(corpus: Path, tmp_path: Path) -> None:
    for seed in range(3):
        run(corpus, tmp_path / str(seed), seed=seed)
    chosen = [frozenset(sides(tmp_path / str(seed))[1]) for seed in range(3)]
    assert len(set(chosen)) == 3


@pytest.mark.parametrize("number", [1, 10, 120])
def test_a_number_of_documents_is_never_exceeded(corpus: Path, tmp_path: Path, number: int) -> None:
    exact = run(corpus, tmp_path / "exact", number, near=False)
    near = run(corpus, tmp_path / "near", number)
    for done in (exact, near):
        assert max(0, number - 2) <= done.validation.documents <= number
    unique = write_corpus(tmp_path / "unique", {"a.jsonl": prose(200, 8)})
    assert run(unique, tmp_path / "u", number).validation.documents == number


def test_a_share_of_the_documents_is_about_that_share(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "data", {"a.jsonl": prose(4000, 4, words=6)})
    done = run(data, tmp_path / "out", 0.1, near=False)
    assert abs(done.validation.documents - 400) < 4 * (4000 * 0.09) ** 0.5


def test_a_side_without_documents_is_refused(corpus: Path, tmp_path: Path) -> None:
    for amount in (1e-9, 390, 1000):
        with pytest.raises(DatasetError, match="CPT386"):
            run(corpus, tmp_path / "out", amount)
    same = write_corpus(tmp_path / "same", {"a.jsonl": ["same"] * 10})
    with pytest.raises(DatasetError, match="CPT386"):
        run(same, tmp_path / "out", 3)
    assert not (tmp_path / "out").exists()


def test_a_file_without_validation_documents_is_not_written(tmp_path: Path) -> None:
    data = write_corpus(tmp_path / "data", {f"{name}.jsonl": prose(1, name) for name in range(6)})
    done = run(data, tmp_path / "out", 2)
    assert (done.validation.files, done.train.files) == (2, 4)
    assert len(list((tmp_path / "out").rglob("*.jsonl"))) == 6


def test_every_bad_line_is_told(corpus: Path, tmp_path: Path) -> None:
    (corpus / "d.jsonl").write_bytes(b'{"text":"a"}\n{}\n{"text":"b"}\n[]\n')
    with pytest.raises(DatasetError) as caught:
        run(corpus, tmp_path / "out")
    assert [(found.code, found.place and found.place.line) for found in caught.value.diagnostics] == [
        ("CPT341", 2), ("CPT332", 4),
    ]  # fmt: skip


def test_a_pipe_cannot_be_split() -> None:
    with pytest.raises(DatasetError, match="CPT316"):
        split_work(StandardInput().select("-"), SplitOptions(validation=0.1, seed=1, near=False))


def test_lines_are_written_as_they_are_and_the_last_gets_its_end(tmp_path: Path) -> None:
    odd = [b'  {"text" :\t"\\u0041"}\r\n', b'{"text":"b"}\r\n', b'{"text":"c"}']
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.jsonl").write_bytes(b"".join(odd))
    run(tmp_path / "data", tmp_path / "out", 1, near=False)
    parts = [(tmp_path / "out" / side / "a.jsonl").read_bytes() for side in ("train", "validation")]
    assert sorted(line for part in parts for line in part.splitlines(keepends=True)) == sorted(
        [*odd[:2], odd[2] + b"\n"]
    )


def test_the_report_says_what_was_done(corpus: Path, tmp_path: Path) -> None:
    done = run(corpus, tmp_path / "out", 0.2, seed=3)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["seed"], report["validation"]["documents"]) == (3, done.validation.documents)


def attempt(data: Path, out: Path, moment: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.corpus.mortal_split", str(data), str(out), str(moment)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


@pytest.mark.slow
def test_a_split_that_is_killed_goes_on_and_comes_out_the_same(corpus: Path, tmp_path: Path) -> None:
    """Each attempt lives for some moments longer than the one before, until one reaches the end."""
    assert attempt(corpus, tmp_path / "whole", 1000).returncode == 0
    whole = {path.relative_to(tmp_path / "whole"): path.read_bytes() for path in files_in(tmp_path / "whole")}
    for moments in range(1, 40, 4):
        done = attempt(corpus, tmp_path / "out", moments)
        if done.returncode != -signal.SIGKILL:
            break
        assert not (tmp_path / "out").exists(), "nothing is there before everything is"
    assert (done.returncode, done.stderr, moments > 9) == (0, "", True)
    assert int(done.stdout) >= 3, "it went on where the one before it was killed"
    assert {path.relative_to(tmp_path / "out"): path.read_bytes() for path in files_in(tmp_path / "out")} == whole
    assert not (tmp_path / "out.partial").exists()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
