"""Training that starts before all of its rows are there equals training that does not, to the bit."""

import contextlib
import io
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.run import train
from cloudcpt.train.stop import clear_stop, request_stop
from cloudcpt.wire import recovery_steps
from tests.train.ranks import TINY
from tests.train.test_train_recovery import learnt, stopped_at

pytestmark = pytest.mark.train

LONG = {
    "geometry": {"seq_len_tokens": 48, "steps": 9, "train_rows": 72},
    "schedule": {"steps": 9, "warmup_steps": 3},
    "checkpoints": {"recovery_every_steps": 2},
}


@pytest.fixture(scope="module")
def kept():
    return {}


@pytest.fixture
def streamed(kept, tiny_job, tmp_path_factory):
    """A job that started on its first window; its rows are kept for others."""
    if not kept:
        job = tiny_job(**LONG)
        kept["rows"] = tmp_path_factory.mktemp("kept")
        job.ml.scratch.mkdir()
        job.ml.row_cache.symlink_to(kept["rows"])
        assert train(job.plan, job.ml, cut=TINY) == "completed"
        kept["learnt"] = learnt(job)
        kept["events"] = [row for row in job.records("event") if row["name"] == "data"]
    return kept


def test_rows_that_come_while_training_goes_on_change_nothing(streamed, tiny_job):
    """The other job finds every window made."""
    job = tiny_job(**LONG)
    job.ml.scratch.mkdir()
    job.ml.row_cache.symlink_to(streamed["rows"])
    assert train(job.plan, job.ml, cut=TINY) == "completed"
    assert learnt(job) == streamed["learnt"]


def test_the_log_says_that_rows_are_to_come_and_counts_them_when_they_have(streamed):
    steps = {row["step"]: row["message"] for row in streamed["events"] if row["message"].startswith("train: ")}
    assert "windows; training starts on the first, the others are prepared meanwhile" in steps[0]
    assert steps[9].startswith("train: 60 documents, 1658 tokens in ")


@pytest.mark.parametrize("line", ["2|", "5|"])
def test_a_run_on_windows_that_was_stopped_goes_on_as_if_it_had_not(line, streamed, tiny_job):
    stopped = stopped_at(tiny_job(**LONG), line, cut=TINY)
    assert recovery_steps(stopped.ml) == (int(line[0]),)
    assert train(stopped.plan, stopped.ml, cut=TINY) == "completed"
    assert learnt(stopped) == streamed["learnt"]


def test_a_state_whose_windows_were_others_is_refused(tiny_job):
    stopped = stopped_at(tiny_job(**LONG), "5|", cut=TINY)
    other = replace(TINY, block_bytes=TINY.block_bytes * 2)
    with pytest.raises(TrainingFailure, match=r"CPT665: .*the rows of `train/0`.* are not those"):
        train(stopped.plan, stopped.ml, cut=other)


class Meddling(io.StringIO):
    """A log that does something to the preparer when it is told that there is one, and stops the job after a step."""

    def __init__(self, job, number, *, stop_after=None):
        super().__init__()
        self._job, self._number, self._stop_after = job, number, stop_after

    def write(self, text):
        if text.startswith("data: train: "):
            os.kill(preparer_of(self._job), self._number)
        if self._stop_after and text.startswith(self._stop_after):
            request_stop(self._job.ml, "SIGTERM")
        return super().write(text)


def preparer_of(job):
    """Find the process that prepares rows for a job."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode().split("\0")
            if "cloudcpt.train.preparer" in words and str(job.ml.root) in words:
                return int(path.parent.name)
    raise AssertionError("nobody prepares rows")


def test_a_preparer_that_is_killed_ends_the_job_with_a_reason(tiny_job):
    job = tiny_job(**LONG)
    message = "CPT614: the process that prepares rows .* ended without a word, killed by SIGKILL"
    with contextlib.redirect_stdout(Meddling(job, signal.SIGKILL)), pytest.raises(TrainingFailure, match=message):
        train(job.plan, job.ml, cut=TINY)
    assert not job.ml.model.exists()
    assert train(job.plan, job.ml, cut=TINY) == "completed"


def test_a_wish_to_stop_is_heard_while_rows_are_waited_for(tiny_job):
    """The preparer hangs, and the second step needs its rows."""
    job = tiny_job(**LONG)
    with contextlib.redirect_stdout(Meddling(job, signal.SIGSTOP, stop_after="1|")):
        assert train(job.plan, job.ml, cut=TINY) == "stopped"
    assert recovery_steps(job.ml) == (1,)
    assert [path.name for path in (job.ml.scratch / "rows" / "train").glob("window-*")] == ["window-00000"]
    with pytest.raises(AssertionError, match="nobody prepares rows"):
        preparer_of(job)
    clear_stop(job.ml)
    assert train(job.plan, job.ml, cut=TINY) == "completed"


def test_a_line_that_cannot_be_read_ends_the_job_when_its_window_is_made(tiny_job):
    job = tiny_job(**LONG)
    path = job.ml.channel("train") / "data.jsonl"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join([*lines[:-1], "no JSON"]) + "\n", "utf-8")
    content = path.read_bytes()
    (source, *others) = job.plan.sources
    (file,) = source.files
    files = (replace(file, size_bytes=len(content), blake3=blake3(content).hexdigest()),)
    plan = replace(job.plan, sources=(replace(source, files=files), *others))
    with pytest.raises(TrainingFailure, match=r"data.jsonl.*after line \d+`?:1"):
        train(plan, job.ml, cut=TINY)
    assert not job.ml.model.exists()
