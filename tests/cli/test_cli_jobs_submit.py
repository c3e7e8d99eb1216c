"""`submit` checks, plans, starts once, and says what it found; nothing is made when something is wrong."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloudcpt.cli.main import cli
from cloudcpt.cli.places import Places
from cloudcpt.errors import CloudcptError
from cloudcpt.jobs.ports import JobState
from cloudcpt.local.engine import LocalEngine
from tests.local.engines import end_all, fake_engine, wait_for
from tests.local.fake_trainer import LINES

RECIPE = """\
run:
  name: demo
  model_type: amazon.nova-micro-v1:0:128k
  model_name_or_path: nova-micro/prod
  replicas: 8
  data_s3_path: d.jsonl
training_config:
  max_length: 64
  global_batch_size: 32
  trainer:
    max_epochs: 1
  model:
    optim:
      lr: 1e-5
      sched:
        warmup_steps: 1
        min_lr: 1e-6
"""

REHEARSE = ("--target", "local", "--stand-in")


@dataclass(frozen=True)
class Shown:
    """What a shell would see of a command; `codes` are those of the error it ended with."""

    code: int
    out: str
    err: str
    codes: tuple[str, ...]
    hints: str


@pytest.fixture
def engine_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], LocalEngine]]:
    monkeypatch.chdir(tmp_path)
    Path("d.jsonl").write_text("".join(f'{{"text": "document {n} says {n * 7919}"}}\n' for n in range(2000)))
    Path("r.yaml").write_text(RECIPE)
    yield lambda behaviour: fake_engine(tmp_path / "state", behaviour)
    end_all(fake_engine(tmp_path / "state"))


def submit(engine: LocalEngine, *arguments: str) -> Shown:
    result = CliRunner().invoke(cli, ["submit", "r.yaml", *arguments], obj=Places(engine))
    failed = result.exception if isinstance(result.exception, CloudcptError) else None
    if failed is None and not isinstance(result.exception, SystemExit | None):
        raise result.exception
    found = failed.diagnostics if failed else ()
    return Shown(
        failed.exit_code if failed else result.exit_code,
        result.stdout,
        result.stderr,
        tuple(one.code for one in found),
        " ".join(one.hint or "" for one in found),
    )


def test_it_starts_the_job_and_says_what_to_do_next(engine_for: Callable[[str], LocalEngine]) -> None:
    engine = engine_for("wait")
    shown = submit(engine, *REHEARSE)
    (name,) = engine.names()
    assert (shown.code, shown.out) == (0, f"{name}: started\n")
    for words in (f"cloudcpt status {name}", f"cloudcpt logs -f {name}", f"cloudcpt stop {name}"):
        assert words in shown.err
    assert "steps" in shown.err
    wait_for(engine, name, JobState.TRAINING)
    again = submit(engine, *REHEARSE)
    assert (again.code, again.out) == (0, f"{name}: found, it is training\n")
    assert engine.names() == (name,)


def test_following_shows_the_lines_and_ends_with_the_result(engine_for: Callable[[str], LocalEngine]) -> None:
    engine = engine_for("complete")
    shown = submit(engine, *REHEARSE, "--follow")
    (name,) = engine.names()
    assert shown.code == 0
    assert all(line in shown.err.splitlines() for line in LINES)
    assert shown.out.startswith(f"{name}: completed\n")
    assert "domain perplexity   20.09 -> 2.72" in shown.out
    assert str(engine.folder(name).ml.model) in shown.out
    assert f"cloudcpt fetch {name}" in shown.err


def test_a_completed_job_is_found_and_nothing_is_started(engine_for: Callable[[str], LocalEngine]) -> None:
    engine = engine_for("complete")
    submit(engine, *REHEARSE, "--follow")
    before = engine.status(engine.names()[0])
    shown = submit(engine, *REHEARSE)
    assert shown.code == 0
    assert f"{before.name}: completed" in shown.out
    assert engine.status(before.name) == before


def test_json_is_one_document_with_the_job(engine_for: Callable[[str], LocalEngine]) -> None:
    engine = engine_for("complete")
    started = json.loads(submit(engine, *REHEARSE, "--output", "json").out)
    assert (started["schema_version"], started["adopted"]) == (1, False)
    ended = json.loads(submit(engine, *REHEARSE, "--output", "json", "--follow").out)
    assert (ended["adopted"], ended["state"], ended["name"]) == (True, "completed", started["name"])


def test_a_job_that_fails_while_it_is_followed_ends_with_6(engine_for: Callable[[str], LocalEngine]) -> None:
    shown = submit(engine_for("fail"), *REHEARSE, "--follow")
    assert shown.code == 6
    assert "error[CPT604] loss is not finite at step 2" in shown.err


def test_a_failed_job_starts_over_only_with_force(engine_for: Callable[[str], LocalEngine]) -> None:
    failing, waiting = engine_for("fail"), engine_for("wait")
    submit(failing, *REHEARSE, "--follow")
    refused = submit(waiting, *REHEARSE)
    assert (refused.code, refused.codes) == (6, ("CPT604", "CPT456"))
    assert "--force" in refused.hints
    forced = submit(waiting, *REHEARSE, "--force")
    assert (forced.code, forced.out.endswith(": started\n")) == (0, True)


def test_a_dry_run_prints_what_would_be_made_and_makes_nothing(engine_for: Callable[[str], LocalEngine]) -> None:
    engine = engine_for("complete")
    shown = submit(engine, *REHEARSE, "--dry-run")
    document = json.loads(shown.out)
    assert shown.code == 0
    assert document["plan"]["target"] == "local"
    assert document["command"][-2:] == ["--root", str(engine.folder(document["job_name"]).ml.root)]
    assert document["state"] is None
    assert not engine.state.exists()
    submit(engine, *REHEARSE, "--follow")
    assert json.loads(submit(engine, *REHEARSE, "--dry-run").out)["state"] == "completed"
    assert engine.names() == (document["job_name"],)


def test_weights_that_stay_with_aws_are_explained_before_the_data_is_read(
    engine_for: Callable[[str], LocalEngine],
) -> None:
    Path("d.jsonl").unlink()
    shown = submit(engine_for("complete"), "--target", "local")
    assert (shown.code, shown.codes) == (1, ("CPT475",))
    assert "--stand-in" in shown.hints


@pytest.mark.parametrize("target", ["hyperpod", None])
def test_a_target_that_starts_no_jobs_says_what_to_do(
    engine_for: Callable[[str], LocalEngine], target: str | None
) -> None:
    shown = submit(engine_for("complete"), *(("--target", target) if target else ()))
    assert (shown.code, shown.codes) == (3, ("CPT474",))
    assert "cloudcpt render" in shown.hints


def test_without_a_container_engine_the_answer_comes_before_the_data_is_read(
    engine_for: Callable[[str], LocalEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    Path("d.jsonl").unlink()
    shown = submit(engine_for("complete"), "--target", "container", "--stand-in")
    assert (shown.code, shown.codes) == (3, ("CPT791",))
    assert "--engine process" in shown.hints


def test_a_folder_that_no_container_can_be_given_is_refused(
    engine_for: Callable[[str], LocalEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = engine_for("complete").trainer
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("FAKE_DOCKER", str(tmp_path / "docker"))
    fake = Path(__file__).parents[1] / "fake_docker.py"
    Path("r.yaml").write_text(Path("r.yaml").read_text() + f"\nlaunch: {{container: {{engine: {fake}}}}}\n")
    shown = submit(LocalEngine(tmp_path / "a:b", trainer=trainer), "--target", "container", "--stand-in")
    assert (shown.code, shown.codes) == (3, ("CPT799",))


def test_processes_take_the_place_of_a_container_only_when_told_to(engine_for: Callable[[str], LocalEngine]) -> None:
    shown = submit(engine_for("complete"), "--target", "container", "--stand-in", "--engine", "process", "--follow")
    assert shown.code == 0
    assert "it proves nothing about the image" in shown.err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--target", "local", "--nodes", "2"), "`--nodes` is for target `container`"),
        (("--target", "local", "--engine", "process"), "`--engine` is for target `container`"),
        (("--target", "container", "--engine", "process", "--nodes", "2"), "has one machine"),
    ],
)
def test_nodes_that_cannot_be_are_a_matter_of_the_command_line(
    engine_for: Callable[[str], LocalEngine], words: tuple[str, ...], answer: str
) -> None:
    shown = submit(engine_for("complete"), "--stand-in", *words)
    assert shown.code == 2
    assert answer in shown.err


@pytest.mark.parametrize(
    ("name", "text", "code"), [("r.yaml", "run: {", None), ("d.jsonl", '{"txet": "a"}\n', "CPT341")]
)
def test_what_is_wrong_is_found_before_anything_is_made(
    engine_for: Callable[[str], LocalEngine], name: str, text: str, code: str | None
) -> None:
    engine = engine_for("complete")
    Path(name).write_text(text)
    shown = submit(engine, *REHEARSE)
    assert shown.code == 1
    assert code is None or code in shown.codes
    assert not engine.state.exists()


def test_changed_data_is_another_job(engine_for: Callable[[str], LocalEngine]) -> None:
    engine = engine_for("complete")
    submit(engine, *REHEARSE, "--follow")
    with Path("d.jsonl").open("a") as file:
        file.write('{"text": "one more"}\n')
    submit(engine, *REHEARSE, "--follow")
    assert len(engine.names()) == 2
