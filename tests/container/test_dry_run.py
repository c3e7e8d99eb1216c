"""A dry run does in containers what the cloud will do on machines, and the same thing twice."""

import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from cloudcpt.wire import MlFolder, model_faults, sha256_of
from tests.container.conftest import IMAGE, Lane

pytestmark = pytest.mark.container

OTHER = {"run": {"name": "other"}, "training_config": {"trainer": {"max_steps": 3}}}


def test_the_same_job_twice_learns_the_same_from_real_text(lane: Lane) -> None:
    seen = []
    for _ in range(2):
        job = lane.submit()
        assert lane.status(job)["state"] == "completed", lane.log(job)
        assert "not proven by it: NCCL, EFA" in lane.said
        assert "without capabilities" in lane.log(job)
        assert {path.stat().st_uid for path in (lane.ml(job) / "model").rglob("*")} == {os.getuid()}
        assert_it_learnt(lane, job)
        seen.append((lane.steps(job), sha256_of(lane.ml(job) / "model" / "model.safetensors")))
        fetched = lane.cloudcpt("fetch", job, "fetched", "--force")
        assert fetched.returncode == 0, fetched.stderr
        assert model_faults(lane.folder / "fetched") == []
        assert lane.cloudcpt("report", job, "--file", "report.html").returncode in (0, 2)
        lane.cloudcpt("delete", job, "--yes", "--with-model", check=True)
    assert seen[0] == seen[1]


def test_two_nodes_twice_learn_the_same_also_beside_another_job(lane: Lane) -> None:
    seen = []
    for beside in (False, True):
        other = lane.submit(follow=False, changes=OTHER) if beside else None
        job = lane.submit("--nodes", "2")
        assert lane.status(job)["state"] == "completed", lane.log(job)
        assert_it_learnt(lane, job)
        seen.append((lane.steps(job), sha256_of(lane.ml(job) / "model" / "model.safetensors")))
        second = MlFolder(lane.ml(job).with_name("ml-algo-2"))
        config = json.loads((second.config / "resourceconfig.json").read_text("utf-8"))
        assert (config["current_host"], config["hosts"]) == ("algo-2", ["algo-1", "algo-2"])
        assert list(second.model.iterdir()) == []
        assert "algo-2 | " in lane.log(job)
        lane.cloudcpt("delete", job, "--yes", "--with-model", check=True)
        if other:
            assert lane.wait_for_end(other, "the job beside it")["state"] == "completed"
    assert seen[0] == seen[1]


def test_a_job_that_ends_leaves_the_network_of_another_one_alone(lane: Lane) -> None:
    """podman resolves the names of all jobs with one process, which the first of them starts."""
    first = lane.submit("--nodes", "2", follow=False)
    lane.wait(lambda: "algo-2 | the job runs as" in lane.log(first))
    second = lane.submit("--nodes", "2", follow=False, changes=OTHER)
    lane.cloudcpt("stop", first, check=True)
    lane.wait_for_end(first, "the first of two jobs")
    assert lane.wait_for_end(second, "the second of two jobs")["state"] == "completed", lane.log(second)


def assert_it_learnt(lane: Lane, job: str) -> None:
    """Nobody predicts a byte of text better than by chance, 5.55 nats, without having learnt it."""
    losses = [float(loss) for _, loss, _ in lane.steps(job)]
    assert len(losses) == 20
    assert losses[0] > 5
    assert max(losses[-5:]) < 3.6
    assert lane.has_model(job)
    base = sha256_of(lane.folder / "base" / "model.safetensors")
    assert sha256_of(lane.ml(job) / "model" / "model.safetensors") != base


def test_the_image_keeps_the_contract(lane: Lane) -> None:
    checked = lane.cloudcpt("image", "check", IMAGE, "--engine", lane.engine.program)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "failed" not in checked.stdout


def test_an_image_that_is_not_ours_and_breaks_the_contract_is_told_how(lane: Lane, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nENTRYPOINT exec sleep 1\n", "utf-8")
    broken = f"localhost/cloudcpt-broken-{os.getpid()}"
    lane.engine.ask("build", "--tag", broken, str(tmp_path), patience_s=None)
    checked = lane.cloudcpt("image", "check", broken, "--engine", lane.engine.program)
    lane.engine.ask("rmi", "--force", broken)
    assert checked.returncode == 1
    assert "a shell is process 1" in checked.stdout
    assert "it ended as if all were well" in checked.stdout


def test_the_bill_lists_every_distribution_and_every_package_of_the_image(lane: Lane) -> None:
    def ask(*command: str) -> str:
        return lane.engine.ask_inside(IMAGE, *command).out

    bill = json.loads(ask("/bin/cat", "/opt/cloudcpt/bom.json"))
    listed = {component["purl"].split("?")[0] for component in bill["components"]}
    debs = ask("/usr/bin/dpkg-query", "--show", "--showformat", "${Package}\n").split()
    assert {unquote(purl.split("/")[2].split("@")[0]) for purl in listed if purl.startswith("pkg:deb")} == set(debs)
    folders = ask("/bin/sh", "-c", "ls -d /opt/cloudcpt/lib/python3*/site-packages/*.dist-info").split()
    there = {tuple(Path(folder).stem.replace("_", "-").lower().rsplit("-", 1)) for folder in folders}
    named = {
        tuple(unquote(purl).removeprefix("pkg:pypi/").split("@")) for purl in listed if purl.startswith("pkg:pypi")
    }
    assert len(there) > 50
    assert {(name.replace(".", "-"), version) for name, version in there} == named


def test_no_engine_is_an_answer_and_processes_are_used_only_when_told_to(lane: Lane) -> None:
    changes = {"launch": {"container": {"engine": "no-such-engine"}}}
    refused = lane.cloudcpt("submit", str(lane.recipe(changes)), "--target", "container")
    assert refused.returncode == 3
    assert "CPT791" in refused.stderr
    assert "--engine process" in refused.stderr
