"""What a job spends on its rows the first time, and what it saves when they are kept: the figures of docs/numerics.md.

    python bench/rows.py [MEGABYTES] [ROUNDS]

The demo's general text, repeated to so many megabytes of JSONL, every document different; `make demo` writes it. In
each round the rows are made without a cache, made and kept, and taken, one after another, so that a change of load hits
all. CPU seconds are those of the process with its threads.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from blake3 import blake3

from cloudcpt.plan.plan import DataFile, Plan, read_plan
from cloudcpt.train.pack import prepare_rows
from cloudcpt.train.rows import open_rows
from cloudcpt.wire import MlFolder

FOLDER = Path("build/rows")
GENERAL = Path("build/demo/general-train.jsonl")
TOKENIZER = Path("build/demo/base")
PLAN = Path("tests/train/data_plan.json")
SEQ_LEN_TOKENS = 2048


def written(megabytes: int) -> Path:
    """Write the text."""
    texts = [json.loads(line)["text"] for line in GENERAL.read_text("utf-8").splitlines()]
    path = FOLDER / "data.jsonl"
    with path.open("w", encoding="utf-8") as file:
        number = 0
        while file.tell() < megabytes * 1_000_000:
            file.write(json.dumps({"text": f"{number} {texts[number % len(texts)]}"}) + "\n")
            number += 1
    return path


def plan_of(data: Path) -> Plan:
    """Plan to train on the text, as far as its rows go."""
    template = read_plan(PLAN)
    content = blake3(data.read_bytes()).hexdigest()
    file = DataFile(name=data.name, uri=str(data), size_bytes=data.stat().st_size, blake3=content)
    geometry = replace(template.geometry, seq_len_tokens=SEQ_LEN_TOKENS)
    return replace(template, sources=(replace(template.sources[0], files=(file,), weight=1.0),), geometry=geometry)


def job(name: str, data: Path, kept: Path | None) -> MlFolder:
    """Lay out a job as the local engine does, with the rows that are kept or without."""
    ml = MlFolder(FOLDER / name)
    shutil.rmtree(ml.root, ignore_errors=True)
    ml.channel("train").mkdir(parents=True)
    (ml.channel("train") / data.name).symlink_to(data.absolute())
    ml.scratch.mkdir()
    if kept is not None:
        kept.mkdir(exist_ok=True)
        ml.row_cache.symlink_to(kept.absolute())
    return ml


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU and wall-clock seconds of some work."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Measure and print."""
    megabytes, rounds = (int(sys.argv[at]) if len(sys.argv) > at else usual for at, usual in ((1, 100), (2, 5)))
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = written(megabytes)
    plan, kept = plan_of(data), FOLDER / "kept"
    times: dict[str, list[tuple[float, float]]] = {"made": [], "made and kept": [], "taken": []}
    tokens = 0
    for _ in range(rounds):
        shutil.rmtree(kept, ignore_errors=True)
        for name, place in (("made", None), ("made and kept", kept), ("taken", kept)):
            ml = job("job", data, place)
            times[name].append(
                timed(partial(prepare_rows, plan, ml, TOKENIZER, is_node_main=True, barrier=lambda: None))
            )
            tokens = open_rows(ml.scratch / "rows" / "train").header.num_tokens
    print(f"{megabytes} MB of JSONL, {tokens / 1e6:.1f} million tokens in rows of {SEQ_LEN_TOKENS}; median of {rounds}")
    for name, pairs in times.items():
        cpu, wall = (statistics.median(pair[at] for pair in pairs) for at in (0, 1))
        print(f"{name:16}{cpu:8.2f} s of CPU{wall:8.2f} s")
    shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
