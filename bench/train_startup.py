"""Seconds from the start of a training job to the end of its first step, phase by phase.

    python bench/train_startup.py [--rounds N] [--json FILE]

A whole job is started as the container starts it, `python -m cloudcpt.train`, and ended after its first step. The
phases are those that the trainer writes into `metrics.jsonl`; `launcher` is what came before the trainer's process.
Jobs with and without compiled layers take turns. The model is the one that `bench/train.py` calls `small`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from train import conditions
from train_job import SIZES, make_inputs, make_plan

from cloudcpt.local.layout import lay_out
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import MlFolder

STEPS = 10**6
"""More than will ever be done: the job ends when its start is known."""


def start_once(plan: Plan, root: Path, threads: int) -> dict[str, float]:
    """Start a job, wait for its first step, end it; give the seconds of each phase."""
    ml = MlFolder(root)
    lay_out(ml, plan)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    started = time.monotonic()
    with (root / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cloudcpt.train", "--root", str(root)], env=environment, stdout=log, stderr=log
        )
        try:
            while (seconds := told(ml)) is None:
                assert process.poll() is None, f"the job ended: {(root / 'log').read_text('utf-8')}"
                time.sleep(0.02)
            whole = time.monotonic() - started
        finally:
            process.terminate()
            process.wait()
    return {"launcher": whole - sum(seconds.values()), **seconds}


def told(ml: MlFolder) -> dict[str, float] | None:
    """Look whether the trainer has said how long its start took."""
    if not ml.metrics.exists():
        return None
    lines = ml.metrics.read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines if '"start-up"' in line]
    return rows[0]["seconds"] if rows else None


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Let both kinds of job take turns; one more turn than is counted comes first, to fill caches."""
    turns: dict[str, list[dict[str, float]]] = {"plain": [], "compiled": []}
    size = SIZES["small"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_inputs(root, size, one_document_per_row=False)
        for number in range(options.rounds + 1):
            for kind, done in turns.items():
                plan = make_plan(
                    root, size, steps=STEPS, device="cpu", compute_dtype="float32", is_compiled=kind == "compiled"
                )
                seconds = start_once(plan, root / f"{kind}-{number}", options.threads)
                if number > 0:
                    done.append(seconds)
    return turns


def show(turns: dict[str, list[dict[str, float]]]) -> None:
    """Print one line per phase: medians, and from least to most."""
    print(f"{'':<20}" + "".join(f"{kind:>28}" for kind in turns))
    for phase in [*turns["plain"][0], "all"]:
        columns = []
        for starts in turns.values():
            seconds = [sum(start.values()) if phase == "all" else start[phase] for start in starts]
            columns.append(f"{statistics.median(seconds):.1f} s ({min(seconds):.1f} to {max(seconds):.1f})")
        print(f"{phase:<20}" + "".join(f"{column:>28}" for column in columns))


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind that count")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every start into this file")
    options = parser.parse_args(namespace=argparse.Namespace(device="cpu", size="small", layers=0))
    print(conditions(options), flush=True)
    turns: Any = measure(options)
    show(turns)
    if options.json:
        options.json.write_text(json.dumps({"conditions": conditions(options), "starts": turns}, indent=2) + "\n")


if __name__ == "__main__":
    main()
