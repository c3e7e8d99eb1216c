"""One rank of a world of two: runs the jobs named on the command line, one after another, and says how each ended.

Importing torch takes longer than any of the tiny jobs, so all tests share one pair of processes. Arguments are
`PORT:ROOT`, a port for each job because the store of the last one may still be closing; with `PORT:ROOT:signal`,
rank 1, and only rank 1, gets SIGTERM once three steps are done; with `PORT:ROOT:build` the model is only built, on
devices of which that of rank 1 is too small for the plan's activations; with `PORT:ROOT:windows` sources are cut into
tiny windows; with `PORT:ROOT:nodes` too, and each rank is a node with a folder of its own, ROOT/0 and ROOT/1;
with `PORT:ROOT:share` rank 1 makes rows and gives them to rank 0.
"""

import json
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from cloudcpt.plan.plan import Plan, read_plan
from cloudcpt.train.batches import Batch
from cloudcpt.train.exchange import Exchange
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.lora import add_lora
from cloudcpt.train.model import load_model, open_model
from cloudcpt.train.prepare import prepare_rows
from cloudcpt.train.probe import build_what_fits
from cloudcpt.train.run import train
from cloudcpt.train.shard import sharding_mesh
from cloudcpt.train.stop import end_with_parent, remember_signals
from cloudcpt.train.windows import Cut
from cloudcpt.train.world import joined_world, seed_alike
from cloudcpt.wire import MlFolder

TINY = Cut(whole_bytes=1000, window_bytes=512, block_bytes=128)


def signal_after_three_steps(ml: MlFolder) -> None:
    """Wait for the third step in the metrics, then end this process the way a platform does."""
    while not ml.metrics.exists() or ml.metrics.read_text("utf-8").count('"kind": "step"') < 3:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


class TightMeter:
    """A device of 100 GB; the first attempt of rank 1 takes more, everything else half of it."""

    def __init__(self, rank: int) -> None:
        self.peaks = [120 if rank == 1 else 50, 50]

    def capacity_bytes(self) -> int:
        return 100 * 10**9

    def start(self, limit_bytes: int) -> None:
        assert limit_bytes == self.capacity_bytes()

    def stop(self) -> int:
        return self.peaks.pop(0) * 10**9


class Events(list[str]):
    """Keeps what a log would be told."""

    def event(self, _step: int, _name: str, message: str) -> None:
        self.append(message)


def build(plan: Plan, ml: MlFolder) -> dict[str, object]:
    """Build the model; say what was tried, and which of its numbers are not those that transformers reads."""
    base, said = ml.channel("model"), Events()
    tokens = torch.arange(16).view(2, 8)
    batch = Batch(
        tokens=tokens,
        labels=tokens,
        positions=torch.arange(8).repeat(2, 1),
        cu_seqlens=torch.tensor([0, 3, 8, 16], dtype=torch.int32),
        num_labels=16,
        num_tokens=16,
        piece_lengths=np.array([3, 5, 8]),
        text_bytes=16.0,
    )
    with joined_world(plan.world) as world:
        meter = TightMeter(world.rank)
        built = build_what_fits(partial(open_model, base), plan, world, batch, said, meter)  # type: ignore[arg-type]
        found = {name: tensor.full_tensor() for name, tensor in built.model.state_dict().items()}
        mesh = sharding_mesh(plan, world)
    expected = load_model(base)
    if plan.lora:
        seed_alike(plan.seed)
        add_lora(expected, plan.lora)
    numbers = expected.state_dict()
    wrong = [name for name, tensor in numbers.items() if not torch.equal(found[name], tensor)]
    return {
        "tried": said,
        "wrong": wrong,
        "names": sorted(found) == sorted(numbers),
        "mesh": dict(zip(mesh.mesh_dim_names or (), mesh.shape, strict=True)),
    }


def share(plan: Plan, ml: MlFolder) -> str:
    """Make rows on rank 1, as on one node of two, and give them to rank 0 in small pieces."""
    with joined_world(plan.world) as world:
        folder = ml.scratch / "rows" / "train"
        if world.rank == 1:
            prepare_rows(plan, ml, ml.channel("model"), is_node_main=True, barrier=lambda: None)
        Exchange(world.rank, 2, piece_bytes=100).share(folder if world.rank == 1 else ml.root / "received", 1)
    return "shared"


def main() -> None:
    """Run every job and write `outcome-RANK.json` beside its folders."""
    end_with_parent()
    remember_signals()
    rank = int(os.environ["RANK"])
    for argument in sys.argv[1:]:
        os.environ["MASTER_PORT"], root, *wish = argument.split(":")
        ml = MlFolder(Path(root))
        if wish == ["signal"] and rank == 1:
            threading.Thread(target=signal_after_three_steps, args=(ml,), daemon=True).start()
        os.environ["LOCAL_RANK"] = "0" if wish == ["nodes"] else str(rank)
        if wish == ["nodes"]:
            ml = MlFolder(ml.root / str(rank))
        try:
            if wish in (["windows"], ["nodes"]):
                outcome = train(read_plan(ml.plan), ml, cut=TINY)
            else:
                work = {"build": build, "share": share}.get("".join(wish), train)
                outcome = work(read_plan(ml.plan), ml)
        except TrainingFailure as exc:
            outcome = str(exc)
        Path(root, f"outcome-{rank}.json").write_text(json.dumps(outcome), "utf-8")


if __name__ == "__main__":
    main()
