"""A whole dataset is checked in one read, in constant memory, without an exception, and everything is counted."""

import bz2
import gzip
import io
import json
import lzma
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt import dataset
from cloudcpt.dataset.check import PROGRESS_INTERVAL_S, DatasetReport, check_dataset
from cloudcpt.dataset.cuts import BUFFER_LIMIT_BYTES, CutFile
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.places import InputFile
from cloudcpt.dataset.progress import DataProgress
from cloudcpt.dataset.records import LINE_LIMIT_BYTES, Record, read_lines, read_records
from cloudcpt.errors import DatasetError, Diagnostic, explanations

GOOD = b'{"text":"a document"}\n'
BAD_LINES = [
    (b"{}", "CPT341", 1, 0),
    (b"", "CPT325", 1, 0),
    (b'{"text":""}', "CPT345", 9, 8),
    ('{"text":"é'.encode() + b'\xff"}', "CPT321", 11, 11),
    ('{"é":1,"text":"😀"}'.encode(), "CPT342", 2, 1),
    ('{"text":"😀",}'.encode(), "CPT330", 12, 14),
    (b'{"text":"a\\ud800"}', "CPT346", 11, 10),
    (b"[]", "CPT332", 1, 0),
]


def check(tmp_path: Path, content: bytes, *, first: int = 5) -> DatasetReport:
    (tmp_path / "data.jsonl").write_bytes(content)
    return check_dataset("data.jsonl", tmp_path, first=first)


def codes(report: DatasetReport) -> list[str]:
    return [found.code for found in report.diagnostics]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary()
    | st.lists(st.sampled_from([GOOD, b"\r\n", b"\n", b"\xff\xfe", b"\x1f\x8b", b"{\0", b'{"text":'])).map(b"".join)
)
def test_any_bytes_give_a_report_and_training_agrees(tmp_path: Path, content: bytes) -> None:
    report = check(tmp_path, content)
    try:
        documents = len(list(read_records(tmp_path / "data.jsonl")))
    except DatasetError as exc:
        first = next(found for found in report.diagnostics if found.severity == "error")
        raised = exc.diagnostics[0]
        assert raised.code == first.code
        assert (raised.place and raised.place.line) == (first.place and first.place.line)
    else:
        assert report.ok
        assert documents == report.documents
    json.dumps(asdict(report))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from([None, *BAD_LINES]), min_size=1), st.booleans(), st.booleans())
def test_every_planted_error_is_found_at_its_line_column_and_byte(
    tmp_path: Path, plan: list[tuple[bytes, str, int, int] | None], is_crlf: bool, is_ended: bool
) -> None:
    end, content, expected = b"\r\n" if is_crlf else b"\n", b"", []
    for line, planted in enumerate([None, *plan, None], start=1):
        if planted:
            expected.append((planted[1], line, planted[2], len(content) + planted[3]))
        content += (planted[0] if planted else b'{"text":"%d"}' % line) + end
    report = check(tmp_path, content if is_ended else content.removesuffix(end), first=10_000)
    places = [
        (found.code, found.place.line, found.place.column, found.place.byte)
        for found in report.diagnostics
        if found.severity == "error" and found.place is not None
    ]
    assert places == expected
    assert report.error_count == len(expected)
    assert report.documents == len(plan) + 2 - len(expected)
    assert report.files[0].lines == len(plan) + 2


class Trickle(io.RawIOBase):
    """A file that gives only a few bytes at a time."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content = io.BytesIO(content)
        self._sizes = sizes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        self._sizes.append(size := self._sizes.pop(0))
        part = self._content.read(min(size, len(buffer)))
        buffer[: len(part)] = part
        return len(part)


@given(
    st.lists(st.sampled_from([GOOD, b"{}\r\n", b"\n", b"\xff\n", b"PK\x03\x04", '{"text":"é😀"}\n'.encode()])).map(
        b"".join
    ),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_how_the_bytes_arrive_does_not_matter(content: bytes, sizes: list[int]) -> None:
    def items(raw: io.RawIOBase) -> Iterator[Record | Diagnostic]:
        return read_lines(raw, "x")

    assert list(items(Trickle(content, sizes))) == list(items(Trickle(content, [1 << 20])))


def test_all_findings_are_counted_and_the_first_few_of_each_kind_kept_in_order(tmp_path: Path) -> None:
    report = check(tmp_path, (b"{}\n" + b"[]\n") * 10 + b'{"text":"a"}\n', first=2)
    shown = [(found.code, found.place.line if found.place else None, found.count) for found in report.diagnostics]
    assert shown == [("CPT341", 1, 10), ("CPT332", 2, 10), ("CPT341", 3, 10), ("CPT332", 4, 10)]
    assert report.error_count == 20
    assert not report.ok


def test_a_report_measures_the_documents_and_names_the_content(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in ("a", "bb", "ccc", "é😀", "bb", "x" * 3000)]
    content = "\n".join(lines).encode()
    report = check(tmp_path, content)
    (file,) = report.files
    assert file.blake3 == blake3(content).hexdigest()
    assert file.path == str((tmp_path / "data.jsonl").resolve())
    assert (file.name, file.size_bytes, file.lines) == ("data.jsonl", len(content), 6)
    assert (report.documents, report.size_bytes, report.characters) == (6, len(content), 3010)
    assert (report.lengths.min, report.lengths.median, report.lengths.max) == (1, 2, 3000)
    assert report.lengths.histogram == (1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
    assert report.duplicate_documents == 1
    assert codes(report) == ["CPT350"]
    assert report.diagnostics[0].place is not None
    assert report.diagnostics[0].place.line == 5
    assert report.ok


def test_a_repeated_document_is_found_across_files_and_spellings(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"\xc3\xa9"}\n')
    (tmp_path / "b.jsonl").write_bytes(b' {"text" : "\\u00e9"}')
    assert check_dataset(".", tmp_path).duplicate_documents == 1


def test_crlf_is_one_warning_per_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_bytes(
            b'{"text":"1%b"}\r\n{"text":"2%b"}\r\n' % (name.encode(), name.encode())
        )
    report = check_dataset(".", tmp_path)
    assert [(found.code, found.severity, found.count) for found in report.diagnostics] == [("CPT326", "warning", 2)] * 2
    assert report.ok
    assert [record.text for record in read_records(tmp_path / "a.jsonl")] == ["1a", "2a"]


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD.rstrip()).ok


def test_records_know_their_line_and_byte(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes('{"text":"é"}\r\n{"text":"b"}'.encode())
    assert list(read_records(tmp_path / "data.jsonl")) == [Record(1, 0, "é"), Record(2, 15, "b")]


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    assert codes(check(tmp_path, b"")) == ["CPT306"]


def test_nothing_but_errors_is_said_at_the_end(tmp_path: Path) -> None:
    report = check(tmp_path, b"{}\n" * 9, first=1)
    assert codes(report) == ["CPT341", "CPT351"]
    assert report.lengths.median == report.lengths.max == 0
    assert report.lengths.histogram == ()


def test_the_document_mark_of_nova_is_noted(tmp_path: Path) -> None:
    report = check(tmp_path, b'{"text":"one [DOC] two"}\n{"text":"[DOC]s"}\n')
    assert codes(report) == ["CPT353"]
    assert report.ok


def in_zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("data.jsonl", content)
    return file.getvalue()


def in_tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("data.jsonl")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (gzip.compress(GOOD, mtime=0), "CPT307", "gzip"),
        (bz2.compress(GOOD), "CPT307", "bzip2"),
        (lzma.compress(GOOD), "CPT307", "xz"),
        (in_zip(GOOD), "CPT307", "zip"),
        (in_tar(GOOD), "CPT307", "tar"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "CPT307", "zstd"),
        (b"PAR1" + bytes(20), "CPT307", "Parquet"),
        (b"SQLite format 3\0", "CPT307", "SQLite"),
        (GOOD.decode().encode("utf-16"), "CPT308", "UTF-16"),
        (GOOD.decode().encode("utf-16-le"), "CPT308", "UTF-16"),
        (GOOD.decode().encode("utf-16-be"), "CPT308", "UTF-16"),
        (GOOD.decode().encode("utf-32"), "CPT308", "UTF-32"),
        (GOOD.decode().encode("utf-32-be"), "CPT308", "UTF-32"),
    ],
)
def test_a_disguised_file_is_called_by_its_name_and_not_read(
    tmp_path: Path, content: bytes, code: str, word: str
) -> None:
    report = check(tmp_path, content)
    assert codes(report) == [code]
    assert word in report.diagnostics[0].message
    with pytest.raises(DatasetError, match=code):
        next(read_records(tmp_path / "data.jsonl"))


def test_only_the_first_line_can_give_a_file_away(tmp_path: Path) -> None:
    assert codes(check(tmp_path, GOOD + b"PK\x03\x04\n" + b"{}\n")) == ["CPT330", "CPT341"]


def test_a_text_that_says_ustar_at_the_right_place_is_no_tar(tmp_path: Path) -> None:
    assert check(tmp_path, b'{"text":"' + b"." * 248 + b'ustar"}\n').ok


def test_the_longest_line_is_accepted_and_one_byte_more_is_not(tmp_path: Path) -> None:
    text = b"x" * (LINE_LIMIT_BYTES - len(b'{"text":""}'))
    for end in (b"", b"\n", b"\r\n"):
        assert check(tmp_path, b'{"text":"' + text + b'"}' + end).ok
        report = check(tmp_path, b'{"text":"x' + text + b'"}' + end + GOOD)
        assert "CPT323" in codes(report)


def test_reading_goes_on_after_a_line_that_is_too_long(tmp_path: Path) -> None:
    long = b'{"text":"' + b"x" * (3 * LINE_LIMIT_BYTES) + b'"}\n'
    report = check(tmp_path, GOOD + long + b"{}\n")
    places = [(found.code, found.place.line, found.place.byte) for found in report.diagnostics if found.place]
    assert places == [("CPT323", 2, len(GOOD)), ("CPT341", 3, len(GOOD) + len(long))]
    assert report.files[0].blake3 == blake3(GOOD + long + b"{}\n").hexdigest()


MEASURE = """
import resource, sys, time
from pathlib import Path
from cloudcpt.dataset.check import check_dataset
check_dataset("small.jsonl", Path(sys.argv[1]))
before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
report = check_dataset("data.jsonl", Path(sys.argv[1]))
used_s = time.process_time() - started
print(report.diagnostics[0].code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, used_s, report.documents)
"""


def measure(tmp_path: Path) -> tuple[str, int, float, int]:
    """Check `data.jsonl` in a process of its own: first code, memory it took in KiB, CPU seconds, documents."""
    (tmp_path / "small.jsonl").write_bytes(GOOD)
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    code, kib, seconds, documents = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return code, int(kib), float(seconds), int(documents)


def test_a_line_of_ten_gigabytes_is_refused_at_once_in_constant_memory(tmp_path: Path) -> None:
    with (tmp_path / "data.jsonl").open("wb") as file:
        file.write(GOOD + b'{"text":"')
        file.truncate(10_000_000_000)
    code, kib, seconds, documents = measure(tmp_path)
    assert (code, documents) == ("CPT324", 1)
    assert kib < 64 << 10
    assert seconds < 1


def test_memory_does_not_grow_with_the_number_of_findings(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(b'{"text":1}\n' * 300_000)
    code, kib, _, documents = measure(tmp_path)
    assert (code, documents) == ("CPT344", 0)
    assert kib < 8 << 10


@pytest.mark.parametrize(
    "line",
    [b'{"text":[' + b"[]," * 2_700_000 + b"1]}", b'{"text":"' + "😀".encode() * 2_000_000 + b'"}', b"[" * 8_000_000],
)
def test_the_worst_line_takes_bounded_memory(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "data.jsonl").write_bytes(line + b"\n{}\n")
    _, kib, _, _ = measure(tmp_path)
    assert kib < 128 << 10


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(GOOD)
    with LocalFiles(tmp_path).open(InputFile(name=path.name, path=str(path), shown=path.name)) as stream:
        cutter = CutFile(stream, file=0, shown=path.name, block_bytes=1 << 20)
        buffer = memoryview(bytearray(BUFFER_LIMIT_BYTES))
        cut = cutter.fill(buffer)
        assert cut
        assert bytes(buffer[: cut.size_bytes]) == GOOD
        assert cutter.is_unchanged
        path.write_bytes(GOOD + GOOD)
        assert not cutter.is_unchanged


def test_a_file_that_gives_other_bytes_than_its_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").symlink_to("/proc/self/status")
    assert "CPT309" in codes(check_dataset("x.jsonl", tmp_path))


def test_progress_comes_at_the_end_and_never_too_often(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(b"".join(b'{"text":"%d"}\n' % n for n in range(30_000)) + b"{}\n")
    calls: list[DataProgress] = []
    report = check_dataset("data.jsonl", tmp_path, progress=calls.append)
    last = DataProgress(bytes_done=report.size_bytes, bytes_total=report.size_bytes, documents=30_000, findings=1)
    assert calls[-1] == last
    assert [call.bytes_done for call in calls] == sorted(call.bytes_done for call in calls)
    assert len(calls) < 30 / PROGRESS_INTERVAL_S


FAST_PARTS = {"awscrt", "blake3", "csimdjson", "cython_runtime", "simdjson", "stringzilla", "xxhash"}
"""Compiled and small: all together they load in the time of one checked megabyte or ten."""


def test_validation_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_bytes(GOOD + b"{}\n")
    program = (
        "import sys; from pathlib import Path; from cloudcpt.dataset.check import check_dataset;"
        "check_dataset('data.jsonl', Path(sys.argv[1])); print(*{name.split('.')[0] for name in sys.modules})"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    loaded = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    foreign = loaded - set(sys.stdlib_module_names) - {"__main__", "cloudcpt", *FAST_PARTS}
    assert not {name for name in foreign if not name.startswith(("_", "sitecustomize"))}


def test_every_code_of_the_dataset_is_explained() -> None:
    source = "".join(path.read_text("utf-8") for path in Path(dataset.__file__).parent.glob("*.py"))
    assert set(re.findall(r"CPT[0-9]{3}", source)) <= explanations().keys()
