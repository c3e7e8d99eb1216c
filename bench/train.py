"""Tokens per second of the training loop, against `transformers.Trainer`, in one run.

    python bench/train.py                                      on a CPU, 40 minutes
    python bench/train.py --features                           what each part of the loop costs or brings
    python bench/train.py --device cuda --size 8b-width        on one GPU of 141 GB; with `--layers 12`, of 80 GB

Everybody trains the same random Llama on the same packed rows in the same order, with the same optimizer; the loss of
the first step is shown, because only who computes the same thing can be compared. Whole loops are measured: batches,
forward, backward, clipping, optimizer, metrics. Contenders take turns of a few steps, so that a change of load hits all
of them; on a CPU all of them stay in memory and wait, on a GPU each turn is a process of its own. Steps before the
first turn (imports, compiling, caches) do not count. Ratios are taken within each round of turns.

A contender that does not start here (Liger wants Triton, FlashAttention 2 its package) is named with its reason.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from train_contenders import CONTENDERS, LEFT_OUT
from train_job import SIZES, batches_of, make_inputs, make_plan, size_of

from cloudcpt.local.layout import lay_out
from cloudcpt.plan.instances import chip_tflops
from cloudcpt.wire import MlFolder

WARM_UP_STEPS = 3

PAIRS = {
    "cpu": (
        "cloudcpt",
        "cloudcpt, compiled",
        "Trainer",
        "Trainer, compiled",
        "Trainer, documents not apart",
        "Trainer, not apart, compiled",
    ),
    "cuda": tuple(name for name in CONTENDERS if "without" not in name),
}
"""Who is compared, on which device."""


class Missing(Exception):
    """A contender ended before its first turn."""


class Contender:
    """A process that trains, and waits between turns."""

    def __init__(self, name: str, arguments: Sequence[str], environment: dict[str, str], log: Path) -> None:
        script = str(Path(__file__).with_name("train_contenders.py"))
        self.name = name
        self._log = log
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, script, name, *arguments],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self._answer()  # it has done its first step
        self.turn(WARM_UP_STEPS - 1)

    def turn(self, steps: int) -> dict[str, Any]:
        """Let it train so many steps, and give what they took."""
        assert self._process.stdin
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            lines = self._log.read_text("utf-8").strip().splitlines()
            raise Missing(lines[-1] if lines else "it said nothing")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def compare(names: Sequence[str], options: argparse.Namespace, dtype: str, *, one_document_per_row: bool) -> Any:
    """Let everybody who is here take turns; give the conditions and every turn."""
    size = size_of(options.size, options.layers)
    # On a GPU a turn is a process that ends, so every turn trains the same steps.
    steps = WARM_UP_STEPS + options.steps * (options.rounds if options.device == "cpu" else 1) + 1
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_inputs(root, size, one_document_per_row=one_document_per_row)
        plan = make_plan(root, size, steps=steps, device=options.device, compute_dtype=dtype, is_compiled=False)
        ml = MlFolder(root / "ml")
        lay_out(ml, plan)
        batches = batches_of(plan, ml, root / "base")
        tokens = [sum(batch.num_tokens for batch in step) for step in batches]
        lengths = [length for step in batches for batch in step for length in batch.piece_lengths.tolist()]
        arguments = [str(root), options.size, str(options.layers), str(steps), options.device, dtype]
        threads = str(options.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        taker = take_turns_together if options.device == "cpu" else take_turns_alone
        turns, missing = taker(names, arguments, environment, root, options)
    return {
        "dtype": dtype,
        "documents": "one per row" if one_document_per_row else "like web pages",
        "mean_piece_tokens": statistics.mean(lengths),
        "padding_share": 1 - sum(lengths) / sum(batch.tokens.numel() for step in batches for batch in step),
        "tokens": tokens[WARM_UP_STEPS:],
        "turns": turns,
        "missing": missing,
    }


def take_turns_together(
    names: Sequence[str],
    arguments: Sequence[str],
    environment: dict[str, str],
    root: Path,
    options: argparse.Namespace,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Keep all contenders waiting, and let one at a time train."""
    running, missing = [], {}
    try:
        for name in names:
            try:
                running.append(Contender(name, arguments, environment, root / "log"))
                tell(f"{name} is ready")
            except Missing as exc:
                missing[name] = str(exc)
        turns: dict[str, list[dict[str, Any]]] = {one.name: [] for one in running}
        for number in range(options.rounds):
            for one in running[number % len(running) :] + running[: number % len(running)]:
                turns[one.name].append(one.turn(options.steps))
            tell(f"round {number + 1} of {options.rounds} is done")
    finally:
        for one in running:
            one.stop()
    return turns, missing


def take_turns_alone(
    names: Sequence[str],
    arguments: Sequence[str],
    environment: dict[str, str],
    root: Path,
    options: argparse.Namespace,
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, str]]:
    """Start every turn anew: two models do not fit one GPU."""
    turns: dict[str, list[dict[str, Any]]] = {}
    missing: dict[str, str] = {}
    for number in range(options.rounds):
        for name in [*names[number % len(names) :], *names[: number % len(names)]]:
            if name in missing:
                continue
            try:
                one = Contender(name, arguments, environment, root / "log")
            except Missing as exc:
                missing[name] = str(exc)
                continue
            try:
                turns.setdefault(name, []).append(one.turn(options.steps))
            finally:
                one.stop()
    return {name: turns[name] for name in names if name in turns}, missing


def tell(what: str) -> None:
    """Say how far it is, to whoever waits."""
    print(what, file=sys.stderr, flush=True)


def show(case: Any, options: argparse.Namespace) -> None:
    """Print one line per contender: medians, from least to most, and the first one's speed in multiples of theirs."""
    print(
        f"\n{case['dtype']}, documents {case['documents']} ({case['mean_piece_tokens']:.0f} tokens on average, "
        f"{case['padding_share']:.1%} padding)"
    )
    rates = {name: rates_of(case, name, options) for name in case["turns"]}
    first = next(iter(rates))
    peak = peak_flops(options)
    print(f"{'':<36}{'tokens/s':>24}{first + ' is':>16}{'CPU s per 1000':>17}{'memory':>11}{'first loss':>12}", end="")
    print(f"{'MFU':>8}" if peak else "")
    for name, turns in case["turns"].items():
        mine = rates[name]
        ratio = statistics.median(ours / theirs for ours, theirs in zip(rates[first], mine, strict=True))
        counted = sum(turn["cpu_s"] for turn in turns) / sum(
            rate * turn["wall_s"] for rate, turn in zip(mine, turns, strict=True)
        )
        memory = max(turn["memory_bytes"] for turn in turns) / 2**30
        loss = turns[0]["first_loss"]
        spread = f"{statistics.median(mine):,.0f} ({min(mine):,.0f} to {max(mine):,.0f})"
        shown = f"{loss:.3f}" if loss is not None else "-"
        print(f"{name:<36}{spread:>24}{ratio:>15.2f}x{1000 * counted:>17.2f}{memory:>7.1f} GiB{shown:>12}", end="")
        mfu = size_of(options.size, options.layers).full_flops_per_token * statistics.median(mine)
        print(f"{mfu / peak:>8.1%}" if peak else "")
    for name, reason in case["missing"].items():
        print(f"{name:<36}did not start here: {reason}")


def rates_of(case: Any, name: str, options: argparse.Namespace) -> list[float]:
    """Give the tokens per second of each turn."""
    rates = []
    for number, turn in enumerate(case["turns"][name]):
        start = number * options.steps if options.device == "cpu" else 0
        rates.append(sum(case["tokens"][start : start + options.steps]) / turn["wall_s"])
    return rates


def peak_flops(options: argparse.Namespace) -> float:
    """Look up the peak of the GPU in bfloat16; 0 for a CPU."""
    if options.device == "cpu":
        return 0.0
    import torch

    return (chip_tflops(torch.cuda.get_device_name()) or 0.0) * 1e12


def conditions(options: argparse.Namespace) -> str:
    """Say on what was measured, and with which versions."""
    if options.device == "cuda":
        import torch

        where = torch.cuda.get_device_name()
    else:
        named = [
            line for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines() if line.startswith("model name")
        ]
        where = f"{named[0].partition(':')[2].strip()}, {options.threads} of {os.cpu_count()} threads"
    found = []
    for package in ("torch", "transformers", "accelerate", "liger-kernel", "flash-attn"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    size = size_of(options.size, options.layers)
    shape = ", ".join(f"{name} {number}" for name, number in size.model.items())
    batch = f"{size.accumulation} x {size.micro_batch_rows} rows of {size.seq_len_tokens}"
    return f"{where}; Python {platform.python_version()}, {', '.join(found)}\n{shape}; {batch} a step"


def main() -> None:
    """Read the command line, measure every case, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--size", choices=SIZES, default="small", help="of model and rows")
    parser.add_argument("--layers", type=int, default=0, help="of the model, instead of those of its size")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), nargs="*", help="default: both, on a GPU bfloat16")
    parser.add_argument("--documents", choices=("web", "one"), nargs="*", default=["web", "one"])
    parser.add_argument("--features", action="store_true", help="compare cloudcpt with itself, less one part")
    parser.add_argument("--only", nargs="*", choices=CONTENDERS, help="these contenders; ratios are to the first")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--steps", type=int, default=2, help="optimizer steps of a turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every turn into this file")
    options = parser.parse_args()
    ours = ["cloudcpt", *(f"cloudcpt without {name}" for name in LEFT_OUT)]
    names = options.only or (ours if options.features else PAIRS[options.device])
    dtypes = options.dtype or (["bfloat16"] if options.device == "cuda" else ["float32", "bfloat16"])
    print(conditions(options), flush=True)
    cases = []
    for dtype in dtypes:
        for documents in options.documents:
            cases.append(compare(names, options, dtype, one_document_per_row=documents == "one"))
            show(cases[-1], options)
            if options.json:
                result = {"conditions": conditions(options), "steps": options.steps, "cases": cases}
                options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
