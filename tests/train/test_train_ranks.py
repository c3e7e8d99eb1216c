"""Two processes over gloo do what one process does."""

import contextlib
import json
import math
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from cloudcpt.plan.plan import Lora
from cloudcpt.train.batches import train_batches
from cloudcpt.train.rows import open_rows
from cloudcpt.train.run import train
from cloudcpt.train.stand_in import build_stand_in
from cloudcpt.train.windows import CUT
from cloudcpt.wire import MlFolder, commit_text, model_faults
from tests.train.ranks import TINY

pytestmark = [pytest.mark.train, pytest.mark.slow]

TWO = {"processes_per_node": 2}
STEPS = {"geometry": {"seq_len_tokens": 48, "steps": 20}, "schedule": {"steps": 20}}
ACCUMULATE = {"micro_batch_rows": 4, "accumulation": 2}
LORA = Lora(
    rank=4, alpha=8.0, dropout=0.0, target_modules=("all-linear",), rslora=False, merge=True, bits=0, embedding_lr=0.0
)
JOBS = {
    "plain": {"evaluation": {"every_steps": 7, "prompts": ("the river bank",)}},
    "lora": {"lora": LORA},
    "few_bits": {"lora": replace(LORA, bits=4, embedding_lr=1e-4)},
    "bfloat16": {"world": {"compute_dtype": "bfloat16"}},
    "skipping": {
        "base": lambda folder: with_a_poisoned_byte(folder),
        "texts": {"train": [*(f"the river {number} runs over sand" for number in range(90)), "a line with a Z"]},
        "optimizer": {"max_skipped_steps": 20},
    },
}
WISHES = ("signal", "build", "windows", "nodes", "share")
SAME_AS_PLAIN = {
    "replicas": {"compute": {"shard_processes": 1}},
    "selective": {"memory": {"activations": "selective"}},
    "full": {"memory": {"activations": "full"}},
}


def with_a_poisoned_byte(folder: Path) -> None:
    """Make the input embedding of `Z` not a number; the output embedding, untied, stays whole."""
    build_stand_in(folder, seed=7, context_tokens=64)
    config = AutoConfig.from_pretrained(folder, tie_word_embeddings=False)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][AutoTokenizer.from_pretrained(folder).encode("Z")[0]] = math.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def run_ranks(jobs):
    """Start two ranks, let them run all jobs, and return the outcomes of both by job."""
    for job in jobs.values():
        commit_text(job.ml.plan, job.plan.to_json())
    for rank in ("0", "1"):  # nodes have a disk each
        shutil.copytree(jobs["nodes"].ml.root / "input", jobs["nodes"].ml.root / rank / "input")
    wishes = {name: f":{name.partition('_')[0]}" for name in jobs if name.startswith(WISHES)}
    arguments = [
        f"{port}:{job.ml.root}{wishes.get(name, '')}"
        for port, (name, job) in zip(free_ports(len(jobs)), jobs.items(), strict=True)
    ]
    said = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("ranks.py")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), *arguments],
            env={**os.environ, **said, "RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ("0", "1")
    ]
    try:
        output = [process.communicate(timeout=150)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(output)
    return {
        name: [json.loads((job.ml.root / f"outcome-{rank}.json").read_text("utf-8")) for rank in (0, 1)]
        for name, job in jobs.items()
    }


@pytest.fixture(scope="module")
def shared(request):
    """Hold what one pair of processes did for all tests of this module."""
    return {}


@pytest.fixture
def ran(shared, tiny_job):
    """Run every job on two ranks, and the comparable ones on one rank with accumulation, once."""
    if not shared:
        two, one = {}, {}
        for name, changes in (JOBS | SAME_AS_PLAIN).items():
            world = changes.get("world", {})
            sizes = STEPS["geometry"] | {"micro_batch_rows": 4}
            two[name] = tiny_job(**changes | STEPS | {"world": world | TWO, "geometry": sizes | {"accumulation": 1}})
            if name in JOBS:
                one[name] = tiny_job(**changes | STEPS | {"world": world, "geometry": sizes | {"accumulation": 2}})
        poisoned = ["the river", "the bank holds no water"] * 30 + ["a Z"]
        two["poisoned"] = tiny_job(base=with_a_poisoned_byte, texts={"train": poisoned}, **STEPS | {"world": TWO})
        two["windows"] = tiny_job(**STEPS | {"world": TWO})
        two["nodes"] = tiny_job(**STEPS | {"world": {"nodes": 2}})
        one["windows"] = tiny_job(**STEPS)
        endless = {"geometry": {"seq_len_tokens": 48, "steps": 10**6}, "schedule": {"steps": 10**6}}
        two["signal"] = tiny_job(**endless | {"world": TWO})
        two["share"] = tiny_job(world=TWO)
        two["build"] = tiny_job(world=TWO)
        two["build_lora"] = tiny_job(world=TWO, lora=LORA)
        two["build_replicas"] = tiny_job(world=TWO, compute={"shard_processes": 1})
        shared["outcomes"] = run_ranks(two)
        for name, job in one.items():
            train(job.plan, job.ml, cut=TINY if name == "windows" else CUT)
        shared["two"], shared["one"] = two, one
    return shared


def weights_of(job):
    return load_file(job.ml.model / "model.safetensors")


@pytest.mark.parametrize("name", ["plain", "lora", "few_bits"])
def test_two_processes_equal_one_that_accumulates(name, ran):
    one, two = ran["one"][name], ran["two"][name]
    assert ran["outcomes"][name] == ["completed", "completed"]
    assert len(two.curve("loss")) == 20
    assert two.curve("tokens") == one.curve("tokens")
    assert two.curve("loss") == pytest.approx(one.curve("loss"), abs=1e-5)
    assert two.curve("grad_norm") == pytest.approx(one.curve("grad_norm"), rel=1e-4, abs=1e-5)
    for row, expected in zip(two.records("eval"), one.records("eval"), strict=True):
        numbers = {name: value for name, value in expected.items() if isinstance(value, float)}
        assert row == expected | {name: pytest.approx(value, rel=1e-5) for name, value in numbers.items()}
    assert two.records("sample") == one.records("sample")
    assert model_faults(two.ml.model) == []
    for key, weight in weights_of(one).items():
        torch.testing.assert_close(weights_of(two)[key], weight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", SAME_AS_PLAIN)
def test_how_states_and_activations_are_kept_changes_no_result(name, ran):
    """Replicas add gradients up in another order; recomputing changes nothing at all."""
    plain, other = ran["two"]["plain"], ran["two"][name]
    if name == "replicas":
        assert other.curve("loss") == pytest.approx(plain.curve("loss"), rel=1e-6)
    else:
        assert other.curve("loss") == plain.curve("loss")
        assert other.curve("grad_norm") == plain.curve("grad_norm")


@pytest.mark.parametrize(
    ("name", "mesh"),
    [("build", {"shard": 2}), ("build_lora", {"shard": 2}), ("build_replicas", {"replicate": 2, "shard": 1})],
)
def test_two_processes_read_the_numbers_that_transformers_reads_each_its_part(name, mesh, ran):
    for outcome in ran["outcomes"][name]:
        assert (outcome["wrong"], outcome["names"]) == ([], True)
        assert outcome["mesh"] == mesh


def test_what_fits_on_one_process_and_not_on_the_other_is_changed_on_both(ran):
    for outcome in ran["outcomes"]["build"]:
        assert [said.split(",")[0] for said in outcome["tried"]] == [
            "activations `none`: does not fit",
            "activations `selective`: fits",
        ]


def test_bfloat16_on_two_processes_stays_close_to_one(ran):
    one, two = ran["one"]["bfloat16"], ran["two"]["bfloat16"]
    assert two.curve("loss") == pytest.approx(one.curve("loss"), rel=5e-3)


def test_ranks_had_different_numbers_of_labels_so_a_mean_of_means_would_show(ran):
    job = ran["two"]["plain"]
    rows = {"train": open_rows(job.ml.scratch / "rows" / "train")}
    parts = [next(train_batches(job.plan, rows, rank=rank, world_size=2))[0].num_labels for rank in (0, 1)]
    assert parts[0] != parts[1]


def test_two_processes_start_on_the_first_windows_and_equal_one(ran):
    """No rank waits for a window alone: where one has it and the other does not yet, both go on asking."""
    one, two = ran["one"]["windows"], ran["two"]["windows"]
    assert ran["outcomes"]["windows"] == ["completed", "completed"]
    assert len(list((two.ml.scratch / "rows" / "train").glob("window-*"))) > 3
    assert two.curve("tokens") == one.curve("tokens")
    assert two.curve("loss") == pytest.approx(one.curve("loss"), abs=1e-5)


def test_nodes_make_every_window_once_and_have_them_all(ran):
    assert ran["outcomes"]["nodes"] == ["completed", "completed"]
    first, second = (ran["two"]["nodes"].ml.root / rank for rank in ("0", "1"))
    windows = sorted((first / "tmp" / "rows" / "train").glob("window-*"))
    origins = []
    for window in windows:
        other = second / window.relative_to(first)
        for path in window.glob("*.npy"):
            assert path.read_bytes() == (other / path.name).read_bytes()
        origins.append({open_rows(folder).header.origin for folder in (window, other)})
    # The first windows are what every node makes before it starts.
    assert origins[0] == {"tokenised"}
    assert origins[-1] == origins[-2] == {"tokenised", "received"}


def test_rows_arrive_as_they_were_sent_in_however_many_pieces(ran):
    assert ran["outcomes"]["share"] == ["shared", "shared"]
    root = ran["two"]["share"].ml.root
    sent, received = open_rows(root / "tmp" / "rows" / "train"), open_rows(root / "received")
    assert received.header == replace(sent.header, origin="received")
    for path in (root / "tmp" / "rows" / "train").glob("*.npy"):
        assert path.stat().st_size > 100
        assert (root / "received" / path.name).read_bytes() == path.read_bytes()


def test_how_many_nodes_there_are_changes_no_result(ran):
    nodes, ranks = ran["two"]["nodes"], ran["two"]["windows"]
    first = replace(nodes, ml=MlFolder(nodes.ml.root / "0"))
    assert first.curve("loss") == ranks.curve("loss")
    assert model_faults(first.ml.model) == []


def test_a_loss_that_is_not_finite_on_one_rank_ends_both_at_the_same_step(ran):
    first, second = ran["outcomes"]["poisoned"]
    assert first == second
    assert first.startswith("CPT604: ")
    assert not ran["two"]["poisoned"].ml.model.exists()


def test_a_step_that_is_not_finite_on_one_rank_is_left_out_on_both(ran):
    one, two = ran["one"]["skipping"], ran["two"]["skipping"]
    assert ran["outcomes"]["skipping"] == ["completed", "completed"]
    left_out = [row["step"] for row in two.records("step") if row["loss"] is None]
    assert 0 < len(left_out) < 20
    events = [row for row in two.records("event") if row["name"] == "skipped-step"]
    assert [row["step"] for row in events] == left_out
    assert events == [row for row in one.records("event") if row["name"] == "skipped-step"]
    finite = [(mine, other) for mine, other in zip(two.curve("loss"), one.curve("loss"), strict=True) if mine]
    assert [mine for mine, _ in finite] == pytest.approx([other for _, other in finite], abs=1e-5)


def test_a_signal_to_one_rank_stops_both_after_the_same_step_and_saves_nothing(ran):
    job = ran["two"]["signal"]
    assert ran["outcomes"]["signal"] == ["stopped", "stopped"]
    (end,) = job.records("end")
    assert end["outcome"] == "stopped"
    assert 3 <= end["step"] == len(job.records("step")) < 10**6
    assert not job.ml.model.exists()
