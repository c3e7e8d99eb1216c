"""What goes wrong in a container ends in a coded reason that the client shows, and never in a model."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from cloudcpt.local.dry_run import DryRun, Limits
from cloudcpt.local.layout import lay_out
from cloudcpt.plan.plan import read_plan
from cloudcpt.wire import COMPLETE_FILE, MlFolder, model_faults, parse_failure
from tests.container.conftest import IMAGE, Lane

pytestmark = pytest.mark.container

LONG = {"training_config": {"trainer": {"max_steps": 5000}}}


def failure(status: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = status["failure"]
    return found


def test_a_node_that_is_killed_ends_the_job_and_is_named(lane: Lane) -> None:
    job = lane.submit("--nodes", "2", follow=False, changes=LONG)
    lane.wait_for_step(job, 3)
    lane.engine.ask("kill", "--signal", "KILL", f"cloudcpt-{job}-algo-2")
    status, seconds = lane.wait_for_end(job)
    sys.stderr.write(f"killed node: {seconds:.1f} s to the end\n")
    assert status["state"] == "failed"
    assert "algo-2" in failure(status)["message"]
    assert not (lane.ml(job) / "model" / COMPLETE_FILE).exists()


def test_a_node_that_hangs_ends_the_job_after_the_time_that_the_recipe_allows(lane: Lane) -> None:
    changes = {"training_config": {"trainer": {"max_steps": 5000, "timeout_s": 15}}}
    job = lane.submit("--nodes", "2", follow=False, changes=changes)
    lane.wait_for_step(job, 3)
    lane.engine.ask("pause", f"cloudcpt-{job}-algo-2")
    status, seconds = lane.wait_for_end(job)
    sys.stderr.write(f"paused node: {seconds:.1f} s to the end, of them 15 s of patience\n")
    assert status["state"] == "failed"
    assert failure(status)["code"] in ("CPT656", "CPT658")
    assert not (lane.ml(job) / "model" / COMPLETE_FILE).exists()


@pytest.mark.parametrize("nodes", ["1", "2"])
def test_a_stop_at_any_step_leaves_no_model_and_says_where(lane: Lane, nodes: str) -> None:
    job = lane.submit("--nodes", nodes, follow=False, changes=LONG)
    lane.wait_for_step(job, random.Random(nodes).randint(1, 40))
    lane.cloudcpt("stop", job, check=True)
    status, seconds = lane.wait_for_end(job)
    sys.stderr.write(f"stop on {nodes} nodes: {seconds:.1f} s to the end\n")
    assert status["state"] == "stopped"
    assert not (lane.ml(job) / "model" / COMPLETE_FILE).exists()


def test_a_stop_while_the_model_is_written_leaves_a_whole_model_or_none(lane: Lane) -> None:
    job = lane.submit(follow=False)
    lane.wait(lambda: "export: writing the final model" in lane.log(job))
    lane.cloudcpt("stop", job)
    status, _ = lane.wait_for_end(job)
    model = lane.ml(job) / "model"
    assert status["state"] in ("completed", "stopped")
    assert model_faults(model) == [] if status["state"] == "completed" else not (model / COMPLETE_FILE).exists()


def test_a_container_that_may_use_too_little_memory_is_called_so(lane: Lane) -> None:
    job = lane.submit(changes={"launch": {"container": {"memory_gb": 0.2}}})
    status = lane.status(job)
    assert status["state"] == "failed"
    assert failure(status)["code"] == "CPT656"


def test_a_full_disk_is_called_so(lane: Lane, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(small)], check=True)
    lane.state = small / "state"
    try:
        job = lane.submit()
        status = lane.status(job)
        assert status["state"] == "failed"
        assert failure(status)["code"] in ("CPT657", "CPT611")
        assert not (lane.ml(job) / "model" / COMPLETE_FILE).exists()
    finally:
        shutil.rmtree(lane.state / "jobs", ignore_errors=True)
        subprocess.run(["umount", str(small)], check=True)


# --- what the client would have refused, given to the container all the same ---------------------------------------


def run_changed(lane: Lane, change: Callable[[MlFolder], None]) -> tuple[int, str]:
    """Lay a job out, spoil it, and run it; give the exit status and the code that it left."""
    saved = lane.folder / "plan.json"
    lane.cloudcpt("plan", str(lane.recipe()), "--target", "container", "--save", str(saved), check=True)
    plan, ml = read_plan(saved), MlFolder(lane.folder / "spoilt" / "ml")
    lay_out(ml, plan)
    change(ml)
    with (lane.folder / "spoilt.log").open("wb") as log:
        status = DryRun(
            engine=lane.engine,
            image=lane.engine.image_id(IMAGE),
            job="cloudcpt-spoilt",
            world=plan.world,
            limits=Limits(),
            log=log,
        ).run(ml)
    left = parse_failure(ml.failure.read_text("utf-8"))
    assert left is not None
    return status, left.code


def real(path: Path) -> bytes:
    """Take a link of the input away and give what it led to."""
    content = path.read_bytes()
    path.unlink()
    return content


def flip_a_byte(ml: MlFolder) -> None:
    path = next(ml.channel("train").rglob("*.jsonl"))
    content = bytearray(real(path))
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def remove_a_shard(ml: MlFolder) -> None:
    next(ml.channel("train").rglob("*.jsonl")).unlink()


def spoil_the_weights(ml: MlFolder) -> None:
    """Make one weight NaN; the plan is told of the new file, as one who made the model so would plan with it."""
    path = ml.channel("model") / "model.safetensors"
    content = bytearray(real(path))
    content[-2:] = b"\xc0\x7f"  # NaN in bfloat16, and in float32 as the upper half
    path.write_bytes(content)
    plan = json.loads(ml.plan.read_text("utf-8"))
    for file in plan["model"]["files"]:
        if file["name"] == "model.safetensors":
            file["blake3"] = blake3(content).hexdigest()
    ml.plan.write_text(json.dumps(plan), "utf-8")
    (ml.config / "hyperparameters.json").unlink()


def more_hosts(ml: MlFolder) -> None:
    plan = json.loads(ml.plan.read_text("utf-8"))
    plan["world"]["nodes"] = 2
    ml.plan.write_text(json.dumps(plan), "utf-8")
    (ml.config / "hyperparameters.json").unlink()


def other_plan(ml: MlFolder) -> None:
    plan = json.loads(ml.plan.read_text("utf-8"))
    ml.plan.write_text(json.dumps(plan | {"seed": plan["seed"] + 1}), "utf-8")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (flip_a_byte, "CPT650"),
        (remove_a_shard, "CPT650"),
        (other_plan, "CPT667"),
        (more_hosts, "CPT653"),
        (spoil_the_weights, "CPT604"),
    ],
)
def test_what_is_not_as_planned_ends_in_its_code(lane: Lane, change: Callable[[MlFolder], None], code: str) -> None:
    assert run_changed(lane, change) == (1, code)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytorch_model.bin", b"\x80\x02}q\x00."),
        ("model.gguf", b"GGUF\x03\x00\x00\x00"),
        ("model.tar.gz", b"\x1f\x8b\x08\x00"),
        ("model.safetensors", b"\x00" * 64),
        ("model.safetensors.enc", bytes(range(64))),
    ],
)
def test_weights_that_cannot_be_read_are_refused_before_a_container_starts(
    lane: Lane, name: str, content: bytes
) -> None:
    (lane.folder / "base" / "model.safetensors").unlink()
    (lane.folder / "base" / name).write_bytes(content)
    refused = lane.cloudcpt("submit", str(lane.recipe()), "--target", "container")
    assert refused.returncode == 1, refused.stderr
    assert "error[CPT5" in refused.stderr
    assert not list((lane.state / "jobs").glob("*"))


def test_code_in_a_model_is_refused_before_a_container_starts(lane: Lane) -> None:
    path = lane.folder / "base" / "config.json"
    config = json.loads(path.read_text("utf-8")) | {"auto_map": {"AutoModelForCausalLM": "theirs.Model"}}
    path.write_text(json.dumps(config), "utf-8")
    refused = lane.cloudcpt("submit", str(lane.recipe()), "--target", "container")
    assert refused.returncode == 1, refused.stderr
    assert "auto_map" in refused.stderr
