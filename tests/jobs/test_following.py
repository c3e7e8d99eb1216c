"""Following gives every line once and ends after the last one, however lines and states interleave."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.errors import Blame, ExitCode, SetupError, TransientError, error
from cloudcpt.jobs.follow import PAUSES_S, follow
from cloudcpt.jobs.outcome import outcome_error
from cloudcpt.jobs.ports import START, JobState, JobStatus, LogChunk, Phase
from cloudcpt.wire import Failure


def status_in(state: JobState) -> JobStatus:
    unhappy = state in {JobState.FAILED, JobState.STOPPED}
    return JobStatus(
        name="job",
        target="local",
        plan_hash="0" * 64,
        phases=(Phase(state=state, at=1.0),),
        failure=Failure(code="CPT604", blame=Blame.USER, message="broke", hint="mend it") if unhappy else None,
        progress=None,
        evaluations=(),
        files="somewhere",
        model=None,
        is_rehearsal=False,
    )


@dataclass
class ScriptedJob:
    """A job whose writing and ending happen between the looks of whoever follows it.

    Args:
        script: Before each look: how many lines appear. The job ends together with the last of them.
        chunk: Most lines that one read gives.
    """

    script: list[int]
    chunk: int
    written: int = 0
    looks: int = 0
    asked: list[str] = field(default_factory=list)

    def happen(self) -> None:
        if self.looks < len(self.script):
            self.written += self.script[self.looks]
        self.looks += 1

    def status(self, _name: str) -> JobStatus:
        self.happen()
        return status_in(JobState.COMPLETED if self.looks >= len(self.script) else JobState.TRAINING)

    def read(self, _name: str, position: str = START) -> LogChunk:
        self.asked.append(position)
        self.happen()
        start = int(position or 0)
        stop = min(self.written, start + self.chunk)
        lines = tuple(f"line {number}" for number in range(start, stop))
        return LogChunk(lines=lines, position=str(stop), ended=stop == self.written)


SCRIPTS = st.lists(st.integers(0, 5), max_size=12)


@given(script=SCRIPTS, chunk=st.integers(1, 4))
def test_every_line_comes_once_and_none_after_the_end(script, chunk):
    job = ScriptedJob(script, chunk)
    updates = list(follow(job, job, "job", pause=lambda _: None))
    assert [line for update in updates for line in update.lines] == [f"line {n}" for n in range(sum(script))]
    assert updates[-1].status.state is JobState.COMPLETED


@given(script=SCRIPTS, chunk=st.integers(1, 4), cuts=st.lists(st.integers(0, 6), max_size=5))
def test_a_watcher_that_dies_and_comes_back_neither_loses_nor_repeats(script, chunk, cuts):
    job, position, seen = ScriptedJob(script, chunk), START, []
    for cut in [*cuts, None]:
        for number, update in enumerate(follow(job, job, "job", position=position, pause=lambda _: None)):
            if number == cut:
                break
            seen += update.lines
            position = update.position
    assert seen == [f"line {n}" for n in range(sum(script))]


def test_it_pauses_only_when_there_is_nothing_new():
    job, pauses = ScriptedJob([3, 0, 0, 0, 0, 0], chunk=1), []
    list(follow(job, job, "job", poll_s=0.25, pause=pauses.append))
    assert job.asked == ["", "1", "2", "3"]
    assert pauses == [0.25]


BUSY = TransientError(error("CPT407", "busy"))


@dataclass
class FlakyJob(ScriptedJob):
    """A job whose service fails at some of its calls, counted from 0."""

    failures: frozenset[int] = frozenset()
    failure: Exception = BUSY
    calls: int = 0

    def happen(self) -> None:
        self.calls += 1
        if self.calls - 1 in self.failures:
            raise self.failure
        super().happen()


@given(script=SCRIPTS, chunk=st.integers(1, 4), failures=st.frozensets(st.integers(0, 40), max_size=7))
def test_looks_that_fail_neither_lose_nor_repeat_a_line(script, chunk, failures):
    job, told = FlakyJob(script, chunk, failures=failures), []
    trouble = lambda exc, seconds: told.append((exc, seconds))  # noqa: E731
    updates = list(follow(job, job, "job", pause=lambda _: None, trouble=trouble))
    assert [line for update in updates for line in update.lines] == [f"line {n}" for n in range(sum(script))]
    assert len(told) == sum(number < job.calls for number in failures)
    assert all(exc is BUSY for exc, _ in told)


def test_it_waits_longer_after_every_failure_in_a_row_and_then_gives_up():
    job, pauses = FlakyJob([1], 1, failures=frozenset(range(100))), []
    with pytest.raises(TransientError):
        list(follow(job, job, "job", pause=pauses.append))
    assert pauses == list(PAUSES_S) == sorted(PAUSES_S)
    assert sum(PAUSES_S) > 240


def test_a_success_between_failures_begins_anew():
    job, pauses = FlakyJob([0, 0, 0, 0, 1], 1, failures=frozenset({0, 3})), []
    list(follow(job, job, "job", poll_s=0.25, pause=pauses.append))
    assert pauses.count(PAUSES_S[0]) == 2
    assert PAUSES_S[1] not in pauses


def test_other_errors_end_the_watch_at_once():
    job = FlakyJob([1], 1, failures=frozenset({0}), failure=SetupError(error("CPT401", "expired")))
    with pytest.raises(SetupError):
        list(follow(job, job, "job", pause=lambda _: None))


@pytest.mark.parametrize(
    ("state", "code"), [(JobState.FAILED, ExitCode.JOB_FAILED), (JobState.STOPPED, ExitCode.JOB_STOPPED)]
)
def test_an_unhappy_end_is_an_error_with_the_failures_own_words(state, code):
    ended = outcome_error(status_in(state))
    assert ended is not None
    assert ended.exit_code is code
    assert (ended.diagnostics[0].code, ended.diagnostics[0].message) == ("CPT604", "broke")
    assert ended.diagnostics[0].hint == "mend it"


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.FAILED, JobState.STOPPED}))
def test_any_other_state_is_no_error(state):
    assert outcome_error(status_in(state)) is None
