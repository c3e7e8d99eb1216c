"""Small corpora as folders of JSON lines, and what is in them."""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_corpus(folder: Path, files: Mapping[str, Sequence[str]]) -> Path:
    """Write one file of documents for each name."""
    for name, texts in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return folder


def texts_in(folder: Path) -> list[str]:
    """Read all documents below a folder, with a reader of its own, in no order."""
    lines = (line for path in folder.rglob("*.jsonl") for line in path.read_text("utf-8").split("\n"))
    return [json.loads(line)["text"] for line in lines if line]


def lines_in(path: Path) -> list[bytes]:
    """Read the lines of a file, each with its end."""
    return path.read_bytes().splitlines(keepends=True)


def prose(number: int, seed: int, words: int = 60) -> list[str]:
    """Make documents that have nothing in common."""
    draw = random.Random(seed)
    return [" ".join(f"w{draw.randrange(10**6)}" for _ in range(words)) for _ in range(number)]


def resembling(text: str) -> str:
    """Change one word in the middle of a text: of 56 runs of five words, 51 stay."""
    words = text.split()
    words[len(words) // 2] = "changed"
    return " ".join(words)
