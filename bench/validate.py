"""What checking a dataset costs: CPU seconds per gigabyte, against bare parsers and against others' checks, in one run.

    python3 -m venv build/peers && build/peers/bin/pip install orjson msgspec polars duckdb datasets
    .venv/bin/python bench/validate.py [--size BYTES] [--rounds N] [--peers build/peers] [--json FILE] [--recipe RECIPE]

Everybody reads the same file of bench/corpus_text.py, which lies in the page cache. Contenders take turns, a process
each, so that a change of load hits all of them. What others do is less: see bench/validate_contenders.py. A peer that
is not installed is left out. `--recipe` measures `cloudcpt validate RECIPE` as well, imports and all.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus_text import write_corpus
from validate_contenders import CONTENDERS

OURS = ("cloudcpt, one core", "cloudcpt, two workers", "pysimdjson, bare", "Nova-style")
"""Run by the project's own interpreter; the others by that of the peers."""

SMALL_BYTES = 20_000


def turn(python: str, name: str, path: Path, small: Path) -> dict[str, Any] | None:
    """Run one contender once; None when it is not installed."""
    script = Path(__file__).with_name("validate_contenders.py")
    command = [python, str(script), name, str(path), str(small)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        if "ModuleNotFoundError" in done.stderr:
            return None
        sys.exit(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(path: Path, small: Path, peers: str, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Let all contenders take turns."""
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        for name in list(turns):
            found = turn(sys.executable if name in OURS else peers, name, path, small)
            if found is None:
                print(f"{name} is not installed and is left out", file=sys.stderr)
                del turns[name]
                continue
            turns[name].append(found)
            print(f"round {number + 1}, {name}: {found['cpu_s']:.2f} s of CPU", file=sys.stderr)
    return turns


def spread(values: Sequence[float]) -> str:
    """Write a median with least and most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def ratio(turns: dict[str, list[dict[str, Any]]], one: str, other: str, key: str = "cpu_s") -> str:
    """Compare two contenders round by round."""
    return spread([a[key] / b[key] for a, b in zip(turns[one], turns[other], strict=True)])


def show(turns: dict[str, list[dict[str, Any]]], size_bytes: int) -> None:
    """Print the table, and what the project promises."""
    gb = size_bytes / 1e9
    print("| | CPU s per GB | wall s per GB | CPU against cloudcpt | most memory, MB | documents |")
    print("|---|---|---|---|---|---|")
    for name, found in turns.items():
        cpu, wall = (spread([one[key] / gb for one in found]) for key in ("cpu_s", "wall_s"))
        memory = max(one["rss_mb"] for one in found)
        against = ratio(turns, name, OURS[0])
        print(f"| {name} | {cpu} | {wall} | {against} | {memory:.0f} | {found[0]['documents']} |")
    print(f"\nNova-style check / whole pass, CPU: {ratio(turns, 'Nova-style', OURS[0])}")
    print(f"bare pysimdjson / whole pass, CPU: {ratio(turns, 'pysimdjson, bare', OURS[0])}")
    print(f"one core / two workers, wall: {ratio(turns, OURS[0], OURS[1], 'wall_s')}")


def recipe_cpu_s(recipe: str, rounds: int) -> list[float]:
    """Run `cloudcpt validate` on a recipe, from the start of the interpreter to its end."""
    used = []
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "cloudcpt", "validate", recipe], check=False, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return used


def main() -> None:
    """Write the file, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, default=Path("build/peers"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--recipe")
    options = parser.parse_args()
    peers = options.peers / "bin" / "python"
    with tempfile.TemporaryDirectory(prefix="cloudcpt-bench-") as folder:
        path, small = Path(folder, "corpus.jsonl"), Path(folder, "small.jsonl")
        planted = write_corpus(path, options.size)
        write_corpus(small, SMALL_BYTES)
        print(f"{planted.lines} lines, {planted.size_bytes} bytes, {platform.platform()}", file=sys.stderr)
        interpreter = str(peers) if peers.exists() else sys.executable
        turns = measure(path, small, interpreter, options.rounds)
    show(turns, planted.size_bytes)
    document: dict[str, Any] = {"size_bytes": planted.size_bytes, "turns": turns}
    if options.recipe:
        document["recipe_cpu_s"] = recipe_cpu_s(options.recipe, 3 * options.rounds)
        print(f"cloudcpt validate {options.recipe}: {spread(document['recipe_cpu_s'])} s of CPU")
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
