import json
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from cloudcpt.cli.places import Places
from cloudcpt.cli.report import command
from cloudcpt.errors import SetupError, UsageProblem
from cloudcpt.jobs.ports import JobState, Phase
from cloudcpt.local.engine import LocalEngine
from cloudcpt.local.record import JobRecord, Journal


@pytest.fixture
def engine(tmp_path):
    return LocalEngine(tmp_path / "state")


@pytest.fixture
def job(engine, plan, tell, story):
    """Put a completed job into the engine's folder and give its name."""

    def make(name: str = "python-reference", created_at: float = 100.0) -> str:
        named = replace(plan, name=name)
        end = {"kind": "end", "step": 80, "outcome": "completed", "seconds": 41.5}
        ml = tell(named, [*story(named), end], model=True)
        folder = engine.folder(named.job_name)
        folder.root.mkdir(parents=True)
        ml.root.rename(folder.ml.root)
        folder.log.touch()
        JobRecord(
            name=named.job_name,
            created_at=created_at,
            target="local",
            plan_hash=named.hash,
            max_runtime_s=0,
            client=("cloudcpt",),
            trainer=("python",),
            made_by="cloudcpt",
            python="3.11",
        ).write(folder.record)
        Journal(phases=(Phase(state=JobState.COMPLETED, at=created_at),)).write(folder.journal)
        return named.job_name

    return make


@pytest.fixture
def report(engine):
    def run(*arguments: object) -> Result:
        return CliRunner().invoke(command, [str(argument) for argument in arguments], obj=Places(engine))

    return run


def test_the_page_is_written_beside_the_job_and_its_path_is_all_of_stdout(report, job, engine):
    name = job()
    done = report(name)
    page = engine.folder(name).root / "report.html"
    assert done.exit_code == 0
    assert done.stdout == f"{page}\n"
    assert page.read_text("utf-8").startswith("<!doctype html>")


def test_the_summary_says_the_verdict_and_draws_the_loss(report, job):
    shown = report(job()).stderr
    assert "The model learned the domain, and its general ability was kept" in shown
    assert "from 354.2 to 95.58" in shown
    assert any("\u2801" <= char <= "\u28ff" for char in shown)


def test_without_a_name_the_newest_job_is_reported(report, job):
    job("old", created_at=1.0)
    new = job("new", created_at=2.0)
    assert new in report().stdout


def test_the_page_goes_where_it_is_asked_for(report, job, tmp_path):
    page = tmp_path / "pages" / "mine.html"
    assert report(job(), "--to", page).stdout == f"{page}\n"
    assert page.is_file()


def test_a_page_that_cannot_be_written_is_said_in_one_sentence(report, job, tmp_path):
    (tmp_path / "file").touch()
    assert isinstance(report(job(), "--to", tmp_path / "file" / "report.html").exception, SetupError)


def test_json_has_the_numbers_on_stdout_and_writes_no_page(report, job, engine):
    name = job()
    document = json.loads(report(name, "--output", "json").stdout)
    assert (document["schema_version"], document["job_name"]) == (1, name)
    assert not (engine.folder(name).root / "report.html").exists()


def test_two_jobs_share_one_page_and_one_document(report, job, engine):
    first, second = job("with-replay"), job("without-replay")
    page = report(first, "--against", second).stdout.strip()
    assert page == str(engine.folder(first).root / f"report-against-{second}.html")
    runs = json.loads(report(first, "--against", second, "--output", "json").stdout)["runs"]
    assert [run["job_name"] for run in runs] == [first, second]


def test_a_job_that_is_not_there_is_the_usual_answer(report, job):
    job()
    assert isinstance(report("nowhere").exception, UsageProblem)


def test_a_file_for_json_is_refused_rather_than_ignored(report, job):
    assert report(job(), "--output", "json", "--to", "x.html").exit_code == 2
