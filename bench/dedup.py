"""Near-duplicates found: documents per second and recall at planted rates of edits, beside datasketch and rensa alone.

    .venv/bin/pip install datasketch
    .venv/bin/python bench/dedup.py [--documents N] [--copies SHARE] [--rounds N] [--json FILE]

The corpus is that of bench/corpus_text.py. Copies of earlier documents are planted in it: words (characters, in
Chinese) are replaced, removed, or moved in stretches, at several rates. How similar a copy is to its original is
computed exactly, from sets of runs of five words; those of at least 0.8 are to be found, and no others.

Everybody begins with texts in memory and ends with the numbers of the documents that go, in one process, taking turns.
Words are the same for all: runs of letters and digits in lower case, single characters in Chinese. datasketch gets them
as Python strings, hashed by xxhash, which is what its documentation advises; `as documented` inserts every document and
asks what resembles it, 128 permutations; `verified` has 256 and drops what the estimate does not confirm, as we do.
rensa, of which cloudcpt uses the sketch, has 256 too, and gets its runs of words from Python.
CPU time of the process, all threads.
"""

import argparse
import json
import platform
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from corpus_text import documents

THRESHOLD = 0.8
RUN = 5
RATES = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08)
BANDS = ((0.0, 0.6), (0.6, 0.7), (0.7, 0.75), (0.75, 0.8), (0.8, 0.85), (0.85, 0.9), (0.9, 1.01))

_WORDS = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A planted copy.

    Args:
        number: Of the document.
        original: Of the document that it was made from.
        kind: Of its edits.
        rate: Of its edits, per word.
        similarity: Exact Jaccard similarity of the runs of five words of the two.
    """

    number: int
    original: int
    kind: str
    rate: float
    similarity: float


def plant(count: int, share: float, seed: int = 3) -> tuple[list[str], list[Copy]]:
    """Make documents, some of which are edited copies of earlier ones."""
    rng = random.Random(seed)
    source = documents(seed)
    texts: list[str] = []
    copies = []
    originals = []
    for number in range(count):
        if len(originals) > 10 and rng.random() < share:
            original, kind, rate = rng.choice(originals), rng.choice(tuple(EDITS)), rng.choice(RATES)
            texts.append(EDITS[kind](texts[original], rate, rng))
            similarity = jaccard(texts[original], texts[-1])
            copies.append(Copy(number=number, original=original, kind=kind, rate=rate, similarity=similarity))
        else:
            originals.append(number)
            texts.append(next(source))
    return texts, copies


def replaced(text: str, rate: float, rng: random.Random) -> str:
    """Put another word of the text in the place of some."""
    words = _WORDS.findall(text)
    return _WORDS.sub(lambda found: rng.choice(words) if rng.random() < rate else found[0], text)


def removed(text: str, rate: float, rng: random.Random) -> str:
    """Leave some words out."""
    return _WORDS.sub(lambda found: "" if rng.random() < rate else found[0], text)


def moved(text: str, rate: float, rng: random.Random) -> str:
    """Cut a text at some words and shuffle the pieces."""
    cuts = [0, *(found.start() for found in _WORDS.finditer(text) if rng.random() < rate), len(text)]
    pieces = [text[start:end] for start, end in pairwise(cuts)]
    rng.shuffle(pieces)
    return "".join(pieces)


EDITS: dict[str, Callable[[str, float, random.Random], str]] = {
    "replaced": replaced,
    "removed": removed,
    "moved": moved,
}


def runs(text: str) -> set[str]:
    """List the runs of five words of a text; a shorter text is one run."""
    words = _WORDS.findall(text.lower())
    return {" ".join(words[at : at + RUN]) for at in range(max(1, len(words) - RUN + 1))}


def jaccard(one: str, other: str) -> float:
    """Compute the similarity of two texts."""
    left, right = runs(one), runs(other)
    return len(left & right) / len(left | right)


def find_cloudcpt(texts: Sequence[str]) -> set[int]:
    """Do what `cloudcpt data dedup --by near` does between reading and writing."""
    from cloudcpt.corpus.near import near_groups

    return {number for number, first in enumerate(near_groups(texts, threshold=THRESHOLD)) if first != number}


def find_datasketch(texts: Sequence[str]) -> set[int]:
    """Use the library as its documentation shows."""
    return _datasketch(texts, 128, is_verified=False)


def find_datasketch_verified(texts: Sequence[str]) -> set[int]:
    """Look at the estimates too."""
    return _datasketch(texts, 256, is_verified=True)


def _datasketch(texts: Sequence[str], permutations: int, *, is_verified: bool) -> set[int]:
    from datasketch import MinHash, MinHashLSH
    from xxhash import xxh32_intdigest

    index = MinHashLSH(threshold=THRESHOLD, num_perm=permutations)
    kept: dict[int, MinHash] = {}
    dropped = set()
    for number, text in enumerate(texts):
        sketch = MinHash(num_perm=permutations, hashfunc=xxh32_intdigest)
        sketch.update_batch([run.encode() for run in runs(text)])
        found = index.query(sketch)
        if is_verified:
            found = [other for other in found if sketch.jaccard(kept[other]) >= THRESHOLD]
        if found:
            dropped.add(number)
        else:
            index.insert(number, sketch)
            if is_verified:
                kept[number] = sketch
    return dropped


def find_rensa(texts: Sequence[str]) -> set[int]:
    """Use the library that cloudcpt uses too as its documentation shows: with runs of words made by Python."""
    from rensa import RMinHashDeduplicator

    index = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=256, use_lsh=True)
    kept = index.add_pairs((str(number), list(runs(text))) for number, text in enumerate(texts))
    return {number for number, is_kept in enumerate(kept) if not is_kept}


CONTENDERS: dict[str, Callable[[Sequence[str]], set[int]]] = {
    "cloudcpt": find_cloudcpt,
    "rensa, as documented": find_rensa,
    "datasketch, as documented": find_datasketch,
    "datasketch, verified": find_datasketch_verified,
}


def measure(texts: Sequence[str], rounds: int) -> tuple[dict[str, list[float]], dict[str, set[int]]]:
    """Let all contenders take turns; return CPU seconds of each turn, and what each dropped."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    dropped = {}
    for find in CONTENDERS.values():
        find(texts[:20])  # imports and tables
    for _ in range(rounds):
        for name, find in CONTENDERS.items():
            start = time.process_time()
            dropped[name] = find(texts)
            seconds[name].append(time.process_time() - start)
    return seconds, dropped


def quality(dropped: set[int], copies: Sequence[Copy]) -> dict[str, float]:
    """Compare what was dropped with what was planted: recall, precision, and the share dropped by similarity."""
    near = {copy.number for copy in copies if copy.similarity >= THRESHOLD}
    found: dict[str, float] = {
        "recall": len(dropped & near) / len(near),
        "precision": len(dropped & near) / max(1, len(dropped)),
    }
    for low, high in BANDS:
        band = {copy.number for copy in copies if low <= copy.similarity < high}
        if band:
            found[f"dropped at {low:.2f} to {min(high, 1):.2f} ({len(band)})"] = len(dropped & band) / len(band)
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--copies", type=float, default=0.25, help="share of documents that are edited copies")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    texts, copies = plant(options.documents, options.copies)
    size_bytes = sum(len(text.encode()) for text in texts)
    seconds, dropped = measure(texts, options.rounds)
    near = sum(copy.similarity >= THRESHOLD for copy in copies)
    print(
        f"{len(texts)} documents, {size_bytes / 1e6:.1f} MB, {len(copies)} edited copies, {near} of them at {THRESHOLD}"
    )
    print(f"Python {platform.python_version()}, rensa {version('rensa')}, datasketch {version('datasketch')}")
    results = {}
    for name, turns in seconds.items():
        rates = [len(texts) / turn for turn in turns]
        ratios = [theirs / ours for theirs, ours in zip(turns, seconds["cloudcpt"], strict=True)]
        results[name] = {
            "documents_per_cpu_second": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
            "times_cloudcpt": statistics.median(ratios),
            **quality(dropped[name], copies),
        }
        print(
            f"{name:28} {statistics.median(rates):8.0f} documents per CPU second"
            f" ({min(rates):.0f} to {max(rates):.0f}), {statistics.median(ratios):.1f} times the CPU time of cloudcpt"
        )
        for words, value in quality(dropped[name], copies).items():
            print(f"    {words:32} {value:.4f}")
    if options.json:
        whole = {"documents": len(texts), "size_bytes": size_bytes, "results": results}
        options.json.write_text(json.dumps({**whole, "copies": [asdict(copy) for copy in copies]}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
