"""A growing log is read in whole lines, each once, whatever is cut where."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.jobs.ports import START
from cloudcpt.local.log import TAIL_BYTES, last_progress, read_log
from cloudcpt.wire import EVALUATION_SETS, Progress, evaluation_line, parse_evaluation, parse_progress

STEP = Progress(step=2, loss=1.5, tokens_per_s=10, total_steps=3, lr=1e-4, grad_norm=1, tokens=64, eta_s=1)


def everything(path: Path, position: str = START, *, chunk_bytes: int = 64) -> tuple[list[str], str]:
    """Read a log that is final to its end."""
    lines: list[str] = []
    while True:
        chunk = read_log(path, position, is_final=True, chunk_bytes=chunk_bytes)
        lines += chunk.lines
        position = chunk.position
        if chunk.ended:
            return lines, position


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "log.txt"


@settings(deadline=None)  # a busy disk is no failure
@given(
    lines=st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=8)),
    cuts=st.lists(st.integers(0, 9)),
    chunk_bytes=st.integers(40, 80),
)
def test_lines_written_bit_by_bit_are_read_once_each_and_whole(log, lines, cuts, chunk_bytes):
    data = "".join(f"{line}\n" for line in lines).encode()
    log.write_bytes(b"")
    position, seen, written = START, [], 0
    for cut in cuts:
        with log.open("ab") as file:
            file.write(data[written : written + cut])
        written = min(written + cut, len(data))
        chunk = read_log(log, position, is_final=False, chunk_bytes=chunk_bytes)
        seen += chunk.lines
        position = chunk.position
    log.write_bytes(data)
    rest, _ = everything(log, position, chunk_bytes=chunk_bytes)
    assert seen + rest == lines


@settings(deadline=None)  # a busy disk is no failure
@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1), st.integers(4, 9))
def test_a_line_longer_than_a_chunk_comes_in_pieces_that_split_no_character(log, line, chunk_bytes):
    log.write_text(line + "\n" + line, "utf-8")
    pieces, position = everything(log, chunk_bytes=chunk_bytes)
    assert "".join(pieces) == line + line
    assert position == str(len((line + "\n" + line).encode()))


def test_an_unfinished_line_waits_until_it_is_finished_or_nobody_writes_any_more(log):
    log.write_text("whole\nhal")
    early = read_log(log, is_final=False)
    assert (early.lines, early.ended) == (("whole",), True)
    late = read_log(log, early.position, is_final=True)
    assert (late.lines, late.ended) == (("hal",), True)
    assert read_log(log, late.position, is_final=True).lines == ()


def test_bytes_that_are_no_text_are_shown_as_such(log):
    log.write_bytes(b"\xff\xfe\x00ok\n")
    assert read_log(log, is_final=True).lines == ("\ufffd\ufffd\x00ok",)


def test_a_log_that_is_not_there_yet_is_empty(tmp_path):
    chunk = read_log(tmp_path / "log.txt", is_final=False)
    assert (chunk.lines, chunk.ended) == ((), True)
    assert last_progress(tmp_path / "log.txt") is None


def test_the_last_progress_is_found_behind_other_lines(log):
    log.write_text(f"start\n{STEP.line()}\neval|domain|2|1.0|2.7\nwarning\n")
    assert last_progress(log) == STEP


def test_progress_is_looked_for_near_the_end_only(log):
    log.write_text(STEP.line() + "\n" + "x" * TAIL_BYTES + "\n")
    assert last_progress(log) is None


@given(
    name=st.sampled_from(EVALUATION_SETS),
    step=st.integers(0, 10**7),
    loss=st.floats(0, 100) | st.just(math.nan),
    perplexity=st.floats(1, 1e6) | st.just(math.inf),
)
def test_an_evaluation_line_reads_back(name, step, loss, perplexity):
    read = parse_evaluation(evaluation_line(name, step, loss, perplexity))
    assert read is not None
    assert (read.set_name, read.step) == (name, step)
    assert read.loss == pytest.approx(loss, abs=1e-6, nan_ok=True)
    assert read.perplexity == pytest.approx(perplexity, abs=1e-4)


@given(st.text("0123456789|.eval domain+-infa=,"))
def test_no_line_at_all_makes_a_parser_fail(line):
    parse_progress(line)
    parse_progress(f"1|{line}|1|of=3 lr={line} grad_norm=1 tokens=1 eta_s=1")
    parse_evaluation(line)
    parse_evaluation(f"eval|domain|{line}|{line}|{line}")


@pytest.mark.parametrize(
    "line",
    [
        "1|-|.|of=3 lr=1 grad_norm=1 tokens=1 eta_s=1",
        "9" * 5000 + "|1|1|of=3 lr=1 grad_norm=1 tokens=1 eta_s=1",
        "1|2|3",
    ],
)
def test_lines_that_only_look_like_progress_do_no_harm(log, line):
    log.write_text(line + "\n")
    assert last_progress(log) is None
