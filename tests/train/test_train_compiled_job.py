"""A job with compiled layers, sharded around them, is the job without."""

import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from cloudcpt.train.run import train

pytestmark = [pytest.mark.train, pytest.mark.slow]

SHORT = {"geometry": {"seq_len_tokens": 48, "steps": 3}, "texts": {"train": ["the river bank holds no water"] * 60}}


@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="compiling needs a C++ compiler")
def test_compiled_layers_under_fsdp_train_as_plain_ones_do(tiny_job):
    torch.compiler.reset()
    counters.clear()
    plain, compiled = tiny_job(**SHORT), tiny_job(**SHORT, compute={"compile": True, "shard_processes": 1})
    for job in (plain, compiled):
        assert train(job.plan, job.ml) == "completed"
    # Forward and backward of a layer, shared by all layers: a graph more would be one for each batch, or a break.
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert compiled.curve("loss") == pytest.approx(plain.curve("loss"), rel=1e-6)
    assert compiled.curve("grad_norm") == pytest.approx(plain.curve("grad_norm"), rel=1e-5)
