"""Tokenise and pack a corpus: cloudcpt beside `datasets.map` and group_texts, with the same tokenizer.

    python3 -m venv build/peers && build/peers/bin/pip install datasets transformers
    python bench/tokenise.py --peer build/peers/bin/python [--size BYTES] [--text FILE] [--rounds N]

A byte-level BPE of 32,000 tokens with Llama 3's split is trained on other text of the same kind, or on every fourth
document of the text that is given. Then everybody turns the same JSON lines into rows of 8192 tokens on disk, a process
each, in turns, and does it a second time in the same process, where words may be remembered. The peer is transformers'
`run_clm.py`: `load_dataset`, a batched map with the tokenizer, a batched map that joins and cuts; with a boundary after
each document, so that there are as many tokens, but for what each batch cuts off at its end.

CPU is user and system with all child processes; memory is the most that a process and its children held together,
looked at 20 times a second. Prints medians, and from least to most. Then: what either packing makes of the documents,
and what packing costs by itself.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

SEQ_LEN = 8192
VOCABULARY = 32_000
BOUNDARY = "<|end_of_text|>"
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
"""Of Llama 3."""

PAGE = os.sysconf("SC_PAGE_SIZE")


def train_tokenizer(folder: Path, texts: Iterator[str]) -> None:
    """Train the vocabulary that everybody uses."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[BOUNDARY], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": BOUNDARY}))


# --- contenders: each in a process of its own -----------------------------------------------------------------------


def cloudcpt_rows(text: Path, folder: Path, out: Path, workers: int) -> Iterator[Callable[[], int]]:
    """Make rows as the trainer does."""
    from cloudcpt.dataset.files import HERE
    from cloudcpt.dataset.tokenising import tokenise
    from cloudcpt.dataset.tokens import load_tokenizer
    from cloudcpt.plan.plan import Geometry, Source
    from cloudcpt.train.pack import build_rows
    from cloudcpt.train.rows import open_rows

    files, tokenizer = HERE.select(str(text)).files, load_tokenizer(folder)
    counts: dict[str, Any] = dict.fromkeys(("documents", "tokens", "rows", "cut_documents", "cut_tokens"), 0)
    source = Source(name="domain", role="train", channel="train", files=(), exact=False, weight=1.0, **counts)
    geometry = Geometry(
        seq_len_tokens=SEQ_LEN,
        packing="best_fit",
        global_batch_rows=1,
        micro_batch_rows=1,
        accumulation=1,
        steps=1,
        bound="max_steps",
        train_rows=1,
        train_tokens=1,
        epochs=1.0,
    )

    def once() -> int:
        blocks = tokenise(HERE, files, tokenizer, workers=workers)
        build_rows(source, geometry, blocks, out / "rows", boundary_id=tokenizer.boundary_id, is_whole=True)
        return open_rows(out / "rows").header.num_tokens

    while True:
        yield once


def datasets_rows(text: Path, folder: Path, out: Path, workers: int) -> Iterator[Callable[[], int]]:
    """Make rows as `run_clm.py` does."""
    import datasets
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), eos_token=BOUNDARY)
    end = tokenizer.eos_token_id

    def encode(examples: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return {"input_ids": [[*ids, end] for ids in tokenizer(examples["text"])["input_ids"]]}

    def group_texts(examples: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = [token for ids in examples["input_ids"] for token in ids]
        whole = len(joined) // SEQ_LEN * SEQ_LEN
        rows = [joined[start : start + SEQ_LEN] for start in range(0, whole, SEQ_LEN)]
        return {"input_ids": rows, "labels": [list(row) for row in rows]}

    def once() -> int:
        options = {"batched": True, "num_proc": workers if workers > 1 else None, "load_from_cache_file": False}
        with tempfile.TemporaryDirectory(dir=out) as cache:
            raw = datasets.load_dataset("json", data_files=str(text), split="train", cache_dir=cache)
            encoded = raw.map(encode, remove_columns=["text"], **options)
            return len(encoded.map(group_texts, **options)) * SEQ_LEN

    while True:
        yield once


CONTENDERS = {"cloudcpt": cloudcpt_rows, "datasets": datasets_rows}


def contend(name: str, text: Path, folder: Path, out: Path, workers: int) -> None:
    """Take part: two passes, and a line of JSON about both."""
    found = []
    for once in islice(CONTENDERS[name](text, folder, out, workers), 2):
        cpu, wall = _cpu_s(), time.perf_counter()
        tokens = once()
        found.append({"cpu_s": _cpu_s() - cpu, "wall_s": time.perf_counter() - wall, "tokens": tokens})
    print(json.dumps(found))


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


# --- the contest ----------------------------------------------------------------------------------------------------


def run(interpreter: str, name: str, text: Path, folder: Path, workers: int) -> tuple[list[dict[str, float]], float]:
    """Let one contender do its two passes; return what it says and the most bytes that it held."""
    with tempfile.TemporaryDirectory() as out:
        command = [interpreter, __file__, "--contend", name, str(text), str(folder), out, str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **_quiet(name)})
        most = [0.0]
        watcher = threading.Thread(target=_watch, args=(process, most))
        watcher.start()
        said, _ = process.communicate()
        watcher.join()
    if process.returncode:
        raise SystemExit(f"{name} ended with {process.returncode}")
    return json.loads(said.splitlines()[-1]), most[0]


def _quiet(name: str) -> dict[str, str]:
    here = {"PYTHONPATH": str(Path(__file__).parent.parent)} if name == "cloudcpt" else {"PYTHONPATH": ""}
    return {**here, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def _watch(process: "subprocess.Popen[str]", most: list[float]) -> None:
    while process.poll() is None:
        most[0] = max(most[0], sum(map(_held_bytes, _family(process.pid))))
        time.sleep(0.05)


def _family(pid: int) -> list[int]:
    try:
        below = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        below = []
    return [pid, *(one for child in below for one in _family(child))]


def _held_bytes(pid: int) -> int:
    try:
        resident, shared = (int(field) for field in Path(f"/proc/{pid}/statm").read_text().split()[1:3])
    except OSError:
        return 0
    return (resident - shared) * PAGE


def main() -> None:
    """Make the corpus and the tokenizer, let everybody take turns, and show the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter with datasets and transformers")
    parser.add_argument("--size", type=int, default=100_000_000, help="bytes of made-up text")
    parser.add_argument("--text", type=Path, help="JSON lines to use instead")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    from corpus_text import documents, write_corpus

    with tempfile.TemporaryDirectory() as folder:
        text, tokenizer = options.text or Path(folder, "text.jsonl"), Path(folder)
        if options.text:
            with text.open(encoding="utf-8") as lines:
                train_tokenizer(tokenizer, (json.loads(line)["text"] for line in islice(lines, 0, None, 4)))
        else:
            write_corpus(text, options.size, seed=3)
            train_tokenizer(tokenizer, islice(documents(7), 3000))
        contest(text, tokenizer, options.peer, options.workers, options.rounds)
        show_packing(text, tokenizer)


def contest(text: Path, tokenizer: Path, peer: str | None, workers: list[int], rounds: int) -> None:
    """Take turns and print one line for each contender and pass."""
    who = [(name, count) for count in workers for name in CONTENDERS if name == "cloudcpt" or peer]
    results: dict[tuple[str, int], list[tuple[list[dict[str, float]], float]]] = {one: [] for one in who}
    for _ in range(rounds):
        for name, count in who:
            interpreter = sys.executable if name == "cloudcpt" else str(peer)
            results[name, count].append(run(interpreter, name, text, tokenizer, count))
    size_mb = text.stat().st_size / 1e6
    print(f"{size_mb:.0f} MB, {rounds} rounds")
    for (name, count), found in results.items():
        for turn in (0, 1):
            passes = [one[turn] for one, _ in found]
            print(
                f"{name}, {count} process{'es' if count > 1 else ''}, pass {turn + 1}: "
                f"{_spread([one['cpu_s'] * 1000 / size_mb for one in passes])} CPU s per GB, "
                f"{_spread([size_mb / one['wall_s'] for one in passes])} MB/s wall, "
                f"{statistics.median(one['tokens'] / one['cpu_s'] for one in passes) / 1e6:.2f} M tokens per CPU s, "
                f"{passes[0]['tokens']:,.0f} tokens, {statistics.median(held for _, held in found) / 2**20:.0f} MiB"
            )


def _spread(numbers: list[float]) -> str:
    return f"{statistics.median(numbers):.1f} ({min(numbers):.1f} to {max(numbers):.1f})"


def show_packing(text: Path, folder: Path) -> None:
    """Print what either packing makes of the documents, and what `pack` costs per million of them."""
    from cloudcpt.dataset.files import HERE
    from cloudcpt.dataset.tokenising import tokenise
    from cloudcpt.dataset.tokens import load_tokenizer
    from cloudcpt.plan.geometry import cut_documents, pack

    blocks = tokenise(HERE, HERE.select(str(text)).files, load_tokenizer(folder))
    lengths = [length for block in blocks for length in block.lengths]
    for packing in ("best_fit", "concat"):
        start = time.process_time()
        rows = pack(lengths, SEQ_LEN, packing)
        spent = time.process_time() - start
        cut = len(cut_documents(rows)) / len(lengths)
        padding = 1 - sum(lengths) / (len(rows) * SEQ_LEN)
        print(
            f"{packing}: {len(rows):,} rows of {len(lengths):,} documents, {padding:.2%} padding, "
            f"{cut:.1%} of the documents cut, {spent / len(lengths) * 1e6:.1f} CPU s per million documents"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--contend"]:
        contend(sys.argv[2], *map(Path, sys.argv[3:6]), int(sys.argv[6]))
    else:
        main()
