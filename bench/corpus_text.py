"""Text to measure with: JSON lines of English, Chinese and code, any amount of it, the same for the same seed.

    python bench/corpus_text.py FILE [--size BYTES] [--seed N] [--repeat-every N] [--break-every N] [--ascii]

Lengths are log-normal with a mean of 6 kB a line and a median of 3.6 kB. Half of the bytes are English, three tenths
Chinese, two tenths code. Words are made up and follow Zipf's law, so every document is another one. About 60 MB a
second. Other benches import `documents` and `write_corpus`.
"""

import argparse
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MEAN_BYTES = 6000
"""Of a document, in UTF-8."""

SIGMA = 1.0
"""Of the logarithm of a length: one document in forty is longer than 25 kB."""

BROKEN = (
    (b'{"text": ""}', "CPT345"),
    (b'{"text": "a", "id": 7}', "CPT342"),
    (b'{"text": "a", "text": "b"}', "CPT340"),
    (b'{"text": "a",}', "CPT330"),
    (b'{"text": "a\xff"}', "CPT321"),
    (b'{"text": "a\\ud800"}', "CPT346"),
    (b"", "CPT325"),
    (b'{"content": "a"}', "CPT341"),
)
"""Lines that are no document, and the code of the finding."""

_POOL = 1 << 16
_SYLLABLES = (
    "ta",
    "re",
    "no",
    "mi",
    "ka",
    "lo",
    "the",
    "in",
    "sa",
    "er",
    "un",
    "di",
    "con",
    "ver",
    "sti",
    "pro",
    "al",
    "for",
)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What was written, and what is wrong with it.

    Args:
        lines: All of them.
        size_bytes: Of the file.
        broken: Line, offset of the line and code of each line that is no document.
        repeated: Lines that hold the text of an earlier one.
    """

    lines: int
    size_bytes: int
    broken: tuple[tuple[int, int, str], ...]
    repeated: tuple[int, ...]


def documents(seed: int = 1) -> Iterator[str]:
    """Make documents without end."""
    rng = random.Random(seed)
    kinds = [_english(rng), _chinese(rng), _code(rng)]
    while True:
        # By bytes, 5 : 3 : 2: every kind has documents of the same size in bytes.
        pool, mean_bytes = rng.choices(kinds, (5, 3, 2))[0]
        size = rng.lognormvariate(math.log(MEAN_BYTES) - SIGMA**2 / 2, SIGMA)
        yield "".join(rng.choices(pool, k=max(3, int(size / mean_bytes)))).strip() or "a"


def write_corpus(
    path: Path, size_bytes: int, *, seed: int = 1, repeat_every: int = 0, break_every: int = 0, is_ascii: bool = False
) -> Planted:
    """Write about so many bytes of documents.

    Args:
        path: The file; replaced.
        size_bytes: It ends with the first line that reaches this.
        seed: Another one, other text.
        repeat_every: Every so many lines one that came before is written once more; 0 for never.
        break_every: Every so many lines one of `BROKEN`; 0 for never.
        is_ascii: Whether everything beyond ASCII is escaped, as Python does by itself.
    """
    rng, source = random.Random(seed + 1), documents(seed)
    earlier: list[bytes] = []
    broken, repeated = [], []
    line = byte = 0
    with path.open("wb") as file:
        while byte < size_bytes:
            line += 1
            if break_every and line % break_every == 0:
                content, code = BROKEN[line // break_every % len(BROKEN)]
                broken.append((line, byte, code))
            elif repeat_every and line % repeat_every == 0 and earlier:
                content = rng.choice(earlier)
                repeated.append(line)
            else:
                content = json.dumps({"text": next(source)}, ensure_ascii=is_ascii).encode()
                if repeat_every and len(earlier) < 1000:
                    earlier.append(content)
            byte += file.write(content + b"\n")
    return Planted(lines=line, size_bytes=byte, broken=tuple(broken), repeated=tuple(repeated))


def _english(rng: random.Random) -> tuple[Sequence[str], float]:
    words = ["".join(rng.choices(_SYLLABLES, k=rng.choice((1, 1, 2, 2, 3, 4)))) for _ in range(12_000)]
    ends = [" "] * 24 + [", "] * 3 + [". "] * 2 + [".\n\n", ' "', "; "]
    return _pool(rng, words, ends)


def _chinese(rng: random.Random) -> tuple[Sequence[str], float]:
    characters = [chr(rng.randrange(0x4E00, 0x9FA0)) for _ in range(3000)]
    common = _zipf(rng, characters)
    words = ["".join(rng.choices(common, k=rng.choice((1, 2, 2, 2, 3, 4)))) for _ in range(12_000)]
    return _pool(rng, words, [""] * 16 + ["\uff0c"] * 3 + ["\u3002"] * 2 + ["\u3002\n"])


def _code(rng: random.Random) -> tuple[Sequence[str], float]:
    names = ["_".join(rng.choices(_SYLLABLES, k=rng.choice((1, 2, 3)))) for _ in range(4000)]
    shapes = ("    {0} = {1}({2})\n", "def {0}({1}: int) -> str:\n", '\t\tprint("{0}", {1}[{2}])\n', "    if {0}:\n")
    shapes += ("        return {0}.{1}\n", "# {0} {1} {2}\n", "\n", "for {0} in range({1}):\n", "    }}\n")
    lines = [rng.choice(shapes).format(*rng.choices(names, k=3)) for _ in range(_POOL)]
    return lines, sum(map(len, lines)) / len(lines)


def _pool(rng: random.Random, words: Sequence[str], ends: Sequence[str]) -> tuple[Sequence[str], float]:
    """Pair words with what follows them; drawing evenly from the pool draws the words by Zipf's law."""
    pool = [word + rng.choice(ends) for word in _zipf(rng, words)]
    return pool, sum(len(word.encode()) for word in pool) / len(pool)


def _zipf(rng: random.Random, words: Sequence[str]) -> list[str]:
    return rng.choices(words, [1 / rank for rank in range(1, len(words) + 1)], k=_POOL)


def main() -> None:
    """Write one file and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", type=int, default=1_000_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat-every", type=int, default=0)
    parser.add_argument("--break-every", type=int, default=0)
    parser.add_argument("--ascii", action="store_true")
    options = parser.parse_args()
    planted = write_corpus(
        options.file,
        options.size,
        seed=options.seed,
        repeat_every=options.repeat_every,
        break_every=options.break_every,
        is_ascii=options.ascii,
    )
    repeated, broken = len(planted.repeated), len(planted.broken)
    print(f"{planted.lines} lines, {planted.size_bytes} bytes, {repeated} repeated, {broken} broken")


if __name__ == "__main__":
    main()
