"""Three processes that share eight rows unevenly do what one process does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cloudcpt.train.run import train
from cloudcpt.wire import commit_text, model_faults

pytestmark = [pytest.mark.train, pytest.mark.slow]

SHORT = {"schedule": {"steps": 6}, "evaluation": {"every_steps": 3}}


def sizes(**changes):
    return {"seq_len_tokens": 48, "steps": 6, "global_batch_rows": 8, **changes}


def run_three(job):
    commit_text(job.ml.plan, job.plan.to_json())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = {"WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("ranks.py")), f"{port}:{job.ml.root}"]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **said, "RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in "012"
    ]
    try:
        output = [process.communicate(timeout=150)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0, 0], "\n".join(output)
    return [json.loads((job.ml.root / f"outcome-{rank}.json").read_text("utf-8")) for rank in range(3)]


def test_uneven_parts_train_as_one_process_does(tiny_job):
    """Parts of 2, 3 and 3 rows in passes of two: the first rank computes two rows of padding, the others one each."""
    one = tiny_job(**SHORT, geometry=sizes(micro_batch_rows=8, accumulation=1))
    three = tiny_job(**SHORT, world={"processes_per_node": 3}, geometry=sizes(micro_batch_rows=2, accumulation=2))
    assert train(one.plan, one.ml) == "completed"
    assert run_three(three) == ["completed"] * 3
    assert three.curve("tokens") == one.curve("tokens")
    assert three.curve("loss") == pytest.approx(one.curve("loss"), abs=1e-5)
    assert three.curve("grad_norm") == pytest.approx(one.curve("grad_norm"), rel=1e-4, abs=1e-5)
    assert model_faults(three.ml.model) == []
    weights, expected = (load_file(job.ml.model / "model.safetensors") for job in (three, one))
    for name, weight in expected.items():
        torch.testing.assert_close(weights[name], weight, atol=1e-4, rtol=1e-3)
