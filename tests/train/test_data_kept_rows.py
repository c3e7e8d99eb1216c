"""Rows that one job made and the next one takes: only when they would be the same, and verified."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from tokenizers import Tokenizer, models, pre_tokenizers

from cloudcpt.dataset.tokens import load_tokenizer
from cloudcpt.plan.plan import DataFile, Plan, read_plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.prepare import prepare_rows
from cloudcpt.train.rows import ROWS_VERSION, Rows, open_rows
from cloudcpt.train.source_counts import count_sources
from cloudcpt.wire import MlFolder
from tests.train.test_data_rows import built

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))
ARRAYS = ("tokens", "pieces", "row_starts", "documents")
TEXTS = {
    "train": ["the river bank holds no water when wind runs over stone", "short"] * 9,
    "replay-books": ["sand and stone and sand", "water"] * 7,
    "validation": ["another line of text"],
}


def byte_tokenizer(folder: Path, *, merges: tuple[tuple[str, str], ...] = (), end: str = "<end>") -> Path:
    """A tokenizer of bytes, with some pairs merged."""
    folder.mkdir(parents=True)
    alphabet = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    model = models.BPE(vocab={piece: index for index, piece in enumerate(alphabet)}, merges=list(merges))
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.add_special_tokens(["<end>", "<other>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": end}), "utf-8")
    return folder


class Machine:
    """A machine that keeps rows, on which one job runs after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = folder / "rows"
        self.kept.mkdir()
        self.base = byte_tokenizer(folder / "base")
        self.jobs = 0

    def prepare(
        self,
        *,
        base: Path | None = None,
        name: str = "data.jsonl",
        texts: dict[str, list[str]] = TEXTS,
        **geometry: Any,
    ) -> dict[str, Rows]:
        """Lay out a job on the same texts and prepare its rows."""
        self.jobs += 1
        ml = MlFolder(self.folder / f"job{self.jobs}")
        ml.scratch.mkdir(parents=True)
        ml.row_cache.symlink_to(self.kept)
        return prepare_rows(
            laid_out(ml, name, texts, **geometry), ml, base or self.base, is_node_main=True, barrier=lambda: None
        )


def laid_out(ml: MlFolder, name: str = "data.jsonl", texts: dict[str, list[str]] = TEXTS, **geometry: Any) -> Plan:
    sources = []
    for source in PLAN.sources:
        content = "".join(json.dumps({"text": text}) + "\n" for text in texts[source.channel]).encode()
        ml.channel(source.channel).mkdir(parents=True)
        (ml.channel(source.channel) / name).write_bytes(content)
        file = DataFile(name=name, uri=name, size_bytes=len(content), blake3=blake3(content).hexdigest())
        sources.append(replace(source, files=(file,)))
    return replace(PLAN, sources=tuple(sources), geometry=replace(PLAN.geometry, **geometry))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def origins(rows: dict[str, Rows]) -> set[str]:
    return {one.header.origin for one in rows.values()}


def assert_equal(one: Rows, other: Rows) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert replace(one.header, origin="reused", files=()) == replace(other.header, origin="reused", files=())


def test_the_second_job_takes_the_rows_of_the_first(machine: Machine) -> None:
    first, second = machine.prepare(), machine.prepare()
    assert (origins(first), origins(second)) == ({"tokenised"}, {"reused"})
    assert first.keys() == second.keys()
    for channel in first:
        assert_equal(first[channel], second[channel])


def test_files_may_be_called_something_else_and_the_rows_then_name_them_so(machine: Machine) -> None:
    machine.prepare()
    second = machine.prepare(name="renamed.jsonl")
    assert origins(second) == {"reused"}
    assert all(place.startswith("renamed.jsonl:") for place in second["train"].places(0))
    third = machine.prepare()
    assert origins(third) == {"reused"}, "the kept header was written to"
    assert third["train"].places(0)[0].startswith("data.jsonl:")


@pytest.mark.parametrize("changed", [{"seq_len_tokens": 24}, {"packing": "concat"}])
def test_other_rows_are_made_where_length_or_packing_differ(machine: Machine, changed: dict[str, Any]) -> None:
    machine.prepare()
    assert origins(machine.prepare(**changed)) == {"tokenised"}


def test_other_rows_are_made_with_another_tokenizer_or_boundary(machine: Machine) -> None:
    machine.prepare()
    merged = machine.prepare(base=byte_tokenizer(machine.folder / "merged", merges=(("t", "h"),)))
    ended = machine.prepare(base=byte_tokenizer(machine.folder / "ended", end="<other>"))
    assert origins(merged) == origins(ended) == {"tokenised"}
    assert merged["train"].header.num_tokens < ended["train"].header.num_tokens


def test_other_rows_are_made_of_the_same_documents_in_another_order(machine: Machine) -> None:
    machine.prepare()
    rows = machine.prepare(texts={**TEXTS, "train": [*TEXTS["train"][1:], TEXTS["train"][0]]})
    assert {channel: one.header.origin for channel, one in rows.items()} == {
        "train": "tokenised",
        "replay-books": "reused",
        "validation": "reused",
    }


def test_damaged_rows_are_made_again_and_the_log_says_so(machine: Machine) -> None:
    first = machine.prepare()
    for tokens in machine.kept.glob("*/tokens.npy"):
        content = bytearray(tokens.read_bytes())
        content[-1] ^= 1
        tokens.unlink()
        tokens.write_bytes(content)
    second = machine.prepare()
    assert origins(second) == {"repaired"}
    for channel in first:
        assert_equal(first[channel], second[channel])
    said = [counts.in_words(source) for source, counts in count_sources(PLAN, second, PLAN.sources)]
    assert all(line.endswith("; rows made again, because those of an earlier job were damaged") for line in said)
    assert origins(machine.prepare()) == {"reused"}


def test_reuse_is_said_in_the_log(machine: Machine) -> None:
    machine.prepare()
    said = [counts.in_words(source) for source, counts in count_sources(PLAN, machine.prepare(), PLAN.sources)]
    assert all(line.endswith("; rows reused from an earlier job") for line in said)


def test_reused_rows_that_are_not_what_the_plan_counted_are_drift(machine: Machine) -> None:
    machine.prepare()
    ml = MlFolder(machine.folder / "exact")
    plan = laid_out(ml)
    ml.scratch.mkdir(parents=True)
    ml.row_cache.symlink_to(machine.kept)
    exact = replace(plan, sources=(replace(plan.sources[0], exact=True, documents=18, tokens=1), *plan.sources[1:]))
    with pytest.raises(TrainingFailure, match="CPT651: source `domain` turned into 18 documents"):
        prepare_rows(exact, ml, machine.base, is_node_main=True, barrier=lambda: None)


def test_where_no_rows_are_kept_every_job_makes_its_own(machine: Machine) -> None:
    for number in range(2):
        ml = MlFolder(machine.folder / f"cloud{number}")
        rows = prepare_rows(laid_out(ml), ml, machine.base, is_node_main=True, barrier=lambda: None)
        assert origins(rows) == {"tokenised"}
        assert {path.name for path in ml.scratch.iterdir()} == {"rows"}
    assert list(machine.kept.iterdir()) == []


def test_the_same_text_becomes_the_rows_that_this_version_stands_for(tmp_path: Path) -> None:
    """Where this fails, kept rows of earlier jobs are not what would be made now: raise ROWS_VERSION, then pin anew."""
    ml = MlFolder(tmp_path)
    plan = laid_out(ml)
    tokenizer = load_tokenizer(byte_tokenizer(tmp_path / "base"))
    found = {}
    for packing in ("best_fit", "concat"):
        folder = tmp_path / packing
        geometry = replace(plan.geometry, packing=packing)
        built(plan.sources[0], geometry, ml.channel("train"), folder, tokenizer)
        rows = open_rows(folder)
        found[packing] = tuple(blake3(getattr(rows, name).tobytes()).hexdigest()[:8] for name in ARRAYS)
    assert (ROWS_VERSION, found) == (
        2,
        {
            "best_fit": ("acc25116", "8b783746", "70168f30", "f948ff36"),
            "concat": ("1919761c", "983b7c73", "b1ad97be", "f948ff36"),
        },
    )
