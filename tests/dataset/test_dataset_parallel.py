"""However many processes read a dataset, and however it is cut, the same comes out; and nothing is left behind."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.dataset.blocks import records_of
from cloudcpt.dataset.check import DatasetReport, check_dataset
from cloudcpt.dataset.cores import usable_cores
from cloudcpt.dataset.cuts import BUFFER_LIMIT_BYTES
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.parallel import map_blocks, processes
from cloudcpt.dataset.places import InputFile
from cloudcpt.dataset.records import LINE_LIMIT_BYTES, SKIP_LIMIT_BYTES, read_lines
from cloudcpt.errors import DatasetError, SetupError
from tests.dataset.works import Failing, Late, count_lines, pid_of_worker

LINES = st.sampled_from(
    [
        b'{"text": "a"}',
        b'{"text":"a"}',
        b'{"text": "\\u0061"}',
        b'{"text": "a [DOC] b"}',
        b'{"text": "a\\u0020[DOC] b"}',
        '{"text": "你好，\\n世界"}'.encode(),
        b'{"text":"\\u4f60\\u597d\\uff0c\\n\\u4e16\\u754c"}',
        b'{"text": "a"}\r',
        b'{"text": ""}',
        b'{"text": "\xff"}',
        b"PK\x03\x04",
        b"",
        b'{"text": "' + b"long " * 50 + b'"}',
    ]
)
FILES = st.lists(st.tuples(st.lists(LINES, max_size=20).map(b"\n".join), st.sampled_from([b"", b"\n"])), max_size=3)


def write(folder: Path, files: list[bytes]) -> Path:
    for old in folder.glob("*.jsonl"):
        old.unlink()
    for number, content in enumerate(files):
        (folder / f"{number}.jsonl").write_bytes(content)
    return folder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(FILES, st.integers(1, 400), st.integers(1, 3))
def test_where_files_are_cut_changes_nothing(
    tmp_path: Path, files: list[tuple[bytes, bytes]], block_bytes: int, first: int
) -> None:
    write(tmp_path, [b'{"text": "first"}', *(content + end for content, end in files)])
    whole = check_dataset(".", tmp_path, workers=1, first=first)
    assert check_dataset(".", tmp_path, workers=1, first=first, block_bytes=block_bytes) == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(LINES).map(b"\n".join), st.integers(1, 100))
def test_the_blocks_of_a_file_hold_what_the_file_holds(tmp_path: Path, content: bytes, block_bytes: int) -> None:
    place, file = LocalFiles(tmp_path), one_file(tmp_path, content)
    blocks = map_blocks(place, [file], count_lines, workers=1, block_bytes=block_bytes)
    found = [item for block, _ in blocks for item in records_of(block)]
    with place.open(file) as stream:
        expected = [item for item in read_lines(stream, file.shown) if getattr(item, "code", "") != "CPT326"]
    assert found == expected


def one_file(folder: Path, content: bytes) -> InputFile:
    path = folder / "data.jsonl"
    path.write_bytes(content)
    return InputFile(name=path.name, path=str(path), shown=path.name, size_bytes=len(content))


def planted(folder: Path) -> DatasetReport:
    """Write three files with every kind of finding, many blocks of 4 kB long, and check them in this process."""
    lines = [json.dumps({"text": f"document {number} " + "x" * (number % 700)}).encode() for number in range(600)]
    lines[40:40] = [b"{}", b"\xff", b'{"text":"a\\ud800"}', lines[3], b'{"text":"a [DOC] b"}\r', b""]
    lines[400:400] = [lines[200], lines[399], b"[1]", b'{"text": "' + b"y" * 9000 + b'"}']
    write(folder, [b"\n".join(lines), b"\x1f\x8b gzip", b"\n".join(reversed(lines)) + b"\n", b""])
    return check_dataset(".", folder, workers=1)


def test_worker_processes_find_what_one_process_finds(tmp_path: Path) -> None:
    alone = planted(tmp_path)
    assert {found.code for found in alone.diagnostics} >= {"CPT341", "CPT321", "CPT346", "CPT350", "CPT353", "CPT326"}
    assert check_dataset(".", tmp_path, workers=2, block_bytes=4000) == alone
    assert check_dataset(".", tmp_path, workers=3, block_bytes=70) == alone
    require_no_children()


def require_no_children() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_results_come_in_order_however_late_one_of_them_is(tmp_path: Path) -> None:
    lines = [b"line %d" % number for number in range(200)]
    file = one_file(tmp_path, b"\n".join(lines))
    work = Late(tmp_path, os.getpid())
    found = list(map_blocks(LocalFiles(tmp_path), [file], work, workers=2, block_bytes=1))
    assert [line for _, line in found] == lines
    assert [block.line for block, _ in found] == list(range(1, 201))
    order = [int(line) for line in (tmp_path / "order").read_text().split()]
    assert sorted(order) == list(range(1, 201))
    assert order != sorted(order)


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("killed", SetupError, "killed by SIGKILL"),
        ("exits", SetupError, "ended with status 3"),
        ("ours", DatasetError, "CPT341"),
        ("stubborn", RuntimeError, "Stubborn: something at"),
        ("other", ValueError, "line 200"),
        ("start", ModuleNotFoundError, "thing"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_raised_here(
    tmp_path: Path, how: str, kind: type[Exception], words: str
) -> None:
    lines = [b"%d" % number for number in range(1, 301)]
    lines[199:260] = [b"bad"] * 61  # the parent does some of them, and never all
    file = one_file(tmp_path, b"\n".join(lines))
    blocks = map_blocks(LocalFiles(tmp_path), [file], Failing(tmp_path, os.getpid(), how), workers=2, block_bytes=1)
    seen = []
    with pytest.raises(kind, match=words):
        seen.extend(iter(lambda: next(blocks)[1], None))
    assert seen == lines[: len(seen)]
    if kind is not SetupError and how != "start":
        assert len(seen) == 199
    require_no_children()


def test_whoever_stops_early_leaves_no_process(tmp_path: Path) -> None:
    file = one_file(tmp_path, b"a\n" * 1000)
    blocks = map_blocks(LocalFiles(tmp_path), [file], count_lines, workers=2, block_bytes=1)
    next(blocks)
    blocks.close()
    require_no_children()


PARENT = """
import os, signal, sys
from pathlib import Path
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.parallel import map_blocks
from tests.dataset.works import pid_of_worker
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background inherits that it is ignored
place = LocalFiles(Path(sys.argv[1]))
pids = set()
for _, pid in map_blocks(place, place.select("data.jsonl").files, pid_of_worker, workers=3, block_bytes=1):
    pids |= {pid} - {os.getpid()}
    if len(pids) == 2:
        print(*pids, flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, how: signal.Signals) -> None:
    one_file(tmp_path, b"a\n" * 1_000_000)
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, process_group=0) as parent:
        assert parent.stdout
        descriptors = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(descriptors) == 2
        os.killpg(parent.pid, how)  # as a terminal does
        parent.wait()
        assert parent.stderr
        complaint = parent.stderr.read()
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], 60)[0], "a worker is still there"
        os.close(descriptor)
    assert complaint.count("Traceback") == (how == signal.SIGINT)


@pytest.mark.parametrize("length", [-1, 0, 1, 2, SKIP_LIMIT_BYTES - 2, SKIP_LIMIT_BYTES - 1, SKIP_LIMIT_BYTES])
def test_a_line_that_is_too_long_is_told_like_a_reader_line_by_line_tells_it(tmp_path: Path, length: int) -> None:
    place = LocalFiles(tmp_path)
    path = tmp_path / "data.jsonl"
    for end in (b"", b"\n{}\n"):
        with path.open("wb") as file:
            file.write(b'{"text": "a"}\n')
            file.truncate(14 + LINE_LIMIT_BYTES + 2 + length)
            file.seek(0, os.SEEK_END)
            file.write(end)
        (chosen,) = place.select("data.jsonl").files
        with place.open(chosen) as stream:
            expected = list(read_lines(stream, chosen.shown))
        for block_bytes in (1000, 1 << 30):
            blocks = map_blocks(place, [chosen], count_lines, workers=1, block_bytes=block_bytes)
            assert [item for block, _ in blocks for item in records_of(block)] == expected


def test_a_file_that_cannot_be_read_is_an_error_after_what_came_before_it(tmp_path: Path) -> None:
    good = one_file(tmp_path, b"a\nb\n")
    gone = InputFile(name="gone", path=str(tmp_path / "gone"), shown="gone")
    for workers in (1, 2):
        blocks = map_blocks(LocalFiles(tmp_path), [good, gone, good], count_lines, workers=workers)
        assert next(blocks)[0].content == b"a\nb\n"
        with pytest.raises(DatasetError, match=r"CPT30[05]"):
            next(blocks)


def test_little_data_starts_no_process(tmp_path: Path) -> None:
    file = one_file(tmp_path, b"a\n" * 1000)
    assert {pid for _, pid in map_blocks(LocalFiles(tmp_path), [file], pid_of_worker)} == {os.getpid()}
    large = SimpleNamespace(size_bytes=1 << 40)
    assert processes([large], 0) == usable_cores()  # type: ignore[list-item]
    assert processes([large], 3, most=2) == 3  # type: ignore[list-item]
    assert processes([large], 0, most=1) == 1  # type: ignore[list-item]
    assert processes([file], 0) == 1


@pytest.mark.parametrize(
    ("limit", "expected"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1), ("", None)]
)
def test_a_container_is_given_as_many_processes_as_cores(tmp_path: Path, limit: str, expected: int | None) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert usable_cores(tmp_path / "cpu.max") == (expected or len(os.sched_getaffinity(0)))
    assert usable_cores(tmp_path / "missing") == len(os.sched_getaffinity(0))


def test_a_buffer_holds_the_longest_line_and_its_end() -> None:
    assert len(b"\r\n") + LINE_LIMIT_BYTES == BUFFER_LIMIT_BYTES


def test_what_lies_beside_the_data_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('this came with the data')\n")
    monkeypatch.chdir(tmp_path)
    file = one_file(tmp_path, b"a\n" * 100)
    assert (
        sum(lines for _, lines in map_blocks(LocalFiles(tmp_path), [file], count_lines, workers=2, block_bytes=1))
        == 100
    )
