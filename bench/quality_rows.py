"""The part of bench/quality.py that is about rows: the demo's corpora packed in every way, and what was trained on."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cloudcpt.plan.plan import Source, read_plan

LENGTHS = (64, 256, 512)
"""Tokens in a row."""

MEASURED_ROWS = 160
"""Of each held-out set: ten thousand tokens."""


def cloudcpt(*arguments: str) -> str:
    """Run a command of cloudcpt and return what it prints."""
    done = subprocess.run([sys.executable, "-m", "cloudcpt", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stderr}`cloudcpt {' '.join(arguments)}` ended with exit code {done.returncode}")
    return done.stdout


def demo_recipe() -> dict[str, Any]:
    """Read the demo's recipe, with its paths as they are for a recipe in `build/quality`."""
    from ruamel.yaml import YAML

    text = Path("recipes/demo.yaml").read_text("utf-8").replace("../build/", "../")
    recipe: dict[str, Any] = YAML(typ="safe").load(text)
    recipe["eval"] |= {"prompts": [], "max_rows": MEASURED_ROWS}
    return recipe


def packed(folder: Path, packing: str, length: int) -> dict[str, Source]:
    """Plan both corpora packed in one way; every number of the plan is counted."""
    recipe = demo_recipe()
    recipe["training_config"] |= {"packing": packing, "max_length": length}
    path, saved = folder / "packing.yaml", folder / "packing.json"
    path.write_text(json.dumps(recipe, indent=1), "utf-8")
    cloudcpt("plan", str(path), "--target", "local", "--save", str(saved))
    return {source.name: source for source in read_plan(saved).sources_of("train", "replay")}


def packings(folder: Path) -> Iterator[dict[str, Any]]:
    """Pack both corpora in every way, with recipes and plans in a folder."""
    for length in LENGTHS:
        for packing in ("best_fit", "concat"):
            for name, source in packed(folder, packing, length).items():
                yield {
                    "corpus": name,
                    "max_length": length,
                    "packing": packing,
                    "documents": source.documents,
                    "tokens": source.tokens,
                    "rows": source.rows,
                    "cut_documents": source.cut_documents,
                    "cut_tokens": source.cut_tokens,
                    "padding_share": 1 - source.tokens / (source.rows * length),
                }


def show_packings(rows: Sequence[dict[str, Any]]) -> None:
    """Print one line per corpus, length and packing."""
    print(
        f"\n{'corpus':14}{'length':>8}  {'packing':10}{'rows':>8}{'documents cut':>16}{'in tokens':>12}{'padding':>10}"
    )
    for row in sorted(rows, key=lambda row: (row["corpus"], row["max_length"])):
        cut = f"{row['cut_documents']:,} of {row['documents']:,}"
        share = row["cut_tokens"] / row["tokens"]
        print(
            f"{row['corpus']:14}{row['max_length']:>8}  {row['packing']:10}{row['rows']:>8,}{cut:>16}{share:>12.1%}"
            f"{row['padding_share']:>10.2%}"
        )


def lost_tokens(root: Path, base: Path) -> dict[str, int]:
    """Put the documents of a job together from its rows, and count how many differ from what transformers makes.

    Args:
        root: The job's folder, laid out like /opt/ml.
        base: Its base model.

    Returns:
        Documents, tokens, and the documents that are not in the rows token by token, each token once.
    """
    from transformers import AutoTokenizer

    from cloudcpt.train.rows import open_rows
    from cloudcpt.wire import MlFolder

    ml = MlFolder(root)
    tokenizer = AutoTokenizer.from_pretrained(base)
    counts = {"documents": 0, "tokens": 0, "documents_that_differ": 0}
    for source in read_plan(ml.plan).sources_of("train", "replay"):
        rows = open_rows(ml.scratch / "rows" / source.channel)
        found: dict[int, dict[int, int]] = {}
        for row, tokens in enumerate(rows.tokens.tolist()):
            at = 0
            for document, start, stop in rows.pieces[rows.row_starts[row] : rows.row_starts[row + 1]].tolist():
                pieces = found.setdefault(document, {})
                assert not pieces.keys() & range(start, stop), "a token is in two rows"
                pieces |= dict(zip(range(start, stop), tokens[at : at + stop - start], strict=True))
                at += stop - start
        texts = [json.loads(line)["text"] for line in Path(source.files[0].uri).read_text("utf-8").splitlines()]
        for document, text in enumerate(texts):
            expected = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
            counts["documents"] += 1
            counts["tokens"] += len(expected)
            counts["documents_that_differ"] += found.get(document, {}) != dict(enumerate(expected))
    return counts
