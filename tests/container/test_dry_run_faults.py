"""What goes wrong in a container ends in a coded reason that the client shows, and never in half a model.

Each test says how long the end took. No test is about that time: a machine that does other work takes its own.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.local.processes import descendants
from cloudcpt.wire import COMPLETE_FILE, RECOVERY_DIR, parse_failure
from tests.container.conftest import Lane

pytestmark = pytest.mark.container

LONG = {"training_config": {"trainer": {"max_steps": 20_000}}}
SHORT = {"training_config": {"trainer": {"max_steps": 3}}}
SAVING = {"training_config": {"trainer": {"max_steps": 20_000}}, "checkpoint": {"recovery_every_steps": 1}}

GLANCE = 200
"""Characters of a failure by which its cause has to be clear."""


def seen_at_a_glance(lane: Lane, job: str, words: str) -> bool:
    return words in lane.failure(job)["message"][:GLANCE]


# --- a stop ------------------------------------------------------------------------------------------------------


def at_once(lane: Lane, job: str) -> None:
    """Before its containers are there."""


def before_the_first_step(lane: Lane, job: str) -> None:
    lane.wait(lambda: "without capabilities" in lane.log(job))


def at_a_random_step(lane: Lane, job: str) -> None:
    lane.wait_for_step(job, random.Random(len(lane.log(job))).randint(1, 40))


def while_a_state_is_written(lane: Lane, job: str) -> None:
    states = lane.ml(job) / "checkpoints" / RECOVERY_DIR
    lane.wait(lambda: [path for path in states.glob("step-*") if not (path / COMPLETE_FILE).exists()], pause_s=0.001)


@pytest.mark.parametrize(
    ("moment", "nodes"),
    [
        (at_once, "1"),
        (before_the_first_step, "1"),
        (at_a_random_step, "1"),
        (while_a_state_is_written, "1"),
        (at_a_random_step, "2"),
        pytest.param(at_once, "2", marks=pytest.mark.torture),
        pytest.param(before_the_first_step, "2", marks=pytest.mark.torture),
        pytest.param(while_a_state_is_written, "2", marks=pytest.mark.torture),
        *(pytest.param(at_a_random_step, nodes, marks=pytest.mark.torture) for nodes in ("1", "2") for _ in range(5)),
    ],
)
def test_a_stop_at_any_moment_ends_the_job_without_a_model_and_says_so(
    lane: Lane, moment: Callable[[Lane, str], None], nodes: str
) -> None:
    job = lane.submit("--nodes", nodes, follow=False, changes=SAVING)
    moment(lane, job)
    asked = time.monotonic()
    lane.cloudcpt("stop", job, check=True)
    lane.cloudcpt("stop", job, check=True)  # once more changes nothing
    status = lane.wait_for_end(job, f"stop {moment.__name__} on {nodes} nodes", since=asked)
    assert (status["state"], status["failure"]["code"]) == ("stopped", "CPT464")
    assert seen_at_a_glance(lane, job, "stopped on request")
    assert not lane.has_model(job)
    if moment is not at_once:  # no container was there to leave a reason
        left = parse_failure((lane.ml(job) / "output" / "failure").read_text("utf-8"))
        assert left is not None
        assert left.code == "CPT660"


def as_the_export_begins(lane: Lane, job: str) -> None:
    lane.wait(lambda: "export: writing the final model" in lane.log(job), pause_s=0.001)


def between_two_files(lane: Lane, job: str) -> None:
    lane.wait((finished(lane, job) / "config.json").exists, pause_s=0.0005)


def before_it_is_sealed(lane: Lane, job: str) -> None:
    lane.wait((finished(lane, job) / "model.safetensors").exists, pause_s=0.0005)


def finished(lane: Lane, job: str) -> Path:
    return lane.ml(job) / "tmp" / "finished-model"


@pytest.mark.parametrize(
    ("moment", "nodes"),
    [
        (as_the_export_begins, "1"),
        (between_two_files, "1"),
        (before_it_is_sealed, "1"),
        pytest.param(as_the_export_begins, "2", marks=pytest.mark.torture),
        pytest.param(between_two_files, "2", marks=pytest.mark.torture),
    ],
)
def test_a_stop_while_the_model_is_written_comes_too_late_to_matter(
    lane: Lane, moment: Callable[[Lane, str], None], nodes: str
) -> None:
    job = lane.submit("--nodes", nodes, follow=False, changes=SHORT)
    moment(lane, job)
    lane.engine.ask("kill", "--signal", "TERM", lane.container(job))
    status = lane.wait_for_end(job, f"stop {moment.__name__}")
    assert (status["state"], lane.has_model(job)) == ("completed", True), lane.log(job)


def test_a_job_that_is_killed_while_the_model_is_written_leaves_none(lane: Lane) -> None:
    job = lane.submit(follow=False, changes=SHORT)
    before_the_first_step(lane, job)
    first = int(lane.process_of(job).name)
    between_two_files(lane, job)
    os.kill(first, signal.SIGKILL)  # faster than any engine
    status = lane.wait_for_end(job, "kill -9 while the model is written")
    assert (status["state"], lane.has_model(job)) == ("failed", False)
    assert list((lane.ml(job) / "model").iterdir()) == []


# --- a node ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["algo-1", "algo-2"])
def test_a_node_that_is_killed_ends_the_job_and_is_named(lane: Lane, host: str) -> None:
    job = lane.submit("--nodes", "2", follow=False, changes=LONG)
    lane.wait_for_step(job, 3)
    lane.engine.ask("kill", "--signal", "KILL", lane.container(job, host))
    status = lane.wait_for_end(job, f"kill -9 of {host}")
    assert (status["state"], status["failure"]["code"]) == ("failed", "CPT656")
    assert seen_at_a_glance(lane, job, f"the container of {host} was killed")
    assert not lane.has_model(job)


@pytest.mark.parametrize("host", ["algo-2", pytest.param("algo-1", marks=pytest.mark.torture)])
def test_a_node_that_hangs_ends_the_job_after_the_time_that_the_recipe_allows(lane: Lane, host: str) -> None:
    changes = {"training_config": {"trainer": {"max_steps": 20_000, "timeout_s": 10}}}
    job = lane.submit("--nodes", "2", follow=False, changes=changes)
    lane.wait_for_step(job, 3)
    lane.engine.ask("pause", lane.container(job, host))
    status = lane.wait_for_end(job, f"{host} paused, 10 s of patience")
    assert (status["state"], status["failure"]["code"]) == ("failed", "CPT658")
    assert seen_at_a_glance(lane, job, f"the container of {host} stopped answering")
    assert not lane.has_model(job)


def test_a_container_that_somebody_removes_is_called_so(lane: Lane) -> None:
    job = lane.submit(follow=False, changes=LONG)
    lane.wait_for_step(job, 1)
    at_once = ("--time", "0") if lane.engine.kind == "podman" else ()  # podman asks it to stop first
    lane.engine.ask("rm", "--force", *at_once, lane.container(job))
    status = lane.wait_for_end(job, "rm --force")
    assert (status["state"], status["failure"]["code"]) == ("failed", "CPT663")
    assert seen_at_a_glance(lane, job, "the container of algo-1 was removed while it ran")


# --- who watches over the job ------------------------------------------------------------------------------------


def watchers(lane: Lane, job: str) -> list[int]:
    """Find guard, supervisor and dry run of a job, each the parent of the next."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            continue
        if any(word.startswith(str(lane.state / "jobs" / job)) for word in words) and "-m" in words:
            found.append(int(path.name))
    return sorted(found, key=lambda pid: -len(descendants(pid)))


@pytest.mark.parametrize(("number", "code"), [(1, "CPT451"), (2, "CPT471")], ids=["supervisor", "dry-run"])
def test_who_watches_over_a_job_takes_its_containers_along_when_killed(lane: Lane, number: int, code: str) -> None:
    job = lane.submit(follow=False, changes=LONG)
    lane.wait_for_step(job, 1)
    os.kill(watchers(lane, job)[number], signal.SIGKILL)
    status = lane.wait_for_end(job, f"kill -9 of {('guard', 'supervisor', 'dry run')[number]}")
    assert (status["state"], status["failure"]["code"]) == ("failed", code)
    assert lane.containers(lane.engine_name(job)) == []
    assert not lane.has_model(job)


@pytest.mark.parametrize("verb", ["status", pytest.param("stop", marks=pytest.mark.torture)])
def test_of_a_job_that_nobody_watches_over_the_next_look_removes_the_containers(lane: Lane, verb: str) -> None:
    job = lane.submit("--nodes", "2" if verb == "stop" else "1", follow=False, changes=LONG)
    lane.wait_for_step(job, 1)
    for pid in watchers(lane, job):
        os.kill(pid, signal.SIGSTOP)  # or each would see the one before it die, and act
    for pid in watchers(lane, job):
        os.kill(pid, signal.SIGKILL)
    assert lane.containers(lane.engine_name(job)) != []
    started = time.monotonic()
    lane.cloudcpt(verb, job)
    sys.stderr.write(f"kill -9 of all that watch: {time.monotonic() - started:.1f} s for `{verb}`\n")
    assert lane.containers(lane.engine_name(job)) == []
    assert lane.networks(lane.engine_name(job)) == []
    assert lane.failure(job)["code"] == "CPT451"
    again = lane.submit("--force", changes=SHORT)
    assert (lane.status(again)["state"], lane.has_model(again)) == ("completed", True)


# --- what the machine does not have ------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", ["1", "2"])
def test_a_container_that_may_use_too_little_memory_is_called_so(lane: Lane, nodes: str) -> None:
    """On two nodes, one of them fills its memory by itself: what is in /tmp counts."""
    limit = 0.2 if nodes == "1" else 1.2
    job = lane.submit("--nodes", nodes, follow=False, changes={**LONG, "launch": {"container": {"memory_gb": limit}}})
    if nodes == "2":
        lane.wait_for_step(job, 1)
        fill = ("/bin/dd", "if=/dev/zero", "of=/tmp/fill", "bs=1M", "count=1500")
        lane.engine.ask("exec", lane.container(job, "algo-2"), *fill)
    status = lane.wait_for_end(job, f"out of memory on {nodes} nodes")
    assert (status["state"], status["failure"]["code"]) == ("failed", "CPT656")
    assert "memory" in status["failure"]["message"][:GLANCE]
    assert "`launch.container.memory_gb`" in status["failure"]["hint"]


def test_a_full_disk_is_called_so(lane: Lane, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    lane.state = small / "state"
    try:
        job = lane.submit()
        status = lane.status(job)
        sys.stderr.write(f"full disk: {status['failure']}\n")
        assert (status["state"], status["failure"]["code"]) in (("failed", "CPT657"), ("failed", "CPT611"))
        assert "disk" in status["failure"]["message"][:GLANCE]
        assert not lane.has_model(job)
    finally:
        shutil.rmtree(lane.state / "jobs", ignore_errors=True)
        subprocess.run(["umount", str(small)], check=True)
