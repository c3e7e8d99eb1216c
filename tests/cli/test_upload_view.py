"""An upload without a terminal says a line per tenth; the line says how far, how fast, how long still, and why slow."""

import pytest

from cloudcpt.cli.upload_view import upload_progress, upload_words
from cloudcpt.jobs.tally import UploadProgress

MIB = 1024**2


def at(done: int, *, sent: int | None = None, size: int = 100, last_retry: str = "") -> UploadProgress:
    return UploadProgress(
        files=2,
        files_done=0,
        size_bytes=size * MIB,
        done_bytes=done * MIB,
        sent_bytes=(done if sent is None else sent) * MIB,
        resumed_bytes=(0 if sent is None else done - sent) * MIB,
        retries=0,
        last_retry=last_retry,
    )


def lines(capsys: pytest.CaptureFixture[str], *reached: UploadProgress) -> list[str]:
    seconds = iter(range(1000))
    with upload_progress("s3://bucket/prefix", clock=lambda: float(next(seconds))) as show:
        for one in reached:
            show(one)
    return capsys.readouterr().err.splitlines()


def test_there_is_a_line_for_each_tenth_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, *(at(done) for done in range(101)))
    assert [line.partition(":")[0] for line in shown] == [f"upload at {tenth} %" for tenth in range(10, 101, 10)]


def test_a_line_has_amount_rate_time_left_and_the_last_retry(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, at(50, last_retry="retry 3/10: SlowDown"))
    assert line == "upload at 50 %: 50.0 MiB of 100.0 MiB, 50.0 MiB/s, 1.0 s left, retry 3/10: SlowDown"


def test_what_was_found_counts_as_there_but_not_as_speed(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = lines(capsys, at(50, sent=0))
    assert line == "upload at 50 %: 50.0 MiB of 100.0 MiB"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (at(100), "inputs: 2 files, 100.0 MiB in s3://b; 100.0 MiB sent"),
        (at(100, sent=40), "inputs: 2 files, 100.0 MiB in s3://b; 40.0 MiB sent, 60.0 MiB was there already"),
        (at(100, sent=0), "inputs: 2 files, 100.0 MiB, all of it was in s3://b already"),
    ],
)
def test_the_end_says_what_travelled(sent: UploadProgress, words: str) -> None:
    assert upload_words(sent, "s3://b") == words
