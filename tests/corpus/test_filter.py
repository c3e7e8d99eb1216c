"""Documents and lines go by what `data stats` measures, for the first reason named, and nothing else changes."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.corpus.filter import FilterOptions, filter_files, filter_work, reason_to_go, without_lines
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.written import Written
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.places import InputFile, InputStream, Selection
from cloudcpt.errors import DatasetError, error

pytest.importorskip("numpy", reason="needs the [data] extra")
pytest.importorskip("py3langid", reason="needs the [data] extra")

PROSE = (
    "The harbour was quiet when the fishermen came back in the evening, and only a few gulls waited on the wall.\n"
    "Nobody spoke, because there was nothing that had to be said about that day; later the lamps were lit.\n"
    "And then the rain began, so softly that at first it could not be heard at all, and it went on until the morning."
)
GERMAN = "Der Hafen war still, als die Fischer zurückkamen, und nur ein paar Möwen warteten auf der Mauer."
ADVERT = "Buy now! Free shipping!"


def options(documents: Sequence[str] = (), lines: Sequence[str] = (), languages: Sequence[str] = ()) -> FilterOptions:
    return FilterOptions(documents=tuple(documents), lines=tuple(lines), languages=tuple(languages))


def write(folder: Path, texts: Sequence[str]) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(f'{{"text":{json.dumps(text)}}}\n' for text in texts))
    return path


def run(path: Path, target: Path, chosen: FilterOptions) -> tuple[Written, int]:
    place = LocalFiles()
    files = place.select(str(path)).files
    return filter_files(place, files, chosen, Output(target, filter_work(files, chosen), overwrite=True), workers=1)


@pytest.mark.parametrize(
    ("text", "chosen", "reason"),
    [
        (PROSE, options(["short", "email"]), ""),
        ("Read it.", options(["short"]), "short"),
        ("Write to a@b.org.", options(["email", "short"]), "email"),
        ("Write to a@b.org.", options(["short", "email"]), "short"),
        ("Write to a@b.org.", options(["phone"]), ""),
        (f"{PROSE}\n{ADVERT}", options(["advertising"]), "advertising"),
        (GERMAN, options(languages=["en", "fr"]), "language"),
        (GERMAN, options(languages=["de"]), ""),
        (" \n", options(lines=["legal"]), "nothing left"),
    ],
)
def test_a_document_goes_for_the_first_reason_that_it_gives(text: str, chosen: FilterOptions, reason: str) -> None:
    assert reason_to_go(text, chosen) == reason


def test_lines_with_phrases_of_the_named_kinds_go_and_the_others_stay_as_they_are() -> None:
    text = f"  One. \n{ADVERT}\n\nAll rights reserved\nTwo."
    assert without_lines(text, ["advertising"]) == (
        "  One. \n\nAll rights reserved\nTwo.",
        {"advertising": len(ADVERT)},
    )
    assert without_lines(text, ["cookies"]) == (text, {})
    assert without_lines(text, ["advertising", "legal"])[0] == "  One. \n\nTwo."


def test_what_stays_is_copied_byte_for_byte_and_what_goes_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path, [PROSE, "short", GERMAN, f"{PROSE}\n{ADVERT}", ADVERT])
    written, shortened = run(path, tmp_path / "out", options(["short"], ["advertising"], ["en"]))
    assert (written.documents, written.dropped, shortened) == (2, {"language": 2, "nothing left": 1}, 1)
    kept = (tmp_path / "out/in.jsonl").read_bytes().splitlines()
    assert kept[0] == path.read_bytes().splitlines()[0]
    assert json.loads(kept[1]) == {"text": PROSE}
    with (tmp_path / "out/dropped.csv").open() as rows:
        assert [tuple(row.values())[1:] for row in csv.DictReader(rows)] == [
            ("2", "document", "language", "5"),
            ("3", "document", "language", str(len(GERMAN))),
            ("4", "lines", "advertising", str(len(ADVERT))),
            ("5", "lines", "advertising", str(len(ADVERT))),
            ("5", "document", "nothing left", "0"),
        ]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["command"], report["written"]["documents"], report["shortened"]) == ("data filter", 2, 1)


def test_a_file_of_which_nothing_stays_is_not_written(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text(json.dumps({"text": PROSE}) + "\n")
    (folder / "b.jsonl").write_text(json.dumps({"text": "short"}) + "\n")
    written, _ = run(folder, tmp_path / "out", options(["short"]))
    assert (written.files, sorted(path.name for path in (tmp_path / "out").iterdir())) == (
        1, ["a.jsonl", "dropped.csv", "report.json"],
    )  # fmt: skip


def test_nothing_is_written_when_everything_would_go_or_a_line_is_no_document(tmp_path: Path) -> None:
    path = write(tmp_path, ["short", "shorter"])
    with pytest.raises(DatasetError) as caught:
        run(path, tmp_path / "out", options(["short"]))
    assert caught.value.diagnostics[0].code == "CPT757"
    path.write_text('{"text": "a"}\n{"txt": 1}\n')
    with pytest.raises(DatasetError) as caught:
        run(path, tmp_path / "out", options(["email"]))
    assert [str(one.place) for one in caught.value.diagnostics] == [f"{path}:2:1"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["in.jsonl"]


class Breaking:
    """The files of this machine, one of which cannot be opened for now; remembers which were opened."""

    def __init__(self, broken: str) -> None:
        self.broken = broken
        self.opened: list[str] = []

    def select(self, path: str) -> Selection:
        return LocalFiles().select(path)

    def open(self, file: InputFile) -> InputStream:
        if file.name == self.broken:
            raise DatasetError(error("CPT305", "the network is down"))
        self.opened.append(file.name)
        return LocalFiles().open(file)


def test_a_command_that_was_cut_off_reads_only_what_it_had_not_finished(tmp_path: Path) -> None:
    folder, chosen = tmp_path / "in", options(["short"])
    folder.mkdir()
    for name, texts in {"a.jsonl": [PROSE, "short"], "b.jsonl": ["short", PROSE], "c.jsonl": [PROSE]}.items():
        (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    run(folder, tmp_path / "whole", chosen)
    place = Breaking("c.jsonl")
    files = place.select(str(folder)).files
    with pytest.raises(DatasetError):
        filter_files(place, files, chosen, Output(tmp_path / "out", filter_work(files, chosen)), workers=1)
    assert not (tmp_path / "out").exists()
    place.broken = ""
    filter_files(place, files, chosen, Output(tmp_path / "out", filter_work(files, chosen)), workers=1)
    assert place.opened.count("a.jsonl") == 1
    for name in ("a.jsonl", "b.jsonl", "c.jsonl", "dropped.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([PROSE, GERMAN, "short", "a@b.org", f"{ADVERT}\nx"]), min_size=1, max_size=8))
def test_each_document_is_judged_by_itself(tmp_path: Path, texts: list[str]) -> None:
    chosen = options(["short"], ["advertising"])
    stay = [text for text in (without_lines(text, chosen.lines)[0] for text in texts) if not reason_to_go(text, chosen)]
    path = write(tmp_path, [PROSE, *texts])
    run(path, tmp_path / "out", chosen)
    lines = (tmp_path / "out/in.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == [PROSE, *stay]
