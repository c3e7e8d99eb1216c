"""A job's folder is whole or absent, laid out like /opt/ml, and says when it has been damaged."""

import errno
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.errors import Blame, PlanError, SetupError
from cloudcpt.jobs.ports import JobState, Phase
from cloudcpt.local.folder import JobFolder, build_folder, remove_folder, state_dir, sweep
from cloudcpt.local.layout import refuse_unreachable
from cloudcpt.local.lock import claim, is_claimed
from cloudcpt.local.record import JobRecord, Journal, read_journal, read_record
from cloudcpt.local.standing import standing
from cloudcpt.plan.plan import read_plan
from cloudcpt.wire import Evaluation, Failure
from tests.fakes import small_plan
from tests.local.engines import until


@pytest.fixture
def plan(tmp_path):
    return small_plan(tmp_path / "train.jsonl")


def record_of(plan) -> JobRecord:
    return JobRecord(
        name=plan.job_name,
        created_at=1.5,
        target=plan.target,
        plan_hash=plan.hash,
        max_runtime_s=plan.max_runtime_s,
        client=("cloudcpt", "submit"),
        trainer=("python",),
        made_by="cloudcpt 0",
        python="3",
    )


def test_the_folder_looks_to_a_trainer_like_opt_ml(tmp_path, plan):
    lock = build_folder(tmp_path / "jobs", plan, record_of(plan))
    folder = JobFolder(tmp_path / "jobs" / plan.job_name)
    assert read_plan(folder.ml.plan).hash == plan.hash
    assert read_plan(folder.root / "plan.json").hash == plan.hash
    assert folder.ml.channel("train").joinpath("train.jsonl").read_bytes() == (tmp_path / "train.jsonl").read_bytes()
    config = {path.stem: json.loads(path.read_text()) for path in folder.ml.config.iterdir()}
    assert set(config) == {"hyperparameters", "inputdataconfig", "resourceconfig"}
    assert config["hyperparameters"] == {"plan_hash": plan.hash}
    assert set(config["inputdataconfig"]) == {"plan", "train"}
    assert config["resourceconfig"]["hosts"] == [config["resourceconfig"]["current_host"]]
    assert {path.name for path in folder.ml.root.iterdir()} == {"input", "model", "output", "checkpoints", "tmp"}
    assert read_record(folder.record) == record_of(plan)
    assert read_journal(folder.journal) == Journal(phases=(Phase(state=JobState.PENDING, at=1.5),))
    assert is_claimed(folder.lock)
    os.close(lock)
    assert not is_claimed(folder.lock)


def test_jobs_share_the_rows_that_they_make_and_leave_them_behind(tmp_path, plan):
    folders = []
    for name in ("a", "b"):
        one = replace(plan, name=name)
        os.close(build_folder(tmp_path / "state" / "jobs", one, record_of(one)))
        folders.append(JobFolder(tmp_path / "state" / "jobs" / one.job_name))
    first, second = folders
    (first.ml.row_cache / "found").write_text("by both")
    assert (second.ml.row_cache / "found").read_text() == "by both"
    remove_folder(first)
    assert (tmp_path / "state" / "rows" / "found").read_text() == "by both"


def test_files_in_folders_of_a_channel_keep_their_names(tmp_path, plan):
    file = replace(plan.sources[0].files[0], name="a/b/part.jsonl")
    plan = replace(plan, sources=(replace(plan.sources[0], files=(file,)),))
    os.close(build_folder(tmp_path / "jobs", plan, record_of(plan)))
    channel = JobFolder(tmp_path / "jobs" / plan.job_name).ml.channel("train")
    assert (channel / "a" / "b" / "part.jsonl").is_file()


def test_a_second_maker_of_the_same_job_leaves_nothing_behind(tmp_path, plan):
    lock = build_folder(tmp_path / "jobs", plan, record_of(plan))
    assert build_folder(tmp_path / "jobs", plan, record_of(plan)) is None
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [plan.job_name]
    os.close(lock)


def test_a_maker_that_fails_leaves_nothing_behind(tmp_path, plan):
    file = replace(plan.sources[0].files[0], name="x" * 300)
    broken = replace(plan, sources=(replace(plan.sources[0], files=(file,)),))
    with pytest.raises(OSError, match=os.strerror(errno.ENAMETOOLONG)):
        build_folder(tmp_path / "jobs", broken, record_of(plan))
    assert list((tmp_path / "jobs").iterdir()) == []


def test_sweeping_removes_what_the_killed_left_and_nothing_else(tmp_path, plan):
    jobs = tmp_path / "jobs"
    os.close(build_folder(jobs, plan, record_of(plan)))
    for name in (".gone-1", ".new-old", ".new-young", ".new-claimed"):
        (jobs / name).mkdir()
    locks = [claim(jobs / ".new-claimed" / "lock")]
    an_hour_ago = time.time() - 3700
    for name in (".new-old", ".new-claimed"):
        os.utime(jobs / name, (an_hour_ago, an_hour_ago))
    sweep(jobs)
    assert {path.name for path in jobs.iterdir()} == {plan.job_name, ".new-young", ".new-claimed"}
    os.close(locks[0])


def test_a_lock_of_a_folder_that_was_removed_meanwhile_is_no_claim(tmp_path, plan):
    first = build_folder(tmp_path / "jobs", plan, record_of(plan))
    folder = JobFolder(tmp_path / "jobs" / plan.job_name)
    assert claim(folder.lock, patience_s=0) is None
    os.close(first)
    second = claim(folder.lock, patience_s=0)
    assert second is not None
    remove_folder(folder)
    os.close(second)
    assert claim(folder.lock, patience_s=0) is None
    assert not is_claimed(folder.lock)


def test_a_lock_that_was_waited_for_while_its_folder_went_is_no_claim(tmp_path, plan):
    first = build_folder(tmp_path / "jobs", plan, record_of(plan))
    folder = JobFolder(tmp_path / "jobs" / plan.job_name)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(claim, folder.lock, patience_s=20)
        until(
            lambda: (
                [os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir()].count(os.path.realpath(folder.lock))
                == 2
            )
        )
        remove_folder(folder)
        os.close(first)
        assert waiting.result() is None


class EndingFolder(JobFolder):
    """A folder whose job ends, well, just when somebody looks whether it is still watched over."""

    @property
    def lock(self) -> Path:
        read_journal(self.journal).entering(JobState.COMPLETED, 2.0).write(self.journal)
        return super().lock


def test_a_job_that_ends_between_two_looks_is_not_called_dead(tmp_path, plan):
    os.close(build_folder(tmp_path / "jobs", plan, record_of(plan)))
    root = tmp_path / "jobs" / plan.job_name
    assert standing(EndingFolder(root)).state is JobState.COMPLETED


@pytest.mark.parametrize(("state", "code"), [(JobState.PENDING, "CPT452"), (JobState.TRAINING, "CPT451")])
def test_a_job_that_nobody_watches_over_has_failed(tmp_path, plan, state, code):
    os.close(build_folder(tmp_path / "jobs", plan, record_of(plan)))
    folder = JobFolder(tmp_path / "jobs" / plan.job_name)
    Journal(phases=(Phase(state=state, at=1.0),)).write(folder.journal)
    found = standing(folder)
    assert found.state is JobState.FAILED
    assert found.failure
    assert found.failure.code == code


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CLOUDCPT_STATE_DIR": "/data/x", "XDG_STATE_HOME": "/y"}, Path("/data/x")),
        ({"CLOUDCPT_STATE_DIR": "", "XDG_STATE_HOME": "/y"}, Path("/y/cloudcpt")),
        ({"XDG_STATE_HOME": "relative"}, Path.home() / ".local/state/cloudcpt"),
        ({}, Path.home() / ".local/state/cloudcpt"),
    ],
)
def test_the_state_directory_follows_the_environment(environment, expected):
    assert state_dir(environment) == expected


def test_files_that_are_gone_or_elsewhere_are_all_named(plan, tmp_path):
    here = plan.sources[0].files[0]
    files = (here, replace(here, uri=str(tmp_path / "gone.jsonl")), replace(here, uri="s3://bucket/a.jsonl"))
    plan = replace(plan, sources=(replace(plan.sources[0], files=files),))
    with pytest.raises(PlanError) as caught:
        refuse_unreachable(plan)
    assert [found.code for found in caught.value.diagnostics] == ["CPT460", "CPT461"]


STATES = st.sampled_from(JobState)
FAILURES = st.builds(
    Failure,
    code=st.just("CPT604"),
    blame=st.sampled_from(Blame),
    message=st.text(st.characters(exclude_categories=["Cs"])),
    hint=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
)


@settings(deadline=None, max_examples=50)  # a busy disk is no failure
@given(
    phases=st.lists(st.builds(Phase, state=STATES, at=st.floats(0, 1e10)), min_size=1),
    failure=st.none() | FAILURES,
)
def test_a_journal_reads_back_as_it_was_written(tmp_path_factory, phases, failure):
    path = tmp_path_factory.mktemp("journal") / "status.json"
    evaluation = Evaluation(set_name="domain", step=3, loss=1.0, perplexity=2.7)
    journal = Journal(phases=tuple(phases), failure=failure, evaluations=(evaluation,))
    journal.write(path)
    assert read_journal(path) == journal


def test_of_each_held_out_set_the_first_and_the_last_measurement_stay():
    journal = Journal(phases=(Phase(state=JobState.TRAINING, at=0.0),))
    for step in (0, 5, 10):
        for name in ("domain", "general"):
            journal = journal.measured(Evaluation(set_name=name, step=step, loss=1.0, perplexity=2.7))
    kept = [(found.set_name, found.step) for found in journal.evaluations]
    assert kept == [("domain", 0), ("general", 0), ("domain", 10), ("general", 10)]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}', '{"schema_version": 1, "phases": [1]}'])
def test_a_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "status.json"
    path.write_text(text)
    with pytest.raises(SetupError, match=r"CPT459.*status\.json"):
        read_journal(path)
    with pytest.raises(SetupError, match=r"CPT459.*status\.json"):
        read_record(path)
