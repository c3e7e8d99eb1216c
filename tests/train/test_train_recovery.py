"""A run that was interrupted and goes on equals the run that was not, to the bit; any other state is refused."""

import contextlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cloudcpt.plan.plan import Lora
from cloudcpt.plan.schedule import learning_rate
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.run import train
from cloudcpt.train.stop import clear_stop, request_stop
from cloudcpt.wire import (
    COMPLETE_FILE,
    STATE_FILE,
    commit_text,
    model_faults,
    recovery_folder,
    recovery_steps,
    sha256_of,
)

pytestmark = pytest.mark.train

LORA = Lora(
    rank=4, alpha=8.0, dropout=0.1, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)
DROPOUTS = {"hidden": 0.1, "attention": 0.1, "ffn": 0.1}
LONG = {
    "geometry": {"seq_len_tokens": 48, "steps": 9},
    "schedule": {"steps": 9, "warmup_steps": 3},
    "dropouts": DROPOUTS,
    "evaluation": {"every_steps": 3, "prompts": ("the river",)},
    "checkpoints": {"recovery_every_steps": 2},
}
TWO = {"world": {"processes_per_node": 2}}


class StoppingLog(io.StringIO):
    """A log that asks its job to stop at a line."""

    def __init__(self, job, line):
        super().__init__()
        self._job, self._line = job, line

    def write(self, text):
        if text.startswith(self._line):
            request_stop(self._job.ml, "SIGTERM")
        return super().write(text)


def stopped_at(job, line, **how):
    """Run a job until it has printed a line; it then finishes what it is at and stops."""
    with contextlib.redirect_stdout(StoppingLog(job, line)):
        assert train(job.plan, job.ml, **how) == "stopped"
    clear_stop(job.ml)
    return job


def learnt(job):
    """Give everything that a run computes, as it was recorded and as it was exported."""
    told = {
        kind: [
            {name: row.get(name) for name in ("set", "step", "loss", "lr", "grad_norm", "tokens", "perplexity", "text")}
            for row in job.records(kind)
        ]
        for kind in ("step", "eval", "sample")
    }
    assert model_faults(job.ml.model) == []
    return told | {"model": {path.name: sha256_of(path) for path in job.ml.model.glob("*.safetensors")}}


def copied(job, folder):
    shutil.copytree(job.ml.root, folder, symlinks=True)
    return replace(job, ml=replace(job.ml, root=folder))


@pytest.fixture(scope="module")
def kept():
    """Hold what jobs left, for all tests that look at it or spoil a copy."""
    return {}


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("line", ["4|", "5|", "eval|domain|6|"], ids=["state", "between", "evaluation"])
def test_a_run_that_was_stopped_and_goes_on_equals_one_that_was_not(line, lora, kept, tiny_job):
    if lora not in kept:
        plain = tiny_job(**LONG, lora=lora)
        train(plain.plan, plain.ml)
        kept[lora] = learnt(plain)
    stopped = stopped_at(tiny_job(**LONG, lora=lora), line)
    step = int(line.split("|")[-2])
    assert recovery_steps(stopped.ml) == (step,)
    assert train(stopped.plan, stopped.ml) == "completed"
    assert learnt(stopped) == kept[lora]
    (resumed,) = [row for row in stopped.records("event") if row["name"] == "resumed"]
    assert (resumed["step"], resumed["message"]) == (step, f"going on from step {step}")
    assert stopped.curve("lr") == [learning_rate(stopped.plan.schedule, done) for done in range(9)]


def test_nothing_of_the_state_is_left_after_success_nor_made_without_asking(tiny_job):
    jobs = [tiny_job(**LONG | {"checkpoints": {"recovery_every_steps": every}}) for every in (0, 2)]
    for job in jobs:
        train(job.plan, job.ml)
        assert not list(job.ml.checkpoints.rglob("*"))
    plain = stopped_at(tiny_job(**LONG | {"checkpoints": {"recovery_every_steps": 0}}), "4|")
    assert recovery_steps(plain.ml) == ()


def test_one_state_stays_here_and_two_where_a_service_copies_them_away(tiny_job, tmp_path):
    from tests.jobs.cloud_plans import cloud_launch

    here, away = (stopped_at(tiny_job(**LONG, launch=launch), "5|") for launch in (None, cloud_launch()))
    assert (recovery_steps(here.ml), recovery_steps(away.ml)) == ((5,), (4, 5))
    (recovery_folder(away.ml, 5) / "rank-00000.safetensors").unlink()
    assert train(away.plan, away.ml) == "completed"
    assert [row["step"] for row in away.records("event") if row["name"] == "resumed"] == [4]
    assert train(here.plan, here.ml) == "completed"
    assert learnt(away) == learnt(here)


# --- states that are refused --------------------------------------------------------------------------------------


@pytest.fixture
def stopped(kept, tiny_job, tmp_path, tmp_path_factory):
    if "job" not in kept:
        job = stopped_at(tiny_job(**LONG), "5|")
        kept["job"] = copied(job, tmp_path_factory.mktemp("stopped") / "job")
    return copied(kept["job"], tmp_path / "copy")


def state_of(job):
    return recovery_folder(job.ml, 5)


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("rank-00000.safetensors", flip_a_byte, "`rank-00000.safetensors` has other content"),
        ("rank-00000.safetensors", Path.unlink, "`rank-00000.safetensors` is missing"),
        ("metrics.jsonl", lambda path: path.write_text(""), r"`metrics.jsonl` has 0 bytes instead of \d+"),
        ("state.json", flip_a_byte, "`state.json` cannot be read: it is not the one that `COMPLETE` sealed"),
        ("state.json", Path.unlink, "`state.json` cannot be read: .*No such file"),
    ],
)
def test_a_damaged_state_is_refused_with_what_is_wrong(name, spoil, message, stopped):
    spoil(state_of(stopped) / name)
    with pytest.raises(TrainingFailure, match=rf"CPT666: the recovery state in `.*step-00000005`: {message}"):
        train(stopped.plan, stopped.ml)
    assert not stopped.ml.model.exists()


def resealed(job, change):
    """Change a state in a way that no hash notices, as whoever may write into the bucket could."""
    path = state_of(job) / STATE_FILE
    row = json.loads(path.read_text("utf-8"))
    change(row)
    path.write_text(json.dumps(row), "utf-8")
    commit_text(state_of(job) / COMPLETE_FILE, sha256_of(path) + "\n")


def test_the_seconds_of_a_run_are_those_of_all_its_attempts(stopped):
    (first,) = stopped.records("end")
    seconds_of_steps = [row["seconds"] for row in stopped.records("step")]
    state = json.loads((state_of(stopped) / STATE_FILE).read_text("utf-8"))
    earlier = state["position"]["seconds"]
    assert sum(seconds_of_steps) < earlier <= first["seconds"]
    resealed(stopped, lambda row: row["position"].update(seconds=1000.0))
    assert train(stopped.plan, stopped.ml) == "completed"
    (end,) = stopped.records("end")
    assert 1000.0 < end["seconds"] < 1300.0


def test_a_state_of_another_version_is_refused_as_such(stopped):
    resealed(stopped, lambda row: row["position"].pop("seconds"))
    with pytest.raises(TrainingFailure, match=r"CPT666: .*`state.json` was written by another version of cloudcpt"):
        train(stopped.plan, stopped.ml)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda row: row["owner"].update(plan_hash="0" * 64),
            "it is that of plan `0000000000000000...`, and this one is `",
        ),
        (lambda row: row["owner"].update(world_size=2), "it is that of 2 processes, and these are 1"),
        (lambda row: row["owner"]["rows"].update(train="0" * 64), "the rows of `train` are not those"),
    ],
)
def test_the_state_of_another_job_is_refused_with_what_differs(change, message, stopped):
    resealed(stopped, change)
    with pytest.raises(TrainingFailure, match=rf"CPT665: .*is not that of this job: {message}"):
        train(stopped.plan, stopped.ml)


def test_another_plan_does_not_go_on_from_the_state_of_this_one(stopped):
    with pytest.raises(TrainingFailure, match=r"CPT665: .*it is that of plan"):
        train(replace(stopped.plan, seed=stopped.plan.seed + 1), stopped.ml)


def test_a_state_without_its_mark_was_never_finished_and_the_run_begins(stopped):
    (state_of(stopped) / COMPLETE_FILE).unlink()
    assert train(stopped.plan, stopped.ml) == "completed"
    assert not [row for row in stopped.records("event") if row["name"] == "resumed"]


def test_a_state_that_another_torch_computed_is_taken_and_told(stopped):
    path = state_of(stopped) / STATE_FILE
    path.write_text(path.read_text("utf-8").replace(f"torch {torch.__version__}", "torch 1.0"), "utf-8")
    commit_text(state_of(stopped) / COMPLETE_FILE, sha256_of(path) + "\n")
    assert train(stopped.plan, stopped.ml) == "completed"
    (resumed,) = [row for row in stopped.records("event") if row["name"] == "resumed"]
    assert resumed["message"].startswith("going on from step 5; torch 1.0, ")
    assert resumed["message"].endswith("last digits differ")


def test_a_state_holds_tensors_and_text_and_nothing_that_runs(stopped):
    names = {path.name for path in state_of(stopped).iterdir()}
    assert names == {"rank-00000.safetensors", "metrics.jsonl", "state.json", "COMPLETE"}
    tensors = load_file(state_of(stopped) / "rank-00000.safetensors")
    kinds = {name.split("/")[0] for name in tensors}
    assert kinds == {"weight", "optimizer", "random"}
    # Weight and two moments of each parameter in float32, the number of steps, and the state of one generator.
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("weight/")}
    assert sum(tensor.numel() for tensor in weights.values()) == 90_496
    assert len(tensors) == 4 * len(weights) + 1


# --- killed, on one process and on two ---------------------------------------------------------------------------


WRITING = [
    {"dies": 0, "touch": ".recovery/step-00000002"},  # the folder
    {"dies": 0, "touch": "step-00000002/rank-00000.safetensors"},  # its tensors are there, not flushed yet
    {"dies": 0, "touch": "step-00000002/.COMPLETE"},  # all but the mark
    {"dies": 0, "touch": "step-00000004/.state.json"},  # the state of step 2 is whole
    {"dies": 0, "remove": ".recovery/step-00000002"},  # both are whole, the older one goes
    {"dies": 1, "touch": "step-00000006/rank-00001.safetensors"},
]
"""Where a rank is killed while a state is written, one attempt after another."""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run_mortals(runs, folder):
    """Let two processes go through runs one after another."""
    orders = []
    for (job, order), port in zip(runs, free_ports(len(runs)), strict=True):
        commit_text(job.ml.plan, job.plan.to_json())
        orders.append(order | {"root": str(job.ml.root), "world": job.plan.world.size, "port": port})
    (folder / "runs.json").write_text(json.dumps(orders), "utf-8")
    said = {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = Path(__file__).with_name("mortal_ranks.py")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(folder / "runs.json")],
            env={**os.environ, **said, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        output = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(output)


@pytest.fixture
def killed(kept, tiny_job, tmp_path):
    """Run each kind of job once without and once with kills, all of them by one pair of processes."""
    if "killed" not in kept:
        bare = LONG | {"evaluation": {"every_steps": 0}}
        kinds = {"full-1": bare, "full-2": bare | TWO, "lora-2": bare | TWO | {"lora": LORA}}
        runs, jobs = [], {}
        for name, changes in kinds.items():
            is_two = name.endswith("2")
            geometry = changes["geometry"] | {"accumulation": 1 if is_two else 2, "micro_batch_rows": 4}
            plain, mortal, writing = (tiny_job(**changes | {"geometry": geometry}) for _ in range(3))
            jobs |= {name: (plain, mortal), f"{name}-writing": (plain, writing)}
            dies = {"dies": 1, "touch": "step-00000008/rank-00001"} if name == "lora-2" else {"dies": 0, "line": "5|"}
            runs += [(plain, {}), (mortal, dies), (mortal, {})]
            if name == "full-2":
                runs += [(writing, where) for where in (*WRITING, {})]
        run_mortals(runs, tmp_path)
        kept["killed"] = jobs
    return kept["killed"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["full-1", "full-2", "lora-2", "full-2-writing"])
def test_a_run_that_was_killed_and_goes_on_equals_one_that_was_not(name, killed):
    plain, mortal = killed[name]
    assert [row["step"] for row in mortal.records("event") if row["name"] == "resumed"]
    assert learnt(mortal) == learnt(plain)
    assert len(mortal.curve("loss")) == 9
    assert recovery_steps(mortal.ml) == ()
