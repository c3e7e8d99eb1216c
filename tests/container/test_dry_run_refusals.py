"""What the client would have refused, given to the container all the same; and what it refuses before one starts.

The first is what happens to somebody who submits around the client, or whose files change on the way.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.local.dry_run import DryRun, Limits, engine_name
from cloudcpt.local.layout import lay_out
from cloudcpt.local.node_folders import make_node_folders
from cloudcpt.plan.plan import read_plan
from cloudcpt.wire import COMPLETE_FILE, Failure, MlFolder, parse_failure
from tests.container.conftest import IMAGE, Lane

pytestmark = pytest.mark.container


def run_changed(lane: Lane, change: Callable[[MlFolder], None], node: int = 0, nodes: int = 1) -> Failure:
    """Lay a job out, spoil the folder of one node, and run it; give the reason that the job ended with."""
    saved = lane.folder / "plan.json"
    words = ("plan", str(lane.recipe()), "--target", "container", "--nodes", str(nodes), "--save", str(saved))
    lane.cloudcpt(*words, check=True)
    plan, ml = read_plan(saved), MlFolder(lane.folder / "spoilt" / "ml")
    lay_out(ml, plan)
    folders = make_node_folders(ml, plan.world)
    change(folders[node])
    image, name = lane.engine.image_id(IMAGE), engine_name(ml, "spoilt")
    lane.made.add(name)
    started, what = time.monotonic(), f"{change.__name__} on node {node + 1} of {nodes}"
    with (lane.folder / "spoilt.log").open("wb") as log:
        run = DryRun(engine=lane.engine, image=image, job=name, world=plan.world, limits=Limits(), log=log)
        status = run.run_in(folders)
    sys.stderr.write(f"{what}: {time.monotonic() - started:.1f} s to the end\n")
    left = parse_failure(ml.failure.read_text("utf-8"))
    assert status == 1
    assert left is not None
    assert not (ml.model / COMPLETE_FILE).exists()
    return left


def write(path: Path, content: bytes) -> None:
    """Write a file of its own: what is there may be the user's, under another name."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def flip_a_byte(ml: MlFolder) -> None:
    path = next(ml.channel("train").rglob("*.jsonl"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    write(path, content)


def remove_a_shard(ml: MlFolder) -> None:
    next(ml.channel("train").rglob("*.jsonl")).unlink()


def change_plan(ml: MlFolder, change: Callable[[dict[str, object]], None]) -> None:
    """Write another plan, as one who made it so would."""
    plan = json.loads(ml.plan.read_text("utf-8"))
    change(plan)
    write(ml.plan, json.dumps(plan).encode())
    (ml.config / "hyperparameters.json").unlink()


def change_model(ml: MlFolder, old: str, new: str, content: bytes) -> None:
    """Put another file in the place of one of the model's, and into the plan."""
    (ml.channel("model") / old).unlink()
    write(ml.channel("model") / new, content)

    def change(plan: dict[str, object]) -> None:
        for file in plan["model"]["files"]:
            if file["name"] == old:
                uri = file["uri"].removesuffix(old) + new
                file |= {"name": new, "uri": uri, "size_bytes": len(content), "blake3": blake3(content).hexdigest()}

    change_plan(ml, change)


def spoil_the_weights(ml: MlFolder) -> None:
    content = bytearray((ml.channel("model") / "model.safetensors").read_bytes())
    content[-2:] = b"\xc0\x7f"  # NaN in bfloat16, and in float32 as the upper half
    change_model(ml, "model.safetensors", "model.safetensors", content)


def pickle_the_weights(ml: MlFolder) -> None:
    change_model(ml, "model.safetensors", "pytorch_model.bin", b"\x80\x02}q\x00.")


def ask_for_code(ml: MlFolder) -> None:
    config = json.loads((ml.channel("model") / "config.json").read_text("utf-8"))
    config |= {"auto_map": {"AutoModelForCausalLM": "theirs.Model"}}
    change_model(ml, "config.json", "config.json", json.dumps(config).encode())


def plan_more_hosts(ml: MlFolder) -> None:
    change_plan(ml, lambda plan: plan["world"].update(nodes=2))


def other_plan(ml: MlFolder) -> None:
    plan = json.loads(ml.plan.read_text("utf-8"))
    write(ml.plan, json.dumps(plan | {"seed": plan["seed"] + 1}).encode())


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (flip_a_byte, "CPT650", "`train/train.jsonl` has other content"),
        (remove_a_shard, "CPT650", "`train/train.jsonl` is missing"),
        (other_plan, "CPT667", "the job was created for plan"),
        (plan_more_hosts, "CPT653", "the plan is for 2 nodes, this job has 1: algo-1"),
        (spoil_the_weights, "CPT604", "is not finite at step 1"),
        (pickle_the_weights, "CPT600", "weights only as pickle"),
        (ask_for_code, "CPT600", "needs code of its own (`auto_map` in config.json)"),
    ],
)
def test_what_is_not_as_planned_ends_in_its_code(
    lane: Lane, change: Callable[[MlFolder], None], code: str, words: str
) -> None:
    left = run_changed(lane, change)
    assert left.code == code
    assert words in left.message[:200]


# --- a world that is not the planned one -------------------------------------------------------------------------


def configure(ml: MlFolder, **changes: object) -> None:
    path = ml.config / "resourceconfig.json"
    config = json.loads(path.read_text("utf-8"))
    write(path, json.dumps(config | changes).encode())


def another_number(ml: MlFolder) -> None:
    configure(ml, hosts=["algo-1", "algo-2", "algo-3"])


def unknown_host(ml: MlFolder) -> None:
    configure(ml, current_host="algo-7")


def name_of_the_other(ml: MlFolder) -> None:
    other = {"algo-1": "algo-2", "algo-2": "algo-1"}
    configure(ml, current_host=other[json.loads((ml.config / "resourceconfig.json").read_text())["current_host"]])


@pytest.mark.parametrize(
    ("change", "node", "code", "words"),
    [
        (another_number, 0, "CPT653", "the plan is for 2 nodes, this job has 3: algo-1, algo-2, algo-3"),
        (unknown_host, 1, "CPT654", "names this host `algo-7`"),
        (name_of_the_other, 1, "CPT654", "two hosts would take the same part"),
        pytest.param(another_number, 1, "CPT653", "this job has 3", marks=pytest.mark.torture),
        pytest.param(unknown_host, 0, "CPT654", "names this host `algo-7`", marks=pytest.mark.torture),
        pytest.param(name_of_the_other, 0, "CPT654", "two hosts", marks=pytest.mark.torture),
    ],
)
def test_a_wrong_world_on_any_node_is_refused_there_and_ends_the_job(
    lane: Lane, change: Callable[[MlFolder], None], node: int, code: str, words: str
) -> None:
    left = run_changed(lane, change, node=node, nodes=2)
    assert left.code == code
    assert words in left.message[:200]


# --- refused before a container starts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("pytorch_model.bin", b"\x80\x02}q\x00.", "CPT522", "convert it once with `model.save_pretrained(folder)`"),
        ("model.gguf", b"GGUF\x03\x00\x00\x00", "CPT523", "use the safetensors weights that it was made from"),
        ("model.tar.gz", b"\x1f\x8b\x08\x00", "CPT524", "unpack it there"),
        ("model.safetensors.enc", b"Salted__" + bytes(64), "CPT541", "decrypt them"),
        ("model.safetensors", b"age-encryption.org/v1\n" + bytes(64), "CPT541", "a file encrypted with age"),
    ],
)
def test_weights_that_cannot_be_read_are_refused_before_a_container_starts(
    lane: Lane, name: str, content: bytes, code: str, words: str
) -> None:
    (lane.folder / "base" / "model.safetensors").unlink()
    (lane.folder / "base" / name).write_bytes(content)
    refused = lane.cloudcpt("submit", str(lane.recipe()), "--target", "container")
    assert refused.returncode == 1, refused.stderr
    assert f"error[{code}]" in refused.stderr
    assert words in refused.stderr
    assert not list((lane.state / "jobs").glob("*"))


def test_code_in_a_model_is_refused_before_a_container_starts(lane: Lane) -> None:
    path = lane.folder / "base" / "config.json"
    config = json.loads(path.read_text("utf-8")) | {"auto_map": {"AutoModelForCausalLM": "theirs.Model"}}
    path.write_text(json.dumps(config), "utf-8")
    refused = lane.cloudcpt("submit", str(lane.recipe()), "--target", "container")
    assert refused.returncode == 1, refused.stderr
    assert "error[CPT526]" in refused.stderr
    assert "cloudcpt runs no code from a model" in refused.stderr
