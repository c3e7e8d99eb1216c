"""A dry run does in containers what the cloud will do on machines, and the same thing twice."""

import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest

from cloudcpt.wire import MlFolder, model_faults, sha256_of
from tests.container.conftest import IMAGE, Lane

pytestmark = pytest.mark.container


@pytest.mark.parametrize("nodes", ["1", "2"])
def test_the_same_job_twice_gives_the_same_losses_and_the_same_model(lane: Lane, nodes: str) -> None:
    seen = []
    for _ in range(2):
        job = lane.submit("--nodes", nodes)
        status = lane.status(job)
        assert status["state"] == "completed", lane.log(job)
        assert model_faults(lane.ml(job) / "model") == []
        assert len(lane.steps(job)) == 20
        seen.append((lane.steps(job), sha256_of(lane.ml(job) / "model" / "model.safetensors")))
        lane.cloudcpt("delete", job, "--yes", "--with-model", check=True)
    assert seen[0] == seen[1]


def test_two_nodes_find_each_other_by_name_and_only_the_first_has_the_model(lane: Lane) -> None:
    job = lane.submit("--nodes", "2")
    second = MlFolder(lane.state / "jobs" / job / "ml-algo-2")
    config = json.loads((second.config / "resourceconfig.json").read_text("utf-8"))
    assert (config["current_host"], config["hosts"]) == ("algo-2", ["algo-1", "algo-2"])
    assert list(second.model.iterdir()) == []
    assert "algo-2 | " in lane.log(job)


def test_the_job_is_nobody_inside_and_its_files_are_ours_outside(lane: Lane) -> None:
    job = lane.submit()
    assert "without capabilities" in lane.log(job)
    model = lane.ml(job) / "model"
    assert {path.stat().st_uid for path in model.rglob("*")} == {os.getuid()}
    fetched = lane.cloudcpt("fetch", job, "fetched")
    assert fetched.returncode == 0, fetched.stderr
    assert lane.cloudcpt("report", job, "--file", "report.html").returncode in (0, 2)


def test_what_a_rehearsal_does_not_prove_is_said(lane: Lane) -> None:
    said = lane.cloudcpt("submit", str(lane.recipe()), "--target", "container", "--follow")
    assert "not proven by it: NCCL, EFA" in said.stderr


def test_the_image_keeps_the_contract(lane: Lane) -> None:
    checked = lane.cloudcpt("image", "check", IMAGE, "--engine", lane.engine.program)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "failed" not in checked.stdout


def test_an_image_that_is_not_ours_and_breaks_the_contract_is_told_how(lane: Lane, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nENTRYPOINT exec sleep 1\n", "utf-8")
    lane.engine.ask("build", "--tag", "localhost/cloudcpt-broken", str(tmp_path), patience_s=None)
    checked = lane.cloudcpt("image", "check", "localhost/cloudcpt-broken", "--engine", lane.engine.program)
    lane.engine.ask("rmi", "--force", "localhost/cloudcpt-broken")
    assert checked.returncode == 1
    assert "a shell is process 1" in checked.stdout
    assert "it ended as if all were well" in checked.stdout


def test_the_bill_lists_every_distribution_and_every_package_of_the_image(lane: Lane) -> None:
    def ask(*command: str) -> str:
        entry, *words = command
        return lane.engine.ask("run", "--rm", "--network", "none", "--entrypoint", entry, IMAGE, *words).out

    bill = json.loads(ask("/bin/cat", "/opt/cloudcpt/bom.json"))
    listed = {component["purl"].split("?")[0] for component in bill["components"]}
    debs = ask("/usr/bin/dpkg-query", "--show", "--showformat", "${Package}\n").split()
    assert {unquote(purl.split("/")[2].split("@")[0]) for purl in listed if purl.startswith("pkg:deb")} == set(debs)
    folders = ask("/bin/sh", "-c", "ls -d /opt/cloudcpt/lib/python3*/site-packages/*.dist-info").split()
    assert len([purl for purl in listed if purl.startswith("pkg:pypi")]) >= len(folders) > 50


def test_no_engine_is_an_answer_and_processes_are_used_only_when_told_to(lane: Lane) -> None:
    changes = {"launch": {"container": {"engine": "no-such-engine"}}}
    refused = lane.cloudcpt("submit", str(lane.recipe(changes)), "--target", "container")
    assert refused.returncode == 3
    assert "CPT791" in refused.stderr
    assert "--engine process" in refused.stderr
