"""A sample: exact in number, fair, in order, and the same however the data was read."""

import io
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudcpt.corpus.sample import Amount, Drawn, sample
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.standard_input import StandardInput
from cloudcpt.errors import DatasetError
from tests.corpus.corpora import lines_in, prose, write_corpus

BLOCKS = (40, 1 << 10, 1 << 20)


def draw(folder: Path, amount: Amount, seed: int = 1, **options: int) -> tuple[bytes, Drawn]:
    place, target = LocalFiles(folder), io.BytesIO()
    drawn = sample(place, place.select("."), amount, seed, target, workers=1, **options)
    return target.getvalue(), drawn


def documents(number: int) -> Amount:
    return Amount(unit="documents", number=number)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    texts = [f"document {number} " + "x" * (number % 90) for number in range(400)]
    return write_corpus(tmp_path, {"a.jsonl": texts[:150], "b/c.jsonl": texts[150:], "d.jsonl": ["same"] * 20})


@pytest.mark.parametrize("number", [1, 7, 100, 419, 420, 1000])
def test_so_many_documents_are_drawn_as_were_asked_for(corpus: Path, number: int) -> None:
    lines, drawn = draw(corpus, documents(number))
    assert lines.count(b"\n") == drawn.documents == min(number, 420)
    assert (drawn.of_documents, drawn.size_bytes) == (420, len(lines))


@given(number=st.integers(1, 30), seed=st.integers(-5, 5), size=st.sampled_from([1, 30, 200, 1 << 20]))
@settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sample_is_part_of_the_data_in_its_order(corpus: Path, number: int, seed: int, size: int) -> None:
    whole = [line for name in ("a.jsonl", "b/c.jsonl", "d.jsonl") for line in lines_in(corpus / name)]
    lines, _ = draw(corpus, documents(number), seed, block_bytes=size)
    left = iter(whole)
    assert all(line in left for line in io.BytesIO(lines)), "each is found behind the one before it"
    assert lines == draw(corpus, documents(number), seed)[0], "however large the blocks are"


def test_a_larger_sample_holds_the_smaller_one(corpus: Path) -> None:
    few, many = (draw(corpus, documents(number))[0].splitlines() for number in (20, 60))
    assert not Counter(few) - Counter(many)


def test_bytes_are_not_exceeded_and_nearly_reached(corpus: Path) -> None:
    for limit in (200, 5000, 20_000):
        lines, _ = draw(corpus, Amount(unit="bytes", number=limit))
        assert limit - 200 < len(lines) <= limit


def test_a_share_is_about_that_share(corpus: Path) -> None:
    _, drawn = draw(corpus, Amount(unit="share", number=0.25))
    assert 60 < drawn.documents < 150


def test_each_document_has_the_same_chance(tmp_path: Path) -> None:
    """Of 20 documents 5 are drawn, with 2,000 seeds. Chi-squared, 19 degrees of freedom."""
    write_corpus(tmp_path, {"a.jsonl": [f"document {number}" for number in range(20)]})
    hits: Counter[bytes] = Counter()
    for seed in range(2000):
        hits.update(draw(tmp_path, documents(5), seed)[0].split(b"\n")[:-1])
    assert len(hits) == 20
    assert sum((count - 500) ** 2 / 500 for count in hits.values()) * 20 / 15 < 43.8, "0.1 % of fair draws exceed this"


def test_equal_documents_are_drawn_each_for_itself(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"a.jsonl": ["same"] * 5 + prose(15, 1, words=3)})
    drawn = [draw(tmp_path, documents(5), seed)[0].count(b"same") for seed in range(50)]
    assert {1, 2} < set(drawn), "all or none of them would be a draw of texts"


def test_lines_are_written_as_they_are_and_the_last_gets_its_end(tmp_path: Path) -> None:
    odd = b'  {"text" :\t"\\u0041"}\r\n{"text":"b"}'
    (tmp_path / "a.jsonl").write_bytes(odd)
    assert draw(tmp_path, documents(2))[0] == odd + b"\n"


def test_every_bad_line_is_told_and_nothing_written(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"a"}\n{}\n\n{"text":"b"}\n{"txet":"c"}\n')
    place, target = LocalFiles(tmp_path), io.BytesIO()
    with pytest.raises(DatasetError) as caught:
        sample(place, place.select("."), documents(1), 1, target)
    assert [(found.code, found.place and found.place.line) for found in caught.value.diagnostics] == [
        ("CPT341", 2), ("CPT325", 3), ("CPT341", 5),
    ]  # fmt: skip
    assert target.getvalue() == b""


def test_a_draw_of_nothing_says_so(corpus: Path) -> None:
    for amount in (Amount(unit="bytes", number=3), Amount(unit="share", number=1e-9)):
        with pytest.raises(DatasetError, match="CPT386"):
            draw(corpus, amount)


def test_a_pipe_is_sampled_like_a_file() -> None:
    content = b"".join(json.dumps({"text": text}).encode() + b"\n" for text in prose(50, 1))
    place, target = StandardInput(io.BytesIO(content)), io.BytesIO()
    drawn = sample(place, place.select("-"), documents(10), 1, target)
    assert (drawn.documents, target.getvalue().count(b"\n")) == (10, 10)


@pytest.mark.slow
def test_workers_draw_what_one_process_draws(tmp_path: Path) -> None:
    write_corpus(tmp_path, {f"{name}.jsonl": prose(6000, name, words=120) for name in range(2)})
    place = LocalFiles(tmp_path)
    samples = []
    for workers in (1, 3):
        target = io.BytesIO()
        sample(place, place.select("."), documents(500), 9, target, workers=workers)
        samples.append(target.getvalue())
    assert samples[0] == samples[1]
