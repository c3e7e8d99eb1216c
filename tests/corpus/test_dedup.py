"""A corpus without what is there already: the first stays, nothing else changes, and the rest is accounted for."""

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.corpus import repeats as repeats_module
from cloudcpt.corpus.dedup import DedupOptions, dedup_work, sign, write_unique
from cloudcpt.corpus.leaving_out import require_files
from cloudcpt.corpus.normal_form import words_of
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.recording import RECORDS
from cloudcpt.corpus.repeats import find_repeats
from cloudcpt.corpus.signing import RECORD_BYTES, Method
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.places import InputFile, InputStream
from cloudcpt.dataset.progress import DataProgress
from cloudcpt.dataset.standard_input import StandardInput
from cloudcpt.errors import DatasetError, UsageProblem
from tests.corpus.corpora import lines_in, prose, resembling, write_corpus

pytest.importorskip("rensa")
REPEATABLE = settings(
    derandomize=True, deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
METHODS = list(Method)


def run(
    folder: Path,
    to: Path,
    method: Method = Method.EXACT,
    *,
    place: LocalFiles | None = None,
    workers: int = 1,
    progress: Callable[[DataProgress], None] | None = None,
) -> Written:
    place, options = place or LocalFiles(folder), DedupOptions(method=method)
    files = place.select(".").files
    output = Output(to, dedup_work(files, options), overwrite=True)
    counts = sign(place, files, options, output, workers=workers, progress=progress)
    repeats = find_repeats(output.path_of(RECORDS), method, threshold=options.threshold)
    return write_unique(place, files, repeats, counts, options, output, progress=progress)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "dropped.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def lines_of(folder: Path) -> dict[str, list[bytes]]:
    return {path.relative_to(folder).as_posix(): lines_in(path) for path in sorted(folder.rglob("*.jsonl"))}


def form_of(text: str, method: Method) -> Any:
    """Say by which form texts are equal, slowly and by itself."""
    return text if method is Method.EXACT else (words_of(text) or [f"no words: {text}"])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    texts = prose(40, 1)
    files = {
        "a.jsonl": [*texts[:20], texts[3], texts[4].upper()],
        "b/c.jsonl": [resembling(texts[5]), *texts[20:30], texts[0], texts[21]],
        "d.jsonl": [texts[7], texts[8]],
    }
    return write_corpus(tmp_path / "data", files)


EXACT = [("a.jsonl", 21, "a.jsonl", 4), ("b/c.jsonl", 12, "a.jsonl", 1), ("b/c.jsonl", 13, "b/c.jsonl", 3)]
EXACT += [("d.jsonl", 1, "a.jsonl", 8), ("d.jsonl", 2, "a.jsonl", 9)]
PLANTED = {
    Method.EXACT: EXACT,
    Method.NORMALISED: [*EXACT, ("a.jsonl", 22, "a.jsonl", 5)],
    Method.NEAR: [*EXACT, ("a.jsonl", 22, "a.jsonl", 5), ("b/c.jsonl", 1, "a.jsonl", 6)],
}


@pytest.mark.parametrize("method", METHODS)
def test_every_planted_repeat_goes_and_nothing_else(method: Method, corpus: Path, tmp_path: Path) -> None:
    written = run(corpus, tmp_path / "out", method)
    found = [
        (
            Path(row["file"]).relative_to(corpus).as_posix(),
            int(row["line"]),
            Path(row["kept_file"]).relative_to(corpus).as_posix(),
            int(row["kept_line"]),
        )
        for row in rows(tmp_path / "out")
    ]
    assert found == sorted(PLANTED[method])
    before, after = lines_of(corpus), lines_of(tmp_path / "out")
    gone = {(file, line) for file, line, _, _ in PLANTED[method]}
    expected = {
        name: [line for number, line in enumerate(lines, 1) if (name, number) not in gone]
        for name, lines in before.items()
    }
    assert after == {name: lines for name, lines in expected.items() if lines}
    assert (written.documents, written.dropped) == (37 - len(gone), {method: len(gone)})


def test_the_csv_says_how_similar_they_are(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", Method.NEAR)
    similarity = {(Path(row["file"]).name, row["line"]): float(row["similarity"]) for row in rows(tmp_path / "out")}
    assert similarity["a.jsonl", "22"] == similarity["d.jsonl", "1"] == 1
    assert 0.8 <= similarity["c.jsonl", "1"] < 0.93  # exactly 51 of 61 runs
    assert {row["method"] for row in rows(tmp_path / "out")} == {"near"}


@pytest.mark.parametrize("method", METHODS)
def test_what_was_deduplicated_once_has_nothing_left_to_drop(method: Method, corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "once", method)
    written = run(tmp_path / "once", tmp_path / "twice", method)
    assert written.dropped == {method: 0}
    assert lines_of(tmp_path / "once") == lines_of(tmp_path / "twice")


pieces = st.sampled_from(["a b", "A  b!", "a  c", "...", "!!!", "你好", "你 好", "B", "b", "\u00e9", "e\u0301"])


@given(plan=st.lists(st.lists(pieces, min_size=1, max_size=12), min_size=1, max_size=4), data=st.data())
@pytest.mark.parametrize("method", [Method.EXACT, Method.NORMALISED])
@REPEATABLE
def test_the_first_of_equal_documents_stays_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, method: Method, plan: list[list[str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("dedup")
    kept = []
    for name in ("one", "other"):
        shuffled = plan if name == "one" else data.draw(st.permutations(plan))
        corpus = write_corpus(folder / name, {f"{number}.jsonl": texts for number, texts in enumerate(shuffled)})
        run(corpus, folder / f"{name}-out", method)
        texts = [json.loads(line)["text"] for lines in lines_of(folder / f"{name}-out").values() for line in lines]
        seen: list[Any] = []
        expected = []
        for text in (text for texts in shuffled for text in texts):
            if (form := form_of(text, method)) not in seen:
                seen.append(form)
                expected.append(text)
        assert texts == expected
        kept.append({str(form_of(text, method)) for text in texts})
    assert kept[0] == kept[1]


def test_lines_are_copied_byte_for_byte(tmp_path: Path) -> None:
    odd = [
        b'{"text": "one"}\r\n',
        b'  { "text" : "\\u0074wo \\/ \\ud83d\\ude00" }  \n',
        b'{"text":"on\\u0065"}\n',
        b'{"text": "three"}',
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.jsonl").write_bytes(b"".join(odd))
    run(tmp_path / "data", tmp_path / "out")
    assert (tmp_path / "out" / "x.jsonl").read_bytes() == odd[0] + odd[1] + odd[3]


@pytest.mark.parametrize("method", METHODS)
def test_a_record_has_the_size_that_it_is_said_to_have(method: Method, corpus: Path, tmp_path: Path) -> None:
    place, options = LocalFiles(corpus), DedupOptions(method=method)
    files = place.select(".").files
    output = Output(tmp_path / "out", dedup_work(files, options))
    counts = sign(place, files, options, output)
    assert output.path_of(RECORDS).stat().st_size == RECORD_BYTES[method] * sum(counts)


@pytest.mark.slow
def test_processes_make_no_difference(tmp_path: Path) -> None:
    method, texts = Method.NEAR, prose(3000, 2, words=400)
    corpus = write_corpus(tmp_path / "data", {"a.jsonl": texts, "b.jsonl": [*texts[:50], *prose(1000, 3)]})
    run(corpus, tmp_path / "one", method, workers=1)
    run(corpus, tmp_path / "two", method, workers=2)
    for name in ("a.jsonl", "b.jsonl", "dropped.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert len(rows(tmp_path / "one")) == 50


def test_equal_documents_are_found_in_as_many_parts_as_memory_needs(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats_module, "_DIGESTS_AT_ONCE", 3)
    run(corpus, tmp_path / "parts")
    monkeypatch.undo()
    run(corpus, tmp_path / "whole")
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole") != []


def test_progress_tells_of_both_passes(corpus: Path, tmp_path: Path) -> None:
    seen: list[DataProgress] = []
    run(corpus, tmp_path / "out", progress=seen.append)
    size_bytes = sum(path.stat().st_size for path in corpus.rglob("*.jsonl"))
    assert [one.bytes_done for one in seen if one.bytes_done == size_bytes] == [size_bytes] * 2
    assert seen[-1].documents == 37


def test_a_single_file_may_become_a_single_file(corpus: Path, tmp_path: Path) -> None:
    place, options = LocalFiles(corpus), DedupOptions(method=Method.EXACT)
    files = place.select("a.jsonl").files
    output = Output(tmp_path / "clean.jsonl", dedup_work(files, options))
    counts = sign(place, files, options, output)
    repeats = find_repeats(output.path_of(RECORDS), options.method, threshold=1)
    write_unique(place, files, repeats, counts, options, output)
    assert lines_in(tmp_path / "clean.jsonl") == [*lines_in(corpus / "a.jsonl")[:20], lines_in(corpus / "a.jsonl")[21]]
    assert not (tmp_path / "clean.jsonl.partial").exists()


def test_all_bad_lines_of_all_files_are_named_and_nothing_is_written(corpus: Path, tmp_path: Path) -> None:
    (corpus / "a.jsonl").write_text('{"text": "good"}\n{"text": 1}\n{"no": "text"}\n')
    (corpus / "d.jsonl").write_text("{}\n")
    with pytest.raises(DatasetError) as caught:
        run(corpus, tmp_path / "out")
    places = {(Path(found.place.path).name, found.place.line) for found in caught.value.diagnostics if found.place}
    assert places == {("a.jsonl", 2), ("a.jsonl", 3), ("d.jsonl", 1)}
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


class Changing(LocalFiles):
    """A place where a file grows between its first read and its second."""

    def open(self, file: InputFile) -> InputStream:
        stream = super().open(file)
        if (Path(file.path).parent / "read before").exists():
            return stream
        if file.name == "d.jsonl":
            (Path(file.path).parent / "read before").touch()
            with Path(file.path).open("ab") as more:
                more.write(b'{"text": "more"}\n')
        return stream


def test_a_file_that_changes_meanwhile_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        run(corpus, tmp_path / "out", place=Changing(corpus))
    assert [found.code for found in caught.value.diagnostics] == ["CPT309"]
    assert not (tmp_path / "out").exists()


def files(*paths: str) -> Sequence[InputFile]:
    return [InputFile(name=Path(path).name, path=f"/data/{path}", shown=path) for path in paths]


@pytest.mark.parametrize(
    ("inputs", "target", "message"),
    [
        (files("a/x.jsonl", "b/x.jsonl"), "out", "`a/x.jsonl` and `b/x.jsonl` would both be written as `x.jsonl`"),
        (files("a/x.jsonl", "a/x.jsonl"), "out", "`a/x.jsonl` is among the inputs twice"),
        (files("x.jsonl", "y.jsonl"), "out.jsonl", "2 files do not fit into one, `out.jsonl`"),
    ],
)
def test_files_that_would_become_one_are_refused(inputs: Sequence[InputFile], target: str, message: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        require_files(inputs, Path(target))
    assert [(found.code, found.message) for found in caught.value.diagnostics] == [("CPT750", message)]


def test_a_pipe_is_refused_as_it_cannot_be_read_twice() -> None:
    with pytest.raises(DatasetError) as caught:
        require_files(StandardInput().select("-").files, Path("out"))
    assert caught.value.diagnostics[0].code == "CPT316"


def attempt(data: Path, out: Path, moment: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.corpus.mortal_dedup", str(data), str(out), str(moment)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


@pytest.mark.slow
def test_a_dedup_that_is_killed_goes_on_and_comes_out_the_same(corpus: Path, tmp_path: Path) -> None:
    """Killed while it reads, while it writes, and once more; each attempt goes on after the one before."""
    run(corpus, tmp_path / "whole", Method.NEAR)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").rglob("*") if path.is_file()}
    for moment in (0, 5, 9, 6):
        assert attempt(corpus, tmp_path / "out", moment).returncode == -signal.SIGKILL
        assert not (tmp_path / "out").exists(), "nothing is there before everything is"
    done = attempt(corpus, tmp_path / "out", 1000)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) >= 4, "all was read, and some was written"
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {**after, "report.json": b""} == {**whole, "report.json": b""}
    assert not (tmp_path / "out.partial").exists()
