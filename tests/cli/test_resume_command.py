"""`resume` lets a job go on that was interrupted, and `fetch --checkpoint` gets what it kept on the way."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloudcpt.cli.main import cli
from cloudcpt.cli.places import Places
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.ports import JobState
from cloudcpt.wire import model_faults
from tests.cli.clouds import FakeRegion
from tests.fakes import small_plan
from tests.jobs.cloud_plans import cloud_plan
from tests.local.engines import end_all, fake_engine, wait_for


@pytest.fixture
def places_where_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Places]]:
    """Run a job to its end, or into the state it stays in."""
    monkeypatch.chdir(tmp_path)

    def made(behaviour: str) -> Places:
        engine = fake_engine(tmp_path / "state", behaviour)
        name = engine.create(small_plan(tmp_path / "train.jsonl")).name
        wait_for(engine, name, *([JobState.TRAINING] if behaviour == "wait" else []))
        return Places(engine)

    yield made
    end_all(fake_engine(tmp_path / "state"))


@pytest.fixture
def interrupted(places_where_a_job: Callable[[str], Places]) -> Places:
    return places_where_a_job("interrupted")


def shell(places: Places, *words: str, answer: str = "") -> Result:
    return CliRunner().invoke(cli, words, obj=places, input=answer)


def error_of(result: Result) -> CloudcptError:
    assert isinstance(result.exception, CloudcptError), result.exception
    return result.exception


def test_it_goes_on_and_is_followed_from_where_it_goes_on(interrupted: Places) -> None:
    shown = shell(interrupted, "resume", "--follow")
    assert shown.exit_code == 0, shown.exception
    assert shown.stderr.startswith("going on after step 2\n")
    assert shown.stderr.count("reading the plan") == 1
    assert "resumed: going on from step 2" in shown.stderr
    (name,) = interrupted.names()
    assert f"{name}: completed" in shown.stdout


def test_without_following_it_says_what_to_do_next(interrupted: Places) -> None:
    shown = shell(interrupted, "resume", "--output", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["adopted"] is False


def test_its_exit_code_is_that_of_submit(interrupted: Places) -> None:
    (name,) = interrupted.names()
    (interrupted.local.folder(name).ml.checkpoints / ".recovery" / "step-00000002").rename(
        interrupted.local.folder(name).ml.checkpoints / ".recovery" / "step-x"
    )
    assert error_of(shell(interrupted, "resume")).exit_code == 2


@pytest.mark.parametrize(
    ("behaviour", "words"), [("complete", "has completed"), ("fail", "left no state"), ("wait", "is training")]
)
def test_what_cannot_go_on_is_refused(behaviour: str, words: str, places_where_a_job: Callable[[str], Places]) -> None:
    places = places_where_a_job(behaviour)
    found = error_of(shell(places, "resume"))
    assert (found.exit_code, found.diagnostics[0].code) == (2, "CPT479")
    assert words in found.diagnostics[0].message


def test_status_says_that_it_can_go_on_and_what_it_kept(interrupted: Places) -> None:
    (name,) = interrupted.names()
    shown = shell(interrupted, "status")
    assert shown.exit_code == 6
    assert "can go on    after step 2" in shown.stdout
    assert "checkpoints  1 model beside the final one, after step 1" in shown.stdout
    assert f"cloudcpt resume {name}" in shown.stderr
    document = json.loads(shell(interrupted, "status", "--output", "json").stdout)
    assert (document["checkpoints"], document["recovery_step"]) == ([1], 2)


@pytest.mark.parametrize("wanted", ["1", "step-1", "step-00000001", "all"])
def test_a_checkpoint_is_fetched_and_verified(wanted: str, interrupted: Places) -> None:
    (name,) = interrupted.names()
    shown = shell(interrupted, "fetch", name, "--checkpoint", wanted)
    assert shown.exit_code == 0, shown.exception
    place = Path(f"{name}-checkpoints/step-00000001")
    assert shown.stdout == f"{place}: complete, every file verified\n"
    assert model_faults(place) == []
    again = error_of(shell(interrupted, "fetch", name, "--checkpoint", wanted))
    assert again.diagnostics[0].code == "CPT463"
    document = json.loads(shell(interrupted, "fetch", name, "there", "--checkpoint", wanted, "--output", "json").stdout)
    assert document["checkpoints"] == [{"step": 1, "model": str(Path("there/step-00000001").absolute())}]


def test_an_altered_checkpoint_is_not_fetched(interrupted: Places) -> None:
    (name,) = interrupted.names()
    folder = interrupted.local.folder(name).ml.checkpoints / "step-00000001"
    (folder / "model.safetensors").write_bytes(b"other")
    found = error_of(shell(interrupted, "fetch", name, "--checkpoint", "1"))
    assert (found.exit_code, found.diagnostics[0].code) == (1, "CPT462")
    assert not Path(f"{name}-checkpoints/step-00000001").exists()


@pytest.mark.parametrize("wanted", ["2", "step-x", "last"])
def test_a_checkpoint_that_is_not_there_is_answered_with_those_that_are(wanted: str, interrupted: Places) -> None:
    found = error_of(shell(interrupted, "fetch", "--checkpoint", wanted)).diagnostics[0]
    assert (found.code, found.hint) == ("CPT478", "those of steps `1` are there, or `all`")


def test_a_job_without_checkpoints_says_how_to_have_some(places_where_a_job: Callable[[str], Places]) -> None:
    found = error_of(shell(places_where_a_job("complete"), "fetch", "--checkpoint", "all")).diagnostics[0]
    assert found.code == "CPT478"
    assert "checkpoint.every_steps" in str(found.hint)


# --- in the cloud -------------------------------------------------------------------------------------------------


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Places, FakeRegion, str]:
    """A job in the cloud that has failed and can go on."""
    monkeypatch.chdir(tmp_path)
    state = tmp_path / "state"
    region = FakeRegion(state, end=JobState.FAILED)
    region.jobs.jobs.recovery_step = 40
    places = Places(fake_engine(state), connect=lambda *_: region, cloud_poll_s=0.0)
    plan = cloud_plan(tmp_path)
    name = places.create(plan).name
    while not places.status(name).state.is_final:
        pass
    return places, region, name


def test_in_the_cloud_it_costs_and_is_asked_about(away: tuple[Places, FakeRegion, str]) -> None:
    places, region, name = away
    shown = shell(places, "resume", name, answer="n\n")
    assert shown.exit_code != 0
    assert f"resume {name}" not in region.jobs.calls
    shown = shell(places, "resume", name, "--yes")
    assert shown.exit_code == 0, shown.exception
    assert f"resume {name}" in region.jobs.calls
    assert "going on after step 40" in shown.stderr
