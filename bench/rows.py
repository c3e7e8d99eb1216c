"""What a job spends on its rows the first time, what it saves when they are kept, and when it can start to train.

    python bench/rows.py [MEGABYTES] [ROUNDS]

The demo's general text, repeated to so many megabytes of JSONL, every document different; `make demo` writes it. In
each round the rows are made without a cache, made and kept, taken, and made in windows, one after another, so that a
change of load hits all. `started` is when training could start on the first window, `in windows` when the last one is
there. CPU seconds are those of the process, its threads, and the processes that it has waited for.
"""

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from blake3 import blake3

from cloudcpt.plan.plan import DataFile, Plan, read_plan
from cloudcpt.train.prepare import prepare_rows
from cloudcpt.train.rows import Rows, open_rows
from cloudcpt.train.windows import CUT
from cloudcpt.wire import MlFolder

FOLDER = Path("build/rows")
GENERAL = Path("build/demo/general-train.jsonl")
TOKENIZER = Path("build/demo/base")
PLAN = Path("tests/train/data_plan.json")
SEQ_LEN_TOKENS = 2048
STEPS = 1_000_000  # so many that the job reads every window
WINDOWS = replace(CUT, whole_bytes=0)


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
    rows = STEPS * template.geometry.global_batch_rows
    geometry = replace(template.geometry, seq_len_tokens=SEQ_LEN_TOKENS, steps=STEPS, train_rows=rows)
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
    cpu, wall = sum(os.times()[:4]), time.perf_counter()
    work()
    return sum(os.times()[:4]) - cpu, time.perf_counter() - wall


def in_windows(plan: Plan, ml: MlFolder, times: dict[str, list[tuple[float, float]]]) -> list[Rows]:
    """Make rows in windows, note when the first one and the last one was there, and map them."""
    rows = None

    def start() -> None:
        nonlocal rows
        rows = prepare_rows(plan, ml, TOKENIZER, is_node_main=True, barrier=lambda: None, cut=WINDOWS)

    first = timed(start)
    assert rows is not None
    rest = timed(rows.finish)
    times["started"].append(first)
    times["in windows"].append((first[0] + rest[0], first[1] + rest[1]))
    windows = rows["train"]
    return [windows.window(number) for number in range(windows.num_windows)]


def padding(windows: Sequence[Rows]) -> float:
    """Tell which share of the positions of all rows holds no token."""
    tokens = sum(window.header.num_tokens for window in windows)
    return 1 - tokens / sum(window.tokens.size for window in windows)


def main() -> None:
    """Measure and print."""
    megabytes, rounds = (int(sys.argv[at]) if len(sys.argv) > at else usual for at, usual in ((1, 100), (2, 5)))
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = written(megabytes)
    plan, kept = plan_of(data), FOLDER / "kept"
    names = ("made", "made and kept", "taken", "started", "in windows")
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        shutil.rmtree(kept, ignore_errors=True)
        for name, place in (("made", None), ("made and kept", kept), ("taken", kept)):
            ml = job("job", data, place)
            times[name].append(
                timed(partial(prepare_rows, plan, ml, TOKENIZER, is_node_main=True, barrier=lambda: None))
            )
            whole = open_rows(ml.scratch / "rows" / "train")
        windows = in_windows(plan, job("windows", data, None), times)
    tokens = whole.header.num_tokens
    print(f"{megabytes} MB of JSONL, {tokens / 1e6:.1f} million tokens in rows of {SEQ_LEN_TOKENS}; median of {rounds}")
    for name, pairs in times.items():
        cpu, wall = (statistics.median(pair[at] for pair in pairs) for at in (0, 1))
        print(f"{name:16}{cpu:8.2f} s of CPU{wall:8.2f} s")
    print(f"{whole.padding_share:.3%} padding in {len(whole)} rows, {padding(windows):.3%} in {len(windows)} windows")
    shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
