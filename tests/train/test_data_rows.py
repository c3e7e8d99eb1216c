import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from cloudcpt.dataset.tokens import DocumentTokenizer
from cloudcpt.errors import DatasetError
from cloudcpt.plan.plan import DataFile, Geometry, Plan, Source, read_plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.pack import build_rows
from cloudcpt.train.prepare import prepare_rows
from cloudcpt.train.rows import Rows, make_room, open_rows
from cloudcpt.train.window_text import tokenise_windows, whole_text
from cloudcpt.wire import MlFolder

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))


class CharacterTokenizer(DocumentTokenizer):
    """One token per character, its code point; 0 ends a document."""

    def __init__(self) -> None:
        self.boundary_id = 0
        self.vocab_size = 0x110000

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [[*map(ord, text), 0] for text in texts]

    def encode_flat(self, texts: Sequence[str]) -> list[bytes]:
        return [np.array(ids, dtype=np.uint32).tobytes() for ids in self.encode(texts)]


def write_source(channel: Path, files: dict[str, list[str]], source: Source = PLAN.sources[0]) -> Source:
    """Write documents into files of a channel and say so in a source."""
    channel.mkdir(parents=True, exist_ok=True)
    for name, texts in files.items():
        (channel / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    data_files = tuple(DataFile(name=name, uri=name, size_bytes=0, blake3="") for name in files)
    return replace(source, files=data_files)


def built(source: Source, geometry: Geometry, channel: Path, folder: Path, tokenizer: DocumentTokenizer) -> None:
    """Turn a whole source into rows, with any tokenizer."""
    text = whole_text(source.channel, [channel / file.placed for file in source.files])
    blocks = next(tokenise_windows([text], tokenizer))
    build_rows(source, geometry, blocks, folder, boundary_id=tokenizer.boundary_id, is_whole=True)


def text_of(rows: Rows, document: int) -> str:
    """Put a document together again from the pieces that the rows say are its own."""
    found: dict[int, int] = {}
    for row in range(len(rows)):
        at = 0
        for number, start, stop in rows.pieces[rows.row_starts[row] : rows.row_starts[row + 1]].tolist():
            if number == document:
                tokens = rows.tokens[row, at : at + stop - start].tolist()
                assert not found.keys() & range(start, stop), "a token is in two rows"
                found |= dict(zip(range(start, stop), tokens, strict=True))
            at += stop - start
    ids = [found[offset] for offset in range(len(found))]
    assert ids[-1] == 0
    return "".join(map(chr, ids[:-1]))


texts_strategy = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60).filter(
        lambda text: any(char.isalnum() for char in text)
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(files=st.lists(texts_strategy, min_size=1, max_size=3), packing=st.sampled_from(["best_fit", "concat"]))
def test_every_document_can_be_put_together_from_the_rows_and_found_in_its_file(
    files: list[list[str]], packing: str
) -> None:
    geometry = replace(PLAN.geometry, packing=packing)
    with TemporaryDirectory() as folder:
        source = write_source(Path(folder, "in"), {f"{n}.jsonl": texts for n, texts in enumerate(files)})
        built(source, geometry, Path(folder, "in"), Path(folder, "rows"), CharacterTokenizer())
        rows = open_rows(Path(folder, "rows"))
        lines = [(f"{n}.jsonl", line + 1, text) for n, texts in enumerate(files) for line, text in enumerate(texts)]
        assert len(rows.documents) == len(lines)
        for document, (name, line, text) in enumerate(lines):
            assert text_of(rows, document) == text
            file, number = rows.documents[document].tolist()
            assert (rows.header.files[file], number) == (name, line)
        assert rows.header.num_tokens == sum(len(text) + 1 for _, _, text in lines)
        in_rows = sum(int(rows.piece_lengths(row).sum()) for row in range(len(rows)))
        assert in_rows == rows.header.num_tokens


def test_places_name_the_line_of_every_piece_of_a_row(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in", {"a.jsonl": ["x" * 20, "yy"], "b.jsonl": ["zz"]})
    built(source, PLAN.geometry, tmp_path / "in", tmp_path / "rows", CharacterTokenizer())
    rows = open_rows(tmp_path / "rows")
    places = [rows.places(row) for row in range(len(rows))]
    assert Counter(place for row in places for place in row) == {"a.jsonl:1": 2, "a.jsonl:2": 1, "b.jsonl:1": 1}
    assert ("a.jsonl:1",) in places, "the first 16 of 21 tokens fill a row"


def test_padding_holds_the_boundary_and_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in", {"a.jsonl": ["abc"]})
    built(source, PLAN.geometry, tmp_path / "in", tmp_path / "rows", CharacterTokenizer())
    rows = open_rows(tmp_path / "rows")
    assert rows.tokens.tolist() == [[*map(ord, "abc"), *[0] * 13]]
    assert rows.tokens.dtype == np.uint32
    names = {path.name for path in (tmp_path / "rows").iterdir()}
    assert names == {"tokens.npy", "pieces.npy", "row_starts.npy", "documents.npy", "rows.json"}
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_room_for_rows_is_taken_on_the_disk_before_any_is_written(tmp_path: Path) -> None:
    """A mapped page that finds no place on a full disk would kill the process with SIGBUS."""
    path = tmp_path / "tokens.npy"
    room = make_room(path, num_rows=100, seq_len=4096)
    assert path.stat().st_blocks * 512 >= path.stat().st_size > room.nbytes == 100 * 4096 * 4
    room[99] = 7
    assert np.load(path)[99].tolist() == [7] * 4096


def test_a_half_written_folder_of_an_earlier_attempt_is_replaced(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in", {"a.jsonl": ["abc"]})
    for stale in ("rows", ".rows.tmp"):
        (tmp_path / stale).mkdir()
        (tmp_path / stale / "tokens.npy").write_bytes(b"half")
    built(source, PLAN.geometry, tmp_path / "in", tmp_path / "rows", CharacterTokenizer())
    assert len(open_rows(tmp_path / "rows")) == 1


def exact_source(folder: Path, **changes: int) -> Source:
    source = write_source(folder / "in", {"a.jsonl": ["abc", "x" * 30]})
    return replace(source, **({"exact": True, "documents": 2, "tokens": 35, "rows": 3} | changes))


def test_an_exact_source_that_turns_into_what_was_planned_is_accepted(tmp_path: Path) -> None:
    built(exact_source(tmp_path), PLAN.geometry, tmp_path / "in", tmp_path / "rows", CharacterTokenizer())
    assert len(open_rows(tmp_path / "rows")) == 3


@pytest.mark.parametrize("changed", ["documents", "tokens", "rows"])
def test_an_exact_source_that_turns_into_something_else_is_drift(tmp_path: Path, changed: str) -> None:
    source = exact_source(tmp_path, **{changed: 99})
    with pytest.raises(TrainingFailure, match=r"CPT651: source `domain` turned into 2 documents, 35 tokens and 3 rows"):
        built(source, PLAN.geometry, tmp_path / "in", tmp_path / "rows", CharacterTokenizer())
    assert not (tmp_path / "rows").exists()


def test_a_bad_line_is_the_datasets_own_error(tmp_path: Path) -> None:
    source = write_source(tmp_path / "in", {"a.jsonl": ["abc"]})
    with (tmp_path / "in" / "a.jsonl").open("a") as file:
        file.write("not json\n")
    with pytest.raises(DatasetError):
        built(source, PLAN.geometry, tmp_path / "in", tmp_path / "rows", CharacterTokenizer())


# --- all sources, with a real tokenizer -------------------------------------------------------------------------


def byte_tokenizer_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: index for index, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>"}), "utf-8")
    return folder


def a_job(root: Path) -> tuple[Plan, MlFolder, Path]:
    ml = MlFolder(root)
    sources = tuple(
        write_source(ml.channel(source.channel), {source.files[0].name: ["a text", "another"]}, source)
        for source in PLAN.sources
    )
    return replace(PLAN, sources=sources), ml, byte_tokenizer_folder(root / "base")


def test_rows_of_every_source_are_prepared_once_and_mapped_by_the_others(tmp_path: Path) -> None:
    """The barrier falls between the work of the one and the reading of all."""
    plan, ml, base = a_job(tmp_path)
    order: list[str] = []

    def others_map() -> None:
        order.append("barrier")
        seen = prepare_rows(plan, ml, base, is_node_main=False, barrier=lambda: order.append("other"))
        assert seen.keys() == {"train", "replay-books", "validation"}

    rows = prepare_rows(plan, ml, base, is_node_main=True, barrier=others_map)
    assert order == ["barrier", "other"]
    assert rows.keys() == {source.channel for source in plan.sources}
    assert rows["train"].header.num_tokens == len("a text") + len("another") + 2


def test_the_tokenizer_decides_the_boundary(tmp_path: Path) -> None:
    plan, ml, base = a_job(tmp_path)
    rows = prepare_rows(plan, ml, base, is_node_main=True, barrier=lambda: None)["train"]
    assert rows.header.boundary_id == 256
    assert set(rows.tokens[0, 15:].tolist()) == {256}
