"""A written mixture: the planned tokens of each source, whole passes whole, the last one a seeded draw."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.corpus.mix import MixSource, Portion, count_portion, write_portion
from cloudcpt.corpus.output import Output
from cloudcpt.dataset.files import HERE
from cloudcpt.dataset.tokens import DocumentTokenizer
from cloudcpt.errors import DatasetError

tokenizers = pytest.importorskip("tokenizers", reason="needs the [train] extra")


@pytest.fixture(scope="module")
def tokenizer() -> DocumentTokenizer:
    """A token for each word, and one at the end."""
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"</s>": 0, "<unk>": 1}, "<unk>"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return DocumentTokenizer(words, 0)


def tokens_of(line: str) -> int:
    return len(json.loads(line)["text"].split()) + 1


def write_source(folder: Path, name: str, wanted: int, *, documents: int = 120) -> MixSource:
    """Write documents of 2 to 30 tokens into two files."""
    lines = [json.dumps({"text": f"{name}{number} " + "w " * (number * 7 % 29)}) for number in range(documents)]
    for number, part in enumerate((lines[:50], lines[50:])):
        (folder / f"{name}{number}.jsonl").write_text("\n".join(part) + "\n" * (1 - number), "utf-8")
    files = HERE.select(f"{folder}/{name}?.jsonl").files
    return MixSource(name=name, file_name=f"{name}.jsonl", files=files, share=0.5, wanted_tokens=wanted)


def lines_of(source: MixSource) -> list[str]:
    return [line for file in source.files for line in Path(file.path).read_text("utf-8").splitlines()]


def mix(
    sources: list[MixSource], tokenizer: DocumentTokenizer, target: Path, *, seed: int = 1, **options
) -> list[Portion]:
    output = Output(target, {"seed": seed})
    portions = [count_portion(HERE, source, tokenizer, output, seed=seed, **options) for source in sources]
    for source, portion in zip(sources, portions, strict=True):
        write_portion(HERE, source, portion, output, seed=seed, **options)
    output.commit({})
    return portions


@pytest.mark.parametrize("passes", [0.01, 0.3, 1.0, 2.0, 2.7])
def test_a_source_has_its_tokens_but_for_less_than_a_document(tmp_path: Path, tokenizer, passes: float) -> None:
    source = write_source(tmp_path, "a", 0)
    lines = lines_of(source)
    whole = sum(map(tokens_of, lines))
    source = write_source(tmp_path, "a", round(passes * whole))
    (portion,) = mix([source], tokenizer, tmp_path / "out")
    written = (tmp_path / "out/a.jsonl").read_text("utf-8").splitlines() if portion.limits else []
    assert (portion.documents, portion.tokens) == (len(lines), whole)
    assert sum(map(tokens_of, written)) == portion.written_tokens
    assert len(written) == portion.written_documents
    assert 0 <= source.wanted_tokens - portion.written_tokens < 31
    assert set(Counter(written).values()) | {int(passes)} <= {int(passes), int(passes) + 1}
    at = int(passes) * len(lines)
    assert written[:at] == lines * int(passes), "whole passes are whole, in order"
    left = iter(lines)
    assert all(line in left for line in written[at:]), "the last pass keeps the order"


def test_the_last_pass_is_the_beginning_of_an_order_that_the_seed_draws(tmp_path: Path, tokenizer) -> None:
    """Ranked here once more, by hand."""
    source = write_source(tmp_path, "a", 400)
    mix([source], tokenizer, tmp_path / "out", seed=9)
    key = blake3(b"cloudcpt draw 9").digest()
    ranked = []
    for file in source.files:
        for number, line in enumerate(Path(file.path).read_text("utf-8").splitlines(), start=1):
            digest = blake3(f"a\0{file.name}\0{number}".encode(), key=key).digest(length=8)
            ranked.append((int.from_bytes(digest, "little"), line))
    expected, tokens = set(), 0
    for _, line in sorted(ranked):
        tokens += tokens_of(line)
        if tokens > 400:
            break
        expected.add(line)
    assert set((tmp_path / "out/a.jsonl").read_text("utf-8").splitlines()) == expected


def test_another_seed_draws_others_and_the_same_seed_the_same(tmp_path: Path, tokenizer) -> None:
    source = write_source(tmp_path, "a", 400)
    for name, seed in (("1", 1), ("2", 2), ("3", 1)):
        mix([source], tokenizer, tmp_path / name, seed=seed)
    first, second, third = ((tmp_path / name / "a.jsonl").read_bytes() for name in "123")
    assert first == third != second


def test_one_file_holds_all_sources_one_after_another(tmp_path: Path, tokenizer) -> None:
    sources = [write_source(tmp_path, "a", 2000), write_source(tmp_path, "b", 300)]
    mix(sources, tokenizer, tmp_path / "folder")
    mix(sources, tokenizer, tmp_path / "one.jsonl")
    parts = [(tmp_path / "folder" / name).read_bytes() for name in ("a.jsonl", "b.jsonl")]
    assert (tmp_path / "one.jsonl").read_bytes() == b"".join(parts)


def test_two_processes_write_what_one_writes(tmp_path: Path, tokenizer) -> None:
    source = write_source(tmp_path, "a", 4000)
    large = replace(source, files=tuple(replace(file, size_bytes=1 << 30) for file in source.files))
    mix([source], tokenizer, tmp_path / "1", workers=1)
    mix([large], tokenizer, tmp_path / "2", workers=2)
    assert (tmp_path / "1/a.jsonl").read_bytes() == (tmp_path / "2/a.jsonl").read_bytes()


class _CutOffError(Exception):
    pass


def cut_off_after(calls: int) -> Iterator[None]:
    for _ in range(calls):
        yield
    raise _CutOffError


def test_what_was_cut_off_goes_on_and_gives_the_same(tmp_path: Path, tokenizer) -> None:
    """Cut off after 0 blocks, 1, 2, and so on, until there is nothing left to cut off."""
    sources = [write_source(tmp_path, "a", 4000), write_source(tmp_path, "b", 4000)]
    mix(sources, tokenizer, tmp_path / "whole")
    for calls in range(100):
        clock = cut_off_after(calls)
        try:
            mix(sources, tokenizer, tmp_path / "out", progress=lambda _, clock=clock: next(clock))
        except _CutOffError:
            assert not (tmp_path / "out").exists()
        else:
            break
    assert calls > 3
    for name in ("a.jsonl", "b.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_line_that_is_no_document_stops_it_before_anything_is_written(tmp_path: Path, tokenizer) -> None:
    source = write_source(tmp_path, "a", 10)
    Path(source.files[1].path).write_text('{"text": "a"}\n{"text": ""}\n')
    with pytest.raises(DatasetError, match="CPT345"):
        mix([source], tokenizer, tmp_path / "out")
    assert not (tmp_path / "out").exists()
