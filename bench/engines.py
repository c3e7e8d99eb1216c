"""The same small job under engines that reach beyond one machine: check every line, drop exact repeats, write the rest.

    python bench/engines.py [--files N] [--size BYTES] [--rounds N] [ENGINE ...]     ray daft spark here

Every engine runs our own verdict (`read_text`) on every line of every file, partitions the documents' hashes by their
first byte with its own shuffle, decides which document came first, and writes one file per input. The outputs are
compared byte for byte. `here` is the same in one process without any engine. Each contender runs in processes of its
own, on two cores; times are of the wall, CPU is that of the whole process tree (JVM, daemons and workers included),
memory the largest sum of unique memory (USS) seen every 0.2 s. The rounds are interleaved.

Needs `pip install ray daft pyspark psutil`; an engine that is not installed is left out and named.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

PARTITIONS = 8
CORES = 2

Row = tuple[bytes, int, int]  # digest, file, line


# --- the job, in steps that every engine calls ---------------------------------------------------------------------


def digests_of(number: int, path: str) -> list[Row]:
    """Read one file with our own verdict: the hash of every document, and where it is."""
    from blake3 import blake3

    from cloudcpt.dataset.records import read_text

    rows = []
    with open(path, "rb") as file:
        for line, content in enumerate(file, 1):
            text = read_text(content.removesuffix(b"\n"))
            rows.append((blake3(text.encode()).digest(length=16), number, line))
    return rows


def repeats_of(rows: list[Row]) -> list[tuple[int, int]]:
    """Decide which documents repeat an earlier one."""
    first: dict[bytes, tuple[int, int]] = {}
    dropped = []
    for digest, number, line in sorted(rows, key=lambda row: row[1:]):
        if digest in first:
            dropped.append((number, line))
        else:
            first[digest] = (number, line)
    return dropped


def write_rest(path: str, target: str, dropped: set[int]) -> int:
    """Write a file without some lines; say how many stay."""
    kept = 0
    with open(path, "rb") as source, open(target, "wb") as out:
        for line, content in enumerate(source, 1):
            if line not in dropped:
                out.write(content)
                kept += 1
    return kept


def target_of(path: str, folder: str) -> str:
    """Name the output of a file."""
    return f"{folder}/{Path(path).name}"


# --- contenders ----------------------------------------------------------------------------------------------------


def run_here(paths: list[str], folder: str) -> Iterator[str]:
    """Do it in this process."""
    yield "started"
    rows = [row for number, path in enumerate(paths) for row in digests_of(number, path)]
    dropped = repeats_of(rows)
    for number, path in enumerate(paths):
        write_rest(path, target_of(path, folder), {line for file, line in dropped if file == number})


def run_ray(paths: list[str], folder: str) -> Iterator[str]:
    """Do it with tasks, their returns being the shuffle."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False, object_store_memory=200 << 20)
    yield "started"

    @ray.remote(num_returns=PARTITIONS)
    def split(number: int, path: str) -> list[list[Row]]:
        parts: list[list[Row]] = [[] for _ in range(PARTITIONS)]
        for row in digests_of(number, path):
            parts[row[0][0] % PARTITIONS].append(row)
        return parts

    @ray.remote(num_returns=len(paths))
    def gather(*parts: list[Row]) -> list[list[int]]:
        dropped: list[list[int]] = [[] for _ in paths]
        for number, line in repeats_of([row for part in parts for row in part]):
            dropped[number].append(line)
        return dropped

    @ray.remote
    def write(path: str, target: str, *dropped: list[int]) -> int:
        return write_rest(path, target, {line for part in dropped for line in part})

    matrix = [split.remote(number, path) for number, path in enumerate(paths)]
    verdicts = [gather.remote(*[row[part] for row in matrix]) for part in range(PARTITIONS)]
    ray.get(
        [
            write.remote(path, target_of(path, folder), *[verdict[number] for verdict in verdicts])
            for number, path in enumerate(paths)
        ]
    )


def run_daft(paths: list[str], folder: str) -> Iterator[str]:
    """Do it with data frames and functions on their columns."""
    os.environ["DO_NOT_TRACK"] = "true"
    import daft
    from daft import DataType, Series, col

    daft.set_runner_native(num_threads=CORES)
    yield "started"
    # In hexadecimal: on a column of bytes, Daft 0.7.26 joins every row with every other one.
    row_type = DataType.list(DataType.struct({"digest": DataType.string(), "line": DataType.int64()}))

    @daft.udf(return_dtype=row_type, batch_size=1, concurrency=CORES)
    def digests(number: Series, path: Series) -> list[list[dict[str, object]]]:
        return [
            [{"digest": digest.hex(), "line": line} for digest, _, line in digests_of(one, where)]
            for one, where in zip(number.to_pylist(), path.to_pylist(), strict=True)
        ]

    @daft.udf(return_dtype=DataType.int64(), batch_size=1, concurrency=CORES)
    def write(path: Series, lines: Series) -> list[int]:
        return [
            write_rest(one, target_of(one, folder), set(dropped or ()))
            for one, dropped in zip(path.to_pylist(), lines.to_pylist(), strict=True)
        ]

    files = daft.from_pydict({"number": list(range(len(paths))), "path": paths})
    rows = files.select(col("number"), digests(col("number"), col("path")).alias("row")).explode("row")
    rows = rows.select(
        (col("number") * (1 << 40) + col("row")["line"]).alias("at"), col("row")["digest"].alias("digest")
    )
    first = rows.groupby("digest").agg(col("at").min().alias("first"))
    dropped = rows.join(first, on="digest").where(col("at") != col("first"))
    dropped = dropped.select(
        (col("at") // (1 << 40)).cast(DataType.int64()).alias("number"), (col("at") % (1 << 40)).alias("line")
    )
    per_file = dropped.groupby("number").agg(col("line").list_agg().alias("lines"))
    whole = files.join(per_file, on="number", how="left")
    whole.select(write(col("path"), col("lines")).alias("kept")).collect()


def run_spark(paths: list[str], folder: str) -> Iterator[str]:
    """Do it with resilient distributed datasets, on a JVM."""
    from pyspark import SparkConf, SparkContext

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    conf = SparkConf().setMaster(f"local[{CORES}]").set("spark.ui.enabled", "false").set("spark.driver.memory", "2g")
    conf = conf.set("spark.driver.bindAddress", "127.0.0.1").set("spark.driver.host", "127.0.0.1")
    context = SparkContext(conf=conf)
    context.setLogLevel("ERROR")
    yield "started"
    files = context.parallelize(list(enumerate(paths)), len(paths))
    rows = files.flatMap(lambda pair: [(row[0], row[1:]) for row in digests_of(*pair)])
    parted = rows.partitionBy(PARTITIONS, lambda digest: digest[0])
    dropped = parted.mapPartitions(lambda part: repeats_of([(digest, *at) for digest, at in part]))
    lines = dropped.groupByKey(len(paths)).mapValues(set)
    whole = files.leftOuterJoin(lines, len(paths))
    whole.map(lambda row: write_rest(row[1][0], target_of(row[1][0], folder), row[1][1] or set())).collect()
    context.stop()


CONTENDERS = {"here": run_here, "ray": run_ray, "daft": run_daft, "spark": run_spark}


# --- measuring -----------------------------------------------------------------------------------------------------


def contend(name: str, source: Path, folder: Path) -> None:
    """Run one contender in this process and print what it took as JSON."""
    import psutil

    paths = [str(path) for path in sorted(source.glob("*.jsonl"))]
    begin = time.monotonic()
    steps = CONTENDERS[name](paths, str(folder))
    next(steps)
    started = time.monotonic()
    for _ in steps:
        pass
    ended = time.monotonic()
    times = [process.cpu_times() for process in (psutil.Process(), *psutil.Process().children(recursive=True))]
    cpu = sum(one.user + one.system + one.children_user + one.children_system for one in times)
    print(json.dumps({"start_s": started - begin, "work_s": ended - started, "cpu_s": cpu}))


def measure(name: str, source: Path) -> dict[str, float | str] | None:
    """Run one contender in a process of its own and watch it."""
    import psutil

    folder = Path(tempfile.mkdtemp(prefix="engines-"))
    command = [sys.executable, __file__, "--contend", name, "--source", str(source), "--folder", str(folder)]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        most = 0
        while process.poll() is None:
            most = max(most, _unique_bytes(psutil.Process(process.pid)))
            time.sleep(0.2)
        answer = process.stdout.read() if process.stdout else ""
        said.seek(0)
        if process.returncode:
            print(f"{name}: left out: {said.read().strip().splitlines()[-1]}", file=sys.stderr)
            return None
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    shutil.rmtree(folder)
    found = json.loads(answer.strip().splitlines()[-1])
    return {**found, "memory_mb": most / 1e6, "sha256": digest.hexdigest()[:12]}


def _unique_bytes(process: "object") -> int:
    import psutil

    total = 0
    try:
        for one in (process, *process.children(recursive=True)):  # type: ignore[attr-defined]
            try:
                total += one.memory_full_info().uss
            except psutil.Error:
                continue
    except psutil.Error:
        return total
    return total


def main() -> None:
    """Run all contenders and print a table."""
    parser = argparse.ArgumentParser(description="One job under several engines.")
    parser.add_argument("engines", nargs="*", default=list(CONTENDERS))
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--size", type=int, default=12_000_000, help="bytes of each file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contend")
    parser.add_argument("--source", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.contend:
        contend(options.contend, options.source, options.folder)
        return
    from corpus_text import write_corpus

    with tempfile.TemporaryDirectory(prefix="engines-") as scratch:
        source = Path(scratch)
        for number in range(options.files):
            # Seeds repeat, so half of the files are others over again.
            write_corpus(
                source / f"{number:03}.jsonl", size_bytes=options.size, seed=number % max(1, options.files // 2)
            )
        found: dict[str, list[dict[str, float | str]]] = {}
        for _ in range(options.rounds):
            for name in options.engines:
                if row := measure(name, source):
                    found.setdefault(name, []).append(row)
    print("| engine | start s | work s | CPU s | memory MB | output |\n|---|---|---|---|---|---|")
    for name, rows in found.items():
        keys = ("start_s", "work_s", "cpu_s", "memory_mb")
        middle = [f"{statistics.median(float(row[key]) for row in rows):.1f}" for key in keys]
        print(f"| {name} | {' | '.join(middle)} | {' '.join(sorted({str(row['sha256']) for row in rows}))} |")


if __name__ == "__main__":
    main()
