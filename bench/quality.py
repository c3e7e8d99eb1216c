"""Does a job learn what it should, what does it forget, does packing lose anything? On the demo's corpora, on a CPU.

    python bench/quality.py [--seeds N] [--to FILE]

Every number comes out of the command line that a user has: recipes are written, `cloudcpt submit` trains them,
`cloudcpt report` tells what was measured. The base model is the demo's; what `make demo` has made is used again.

    forgetting  all weights with replay, all weights without, LoRA without: both held-out losses along the way
    packing     both corpora at several lengths: what is cut, what is padding; and the rows that were trained on, put
                together again and compared with what transformers' tokenizer makes of the text

Arms are compared at equal domain gain like this. Each run measures both held-out sets every few steps, at a constant
learning rate, so that no point of a run is worse off for its place in a schedule. The gain that both arms of a pair
reach, and parts of it, are marks; an arm's general loss at a mark is read off between the two measurements around the
place where its domain loss first falls below it. Fails where the numbers do not show what docs/numerics.md says.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quality_rows import cloudcpt, demo_recipe, lost_tokens, packings, show_packings

DEMO = Path("build/demo")
FOLDER = Path("build/quality")

ARMS: dict[str, dict[str, Any]] = {
    "replay": {"max_steps": 184, "every_steps": 23, "lr": 1.0e-3, "general_ratio": 0.5},
    "no replay": {"max_steps": 92, "every_steps": 11, "lr": 1.0e-3},
    "LoRA": {"max_steps": 92, "every_steps": 11, "lr": 3.0e-3, "rank": 16},
}
"""Two passes over the domain each. LoRA takes three times the learning rate; ten times learns more and forgets more."""

MARKS = (0.5, 0.75, 1.0)
"""Parts of the domain gain that both arms reach."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """Both held-out sets after some steps, in nats per token."""

    step: int
    domain: float
    general: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """One job: what it measured on its way."""

    arm: str
    seed: int
    job: str
    seconds: float
    points: tuple[Point, ...]

    @property
    def gain(self) -> float:
        """Give the largest fall of the domain loss."""
        return self.points[0].domain - min(point.domain for point in self.points)

    @property
    def learned(self) -> float:
        """Give the change of the domain loss over the whole run."""
        return self.points[-1].domain - self.points[0].domain

    @property
    def forgotten(self) -> float:
        """Give the change of the general loss over the whole run."""
        return self.points[-1].general - self.points[0].general

    def forgotten_at(self, gain: float) -> float:
        """Give the change of the general loss where the domain loss has first fallen by `gain`."""
        start = self.points[0]
        mark = start.domain - gain
        for last, point in zip(self.points, self.points[1:], strict=False):
            if point.domain <= mark:
                part = (last.domain - mark) / (last.domain - point.domain)
                return last.general + part * (point.general - last.general) - start.general
        raise AssertionError(f"{self.arm} with seed {self.seed} never gains {gain}")


# --- jobs -------------------------------------------------------------------------------------------------------


def make_base() -> None:
    """Make text and base model as the demo does, with the demo's own script, which is in no package."""
    spec = importlib.util.spec_from_file_location("demo_run", "recipes/demo/run.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules["demo_run"] = script  # dataclasses look their module up
    spec.loader.exec_module(script)
    os.environ["CLOUDCPT_STATE_DIR"] = str((DEMO / "state").absolute())
    demo = script.Demo()
    demo.python("corpora.py", str(DEMO))
    demo.python("base_model.py", str(DEMO / "general-train.jsonl"), str(DEMO / "base-untrained"))
    demo.fetch(demo.train(script.BASE), DEMO / "base")
    os.environ["CLOUDCPT_STATE_DIR"] = str((FOLDER / "state").absolute())


def recipe_of(arm: str, seed: int) -> Path:
    """Write the demo's recipe as one arm has it. JSON is YAML."""
    settings, recipe, slug = ARMS[arm], demo_recipe(), arm.replace(" ", "-").lower()
    recipe["run"] |= {"name": f"quality-{slug}", "seed": seed}
    training = recipe["training_config"]
    training["trainer"] = {"max_steps": settings["max_steps"], "log_every_steps": 50}
    training["optim"]["lr"] = settings["lr"]
    training["optim"]["sched"] = {"name": "constant", "warmup_steps": 10, "min_lr": settings["lr"] / 10}
    if "rank" in settings:
        rank = settings["rank"]
        training["peft"] = {"method": "lora", "rank": rank, "alpha": 2 * rank, "target_modules": "all-linear"}
    if "general_ratio" in settings:
        recipe["data_mixing"]["general_ratio"] = settings["general_ratio"]
    else:
        del recipe["data_mixing"]
    recipe["eval"]["every_steps"] = settings["every_steps"]
    path = FOLDER / f"{slug}-{seed}.yaml"
    path.write_text(json.dumps(recipe, indent=1), "utf-8")
    return path


def run_of(arm: str, seed: int) -> Run:
    """Train one arm and read what it measured."""
    recipe = str(recipe_of(arm, seed))
    job = json.loads(cloudcpt("submit", recipe, "--target", "local", "--dry-run", "--output", "json"))["job_name"]
    cloudcpt("submit", recipe, "--target", "local", "--follow", "--force")
    report = json.loads(cloudcpt("report", job, "--output", "json"))
    sets: dict[int, dict[str, float]] = {}
    for point in report["evaluations"]:
        sets.setdefault(point["step"], {})[point["set_name"]] = point["loss"]
    points = tuple(Point(step=step, **losses) for step, losses in sorted(sets.items()))
    run = Run(arm=arm, seed=seed, job=job, seconds=report["seconds"], points=points)
    print(
        f"{arm}, seed {seed}: domain {run.learned:+.3f}, general {run.forgotten:+.3f}, {run.seconds:.0f} s", flush=True
    )
    return run


# --- what is forgotten ------------------------------------------------------------------------------------------


def compare(runs: Sequence[Run], first: str, second: str) -> list[dict[str, Any]]:
    """Compare two arms seed by seed at equal domain gain."""
    by_arm = {arm: {run.seed: run for run in runs if run.arm == arm} for arm in (first, second)}
    rows = []
    for part in MARKS:
        pairs = []
        for seed, one in by_arm[first].items():
            two = by_arm[second][seed]
            gain = part * min(one.gain, two.gain)
            pairs.append({"seed": seed, "gain": gain, first: one.forgotten_at(gain), second: two.forgotten_at(gain)})
        rows.append({"part_of_gain": part, "pairs": pairs})
    return rows


def spread(values: Sequence[float]) -> str:
    """Write a median with the range of all values."""
    return f"{statistics.median(values):+.3f} ({min(values):+.3f} to {max(values):+.3f})"


def show_ends(runs: Sequence[Run]) -> None:
    """Print where each arm ended."""
    print("\nafter two passes over the domain, change in nats per token, median (range) over seeds")
    print(f"{'':12}{'domain':>28}{'general':>28}")
    for arm in ARMS:
        mine = [run for run in runs if run.arm == arm]
        domain, general = (spread([getattr(run, name) for run in mine]) for name in ("learned", "forgotten"))
        print(f"{arm:12}{domain:>28}{general:>28}")


def show_comparison(rows: list[dict[str, Any]], first: str, second: str) -> None:
    """Print one line per mark."""
    print(f"\nchange of the general loss at equal domain gain, {first} against {second}")
    print(f"{'domain':>28}{first:>28}{second:>28}{'difference':>28}")
    for row in rows:
        columns = [
            [-pair["gain"] for pair in row["pairs"]],
            *([pair[arm] for pair in row["pairs"]] for arm in (first, second)),
            [pair[first] - pair[second] for pair in row["pairs"]],
        ]
        print("".join(f"{spread(column):>28}" for column in columns))


# --- all of it -------------------------------------------------------------------------------------------------


def failures(document: dict[str, Any], runs: Sequence[Run]) -> list[str]:
    """List which claims of docs/numerics.md these numbers do not show."""
    ends = {(run.arm, run.seed): run.forgotten for run in runs}
    replayed = [pair for row in document["comparisons"]["replay"] for pair in row["pairs"]]
    seeds = {run.seed for run in runs}
    claims = {
        "at equal domain gain, replay keeps more of the general text": all(
            pair["replay"] < pair["no replay"] for pair in replayed
        ),
        "LoRA forgets less than all weights": all(ends["LoRA", seed] < ends["no replay", seed] for seed in seeds),
        "best-fit packing loses no token": document["rows_trained_on"]["documents_that_differ"] == 0,
    }
    return [claim for claim, is_shown in claims.items() if not is_shown]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--to", type=Path, default=FOLDER / "quality.json")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    make_base()
    started = time.monotonic()
    runs = [run_of(arm, seed) for seed in range(1, options.seeds + 1) for arm in ARMS]
    document: dict[str, Any] = {
        "runs": [asdict(run) for run in runs],
        "comparisons": {arm: compare(runs, arm, "no replay") for arm in ("replay", "LoRA")},
        "packings": list(packings(FOLDER)),
        "rows_trained_on": lost_tokens(FOLDER / "state" / "jobs" / runs[0].job / "ml", DEMO / "base"),
    }
    show_ends(runs)
    for arm, rows in document["comparisons"].items():
        show_comparison(rows, arm, "no replay")
    show_packings(document["packings"])
    print("\nrows trained on, against transformers' tokenizer:", document["rows_trained_on"])
    options.to.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(f"{time.monotonic() - started:.0f} s without the base model; wrote {options.to}")
    if missed := failures(document, runs):
        sys.exit("".join(f"not shown: {claim}\n" for claim in missed).rstrip())


if __name__ == "__main__":
    main()
