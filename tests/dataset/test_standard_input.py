"""Data that comes through a pipe: read once, told like a file, and refused where it would be needed twice."""

import io
import os
import pty
import select
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cloudcpt.cli.input_places import InputPlaces
from cloudcpt.dataset.check import check_in
from cloudcpt.dataset.records import Record, read_records_in
from cloudcpt.dataset.standard_input import StandardInput
from cloudcpt.errors import DatasetError

LINES = b'{"text":"one"}\n{"text":"two"}\n'
COMMAND = [sys.executable, "-m", "cloudcpt"]


class Terminal(io.BytesIO):
    """Somebody at a keyboard."""

    def isatty(self) -> bool:
        return True


def test_a_pipe_is_a_dataset_of_one_file() -> None:
    report = check_in(StandardInput(io.BytesIO(LINES)), "-")
    (file,) = report.files
    assert (report.name, report.documents, report.ok, file.size_bytes) == ("<stdin>", 2, True, len(LINES))


def test_what_comes_in_pieces_is_whole() -> None:
    reading, writing = os.pipe()
    with io.FileIO(reading) as source:
        for piece in (LINES[:5], LINES[5:16], LINES[16:]):
            os.write(writing, piece)
        os.close(writing)
        assert check_in(StandardInput(source), "-").documents == 2


def test_findings_point_into_stdin() -> None:
    (found,) = check_in(StandardInput(io.BytesIO(LINES + b"{}\n")), "-").diagnostics
    assert str(found.place).startswith("<stdin>:3:")


def test_documents_are_read_once_and_not_twice() -> None:
    place = StandardInput(io.BytesIO(LINES))
    (file,) = place.select("-").files
    assert [record.text for record in read_records_in(place, file)] == ["one", "two"]
    with pytest.raises(DatasetError, match="CPT316"):
        list[Record](read_records_in(place, file))


def test_nothing_came(tmp_path: Path) -> None:
    assert [found.code for found in check_in(StandardInput(io.BytesIO()), "-").diagnostics] == ["CPT306"]


def test_validate_reads_a_pipe_and_does_not_wait_for_a_terminal() -> None:
    done = subprocess.run([*COMMAND, "validate", "-"], input=LINES, capture_output=True, check=False)
    assert (done.returncode, done.stdout.startswith(b"<stdin>: 2 documents")) == (0, True)
    ours, theirs = pty.openpty()
    try:
        waiting = subprocess.run(
            [*COMMAND, "validate", "-"], stdin=theirs, capture_output=True, check=False, timeout=60
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (waiting.returncode, b"CPT317" in waiting.stderr) == (2, True)


def test_a_pipe_that_is_named_twice_is_refused_the_second_time() -> None:
    done = subprocess.run([*COMMAND, "validate", "-", "-"], input=LINES, capture_output=True, check=False)
    assert (done.returncode, b"CPT316" in done.stdout) == (1, True)


def test_a_closed_stdin_is_a_finding() -> None:
    command = f"'{sys.executable}' -m cloudcpt validate - <&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (done.returncode, b"CPT305" in done.stdout) == (1, True)


def test_a_place_that_can_be_asked_for_files_and_pipes_asks_the_right_one(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES)
    places = InputPlaces(tmp_path)
    assert [file.path for file in places.select("-").files] == ["-"]
    assert check_in(places, "a.jsonl").documents == 2


def test_a_pipe_that_does_not_wait_is_read_to_its_end(tmp_path: Path) -> None:
    """Some programs hand on pipes that answer `not now`, which is not the end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    lines = [b'{"text": "first"}\n', b"no JSON\n"]

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as pipe:
            for line in lines:
                while select.select([reader], [], [], 0)[0]:  # not before the one before has been read
                    os.sched_yield()
                pipe.write(line)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        report = check_in(StandardInput(pipe), "-")
    thread.join()
    assert (report.documents, report.lines) == (1, 2)
