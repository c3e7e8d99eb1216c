"""Tokenised blocks hold every document's ids, once and in order, however many processes and blocks there are."""

import json
import pickle
from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.dataset.files import HERE
from cloudcpt.dataset.places import InputFile
from cloudcpt.dataset.tokenising import TokenisedBlock, tokenise
from cloudcpt.dataset.tokens import DocumentTokenizer
from cloudcpt.errors import DatasetError

tokenizers = pytest.importorskip("tokenizers", reason="needs the [train] extra")

LINES = st.lists(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: any(map(str.isalnum, text))),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def tokenizer() -> DocumentTokenizer:
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(["some words of some text"] * 9, trainer)
    return DocumentTokenizer(made, 0)


def write(folder: Path, files: Sequence[Sequence[str]]) -> list[InputFile]:
    """Write documents into files, one line each."""
    found = []
    for number, texts in enumerate(files):
        path = folder / f"{number}.jsonl"
        path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
        found.append(InputFile(name=path.name, path=str(path), shown=path.name, size_bytes=path.stat().st_size))
    return found


def joined(blocks: Sequence[TokenisedBlock]) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Put the blocks together: the ids and the origin of each document."""
    documents, origins = [], []
    for block in blocks:
        ids = array("I", block.ids)
        at = 0
        for length in block.lengths:
            documents.append(ids[at : at + length].tolist())
            at += length
        assert at == len(ids)
        origins += zip(block.origins[::2], block.origins[1::2], strict=True)
    return documents, origins


@settings(max_examples=40, deadline=None, derandomize=True)
@given(files=st.lists(LINES, min_size=1, max_size=3), block_bytes=st.integers(1, 300))
def test_ids_lengths_and_origins_are_those_of_the_documents(tmp_path_factory, tokenizer, files, block_bytes) -> None:
    inputs = write(tmp_path_factory.mktemp("data"), files)
    blocks = list(tokenise(HERE, inputs, tokenizer, workers=1, block_bytes=block_bytes))
    texts = [text for file in files for text in file]
    documents, origins = joined(blocks)
    assert documents == tokenizer.encode(texts)
    assert origins == [(number, line + 1) for number, file in enumerate(files) for line in range(len(file))]
    assert sum(block.text_bytes for block in blocks) == sum(len(text.encode()) for text in texts)
    assert sum(block.characters for block in blocks) == sum(map(len, texts))
    assert sum(block.block_bytes for block in blocks) == sum(file.size_bytes for file in inputs)


def test_two_processes_give_the_same_as_one(tmp_path: Path, tokenizer: DocumentTokenizer) -> None:
    inputs = write(tmp_path, [[f"words {n} of text {n * n}" for n in range(2000)], ["漢字 and 😀"] * 200])
    one = joined(list(tokenise(HERE, inputs, tokenizer, workers=1)))
    large = [replace(file, size_bytes=1 << 30) for file in inputs]
    two = joined(list(tokenise(HERE, large, tokenizer, workers=2, block_bytes=5000)))
    assert one == two
    assert len(one[0]) == 2200


def test_the_first_line_that_is_no_document_stops_it_and_is_named(tmp_path: Path, tokenizer: DocumentTokenizer) -> None:
    inputs = write(tmp_path, [["a"] * 50, ["b", " ", "c", " "]])
    with pytest.raises(DatasetError) as caught:
        list(tokenise(HERE, inputs, tokenizer, block_bytes=20))
    (found,) = caught.value.diagnostics
    assert (found.code, str(found.place)) == ("CPT345", "1.jsonl:2:10")


def test_a_tokenizer_that_went_to_another_process_gives_the_same_ids(tokenizer: DocumentTokenizer) -> None:
    text = "a control token, </s>, in a text"
    assert pickle.loads(pickle.dumps(tokenizer)).encode([text]) == tokenizer.encode([text])
    assert tokenizer.encode([text])[0].count(0) == 1
