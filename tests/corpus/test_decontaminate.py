"""Documents that overlap with an evaluation go, by the rule as a person would apply it word by word."""

import csv
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.corpus.decontaminate import (
    DecontaminateOptions,
    decontaminate_work,
    find_overlaps,
    overlaps_in,
    report_of,
    write_clean,
)
from cloudcpt.corpus.evaluation_sets import EvaluationSets, overlap, read_evaluation_sets
from cloudcpt.corpus.normal_form import word_hashes, words_of
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.recording import RECORDS
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.errors import DatasetError
from tests.corpus.corpora import lines_in, prose, write_corpus

pytest.importorskip("numpy")
REPEATABLE = settings(
    derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PASSAGE = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness"


def write_evaluation(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def read(path: Path, columns: Sequence[str] = ("text",), words: int = 13) -> EvaluationSets:
    return read_evaluation_sets(LocalFiles(), LocalFiles().select(str(path)).files, columns, words)


def run(
    folder: Path, evaluation: Path, to: Path, *, words: int = 13, share: float = 0.0, workers: int = 1
) -> dict[str, Any]:
    place, options = LocalFiles(folder), DecontaminateOptions(columns=("text",), run_words=words, share=share)
    files, against = place.select(".").files, LocalFiles().select(str(evaluation)).files
    output = Output(to, decontaminate_work(files, against, options))
    sets = read_evaluation_sets(place, against, options.columns, words)
    counts = find_overlaps(place, files, sets, options, output, workers=workers)
    report = report_of(files, counts, sets, options, output.path_of(RECORDS))
    write_clean(place, files, counts, report, output)
    return report


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "dropped.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_document_with_a_run_of_an_evaluation_text_goes(tmp_path: Path) -> None:
    texts = prose(20, 1)
    quote = " ".join(PASSAGE.upper().split()[2:16])  # fourteen words, shouted, commas included
    files = {"a.jsonl": [*texts[:5], f"{texts[5]} {quote} {texts[6]}", *texts[7:10]], "b/c.jsonl": texts[10:]}
    corpus = write_corpus(tmp_path / "data", files)
    evaluation = write_evaluation(tmp_path / "eval.jsonl", [{"text": "nothing of it " * 5, "id": 1}, {"text": PASSAGE}])
    report = run(corpus, evaluation, tmp_path / "out")
    assert lines_in(tmp_path / "out" / "b/c.jsonl") == lines_in(corpus / "b/c.jsonl")
    kept = lines_in(corpus / "a.jsonl")
    assert lines_in(tmp_path / "out" / "a.jsonl") == [*kept[:5], *kept[6:]]
    (row,) = rows(tmp_path / "out")
    assert (Path(row["file"]).name, row["line"], Path(row["evaluation_file"]).name, row["evaluation_line"]) == (
        *("a.jsonl", "6"),
        *("eval.jsonl", "2"),
    )
    assert row["words"] == " ".join(words_of(quote))
    assert (report["dropped"], report["documents"], report["evaluation"]["texts"]) == (1, 19, 2)


def test_one_word_less_than_a_run_is_no_overlap(tmp_path: Path) -> None:
    sets = read(write_evaluation(tmp_path / "eval.jsonl", [{"text": PASSAGE}]))
    words = PASSAGE.split()
    assert overlap(word_hashes(" ".join([*words[:12], "and", *words[13:]])), sets) is None
    found = overlap(word_hashes("so " + " ".join(words[:13])), sets)
    assert found is not None
    assert (found.start, found.end) == (1, 14)


@pytest.mark.parametrize(("words", "is_compared"), [(7, False), (8, True), (12, True)])
def test_short_texts_are_compared_as_a_whole(tmp_path: Path, words: int, is_compared: bool) -> None:
    rows = [{"text": " ".join(PASSAGE.split()[:words])}, {"text": "x " * 20}]
    sets = read(write_evaluation(tmp_path / "eval.jsonl", rows))
    assert sets.short == (not is_compared)
    assert (overlap(word_hashes(f"once, {PASSAGE}"), sets) is not None) == is_compared
    assert overlap(word_hashes(" ".join(PASSAGE.split()[: words - 1])), sets) is None


def test_the_share_is_that_of_the_text_which_is_there_most(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(60)]
    evaluation = [{"text": " ".join(words)}, {"text": " ".join(words[20:40])}, {"text": " ".join(words[20:40])}]
    sets = read(write_evaluation(tmp_path / "eval.jsonl", evaluation))
    found = overlap(word_hashes("before " + " ".join(words[18:36]) + " after"), sets)
    assert found is not None
    assert (found.text, found.share) == (1, 4 / 8)  # runs that start at 20 to 23, of those that start at 20 to 27
    assert (found.start, found.end) == (3, 19)


def test_the_first_stretch_that_both_have_is_shown_whole(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(30)]
    sets = read(write_evaluation(tmp_path / "eval.jsonl", [{"text": " ".join(words)}]), words=4)
    document = ["x", *words[4:8], *words[20:24], "y", *words[8:14]]
    found = overlap(word_hashes(" ".join(document)), sets)
    assert found is not None
    assert (found.start, found.end) == (1, 9), "two runs that touch, and not what comes after the gap"


def test_a_share_keeps_what_many_texts_hold(tmp_path: Path) -> None:
    licence = "permission is hereby granted free of charge to any person obtaining a copy of this"
    texts = prose(4, 2)
    corpus = write_corpus(tmp_path / "data", {"a.jsonl": [f"{licence} {texts[0]}", f"{licence} {texts[1]}"]})
    evaluation = write_evaluation(tmp_path / "eval.jsonl", [{"text": f"{licence} {texts[0]}"}, {"text": PASSAGE}])
    assert run(corpus, evaluation, tmp_path / "any")["dropped"] == 2
    assert run(corpus, evaluation, tmp_path / "most", share=0.8)["dropped"] == 1


def test_texts_without_spaces_are_compared_by_characters(tmp_path: Path) -> None:
    draw = random.Random(1)
    text = "".join(chr(0x4E00 + draw.randrange(3000)) for _ in range(60))
    sets = read(write_evaluation(tmp_path / "eval.jsonl", [{"text": text}]))
    quoted = text[10:16] + "，\n" + text[16:23]
    assert overlap(word_hashes(f"序{quoted}。"), sets) is not None
    assert overlap(word_hashes(f"序{quoted[:-1]}。"), sets) is None


words = st.lists(st.sampled_from("abc"), min_size=3, max_size=20)


@given(
    documents=st.lists(words, min_size=1, max_size=3),
    texts=st.lists(words, min_size=1, max_size=3),
    length=st.integers(1, 4) | st.integers(8, 10),
)
@REPEATABLE
def test_an_overlap_is_what_comparing_word_by_word_finds(
    tmp_path_factory: pytest.TempPathFactory, documents: list[list[str]], texts: list[list[str]], length: int
) -> None:
    def runs(text: list[str], size: int) -> set[tuple[str, ...]]:
        return {tuple(text[at : at + size]) for at in range(len(text) - size + 1)}

    folder = tmp_path_factory.mktemp("eval")
    shortest = min(8, length)
    compared = [text for text in texts if len(text) >= shortest]
    path = write_evaluation(folder / "eval.jsonl", [{"text": " ".join(text)} for text in texts])
    if not compared:
        with pytest.raises(DatasetError) as caught:
            read(path, words=length)
        assert [found.code for found in caught.value.diagnostics] == ["CPT752"]
        return
    sets = read(path, words=length)
    for document in documents:
        sizes = [min(length, len(text)) for text in compared]
        own = [runs(text, size) for text, size in zip(compared, sizes, strict=True)]
        shares = [len(one & runs(document, size)) / len(one) for one, size in zip(own, sizes, strict=True)]
        found = overlap(word_hashes(" ".join(document)), sets)
        assert (found is not None) == (max(shares) > 0)
        if found:
            assert (found.share, found.text) == (max(shares), shares.index(max(shares)))
            stretch = tuple(document[found.start : found.end])
            assert any(run in own[found.text] for run in runs(list(stretch), sizes[found.text]))


def test_several_fields_and_lists_of_choices_make_one_text(tmp_path: Path) -> None:
    row = {"question": "It was the best of times", "choices": ["it was the worst of times", "it was the age of wisdom"]}
    path = write_evaluation(tmp_path / "eval.jsonl", [row])
    assert overlap(word_hashes(PASSAGE), read(path, ("question", "choices"))) is not None
    with pytest.raises(DatasetError) as caught:
        read(path, ("question",))
    assert [found.code for found in caught.value.diagnostics] == ["CPT752"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there is no text in the evaluation sets"),
        ([{"text": "x"}] * 3, "not one of 3 evaluation texts has 8 words"),
    ],
)
def test_an_evaluation_with_nothing_to_compare_is_refused(
    tmp_path: Path, rows: Sequence[Mapping[str, Any]], message: str
) -> None:
    with pytest.raises(DatasetError) as caught:
        read(write_evaluation(tmp_path / "eval.jsonl", rows))
    assert [(found.code, found.message) for found in caught.value.diagnostics] == [("CPT752", message)]


def test_every_bad_line_of_an_evaluation_set_is_named(tmp_path: Path) -> None:
    lines = ['{"text": "x"', "[1]", '{"question": "x"}', '{"text": 5}', "", f'{{"text": "{PASSAGE}"}}']
    (tmp_path / "eval.jsonl").write_text("\n".join(lines))
    with pytest.raises(DatasetError) as caught:
        read(tmp_path / "eval.jsonl")
    assert [(found.code, found.place and found.place.line) for found in caught.value.diagnostics] == [
        ("CPT751", line) for line in (1, 2, 3, 4)
    ]
    assert "it has `question`" in caught.value.diagnostics[2].message


@pytest.mark.slow
def test_processes_and_a_second_start_make_no_difference(tmp_path: Path) -> None:
    texts = prose(4000, 4, words=400)
    corpus = write_corpus(tmp_path / "data", {"a.jsonl": texts[:2000], "b.jsonl": texts[2000:]})
    evaluation = write_evaluation(
        tmp_path / "eval.jsonl", [{"text": " ".join(text.split()[50:90])} for text in texts[::100]]
    )
    one, two = (run(corpus, evaluation, tmp_path / name, workers=workers) for name, workers in (("1", 1), ("2", 2)))
    assert one == two
    assert one["dropped"] == 40
    for name in ("a.jsonl", "b.jsonl", "dropped.csv"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_what_was_found_is_read_back_as_it_was_noted(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "data", {"a.jsonl": [f"«{PASSAGE}»\u2028", *prose(2, 1)]})
    place, options = LocalFiles(corpus), DecontaminateOptions(columns=("text",), run_words=13, share=0)
    evaluation = write_evaluation(tmp_path / "eval.jsonl", [{"text": PASSAGE}])
    sets, files = read(evaluation), place.select(".").files
    output = Output(tmp_path / "out", decontaminate_work(files, LocalFiles().select(str(evaluation)).files, options))
    assert find_overlaps(place, files, sets, options, output) == [3]
    (found,) = overlaps_in(output.path_of(RECORDS))
    assert (found.line, found.evaluation_line, found.share) == (1, 1, 1.0)
    assert find_overlaps(place, files, sets, options, output) == [3], "noted in the journal, and not read again"
    assert len(list(overlaps_in(output.path_of(RECORDS)))) == 1


def test_half_of_a_surrogate_pair_in_an_evaluation_set_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    rows = [f'{{"text": "{PASSAGE} \\ud800"}}', f'{{"text": "{PASSAGE} \\ud83d\\ude00"}}']
    path.write_text("\n".join(rows), "utf-8")
    with pytest.raises(DatasetError) as raised:
        read(path)
    (found,) = raised.value.diagnostics
    assert (found.code, found.place and found.place.line) == ("CPT751", 1)
    assert "surrogate" in found.message
