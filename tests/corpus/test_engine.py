"""Work on an engine gives what one machine gives, byte for byte, whatever dies on the way."""

import json
import os
import random
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.corpus import ray_engine
from cloudcpt.corpus.dedup import DedupOptions, dedup_work, sign, write_unique
from cloudcpt.corpus.engine import Engine, OneProcess
from cloudcpt.corpus.engine_check import reading_on
from cloudcpt.corpus.engine_dedup import find_repeats_on
from cloudcpt.corpus.engine_tokens import counted_on
from cloudcpt.corpus.output import Output
from cloudcpt.corpus.recording import RECORDS
from cloudcpt.corpus.repeats import find_repeats
from cloudcpt.corpus.signing import Method
from cloudcpt.dataset.check import check_in
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.dataset.tokens import DocumentTokenizer
from cloudcpt.errors import DatasetError, SetupError, error
from cloudcpt.plan import census

SHARED_BYTES = 100 << 20


@pytest.fixture(scope="module")
def ray() -> Iterator[Engine]:
    """Start Ray once for this module: that takes longer than all of its tests."""
    with ray_engine.ray_engine(cores=2, shared_bytes=SHARED_BYTES) as engine:
        yield engine


@pytest.fixture(params=["one process", "ray"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return OneProcess() if request.param == "one process" else request.getfixturevalue("ray")


# --- the port ------------------------------------------------------------------------------------------------------


def square(number: int) -> int:
    if number < 0:
        raise DatasetError(error("CPT301", f"{number} is no number of documents"))
    return number * number


def digits(number: int) -> list[str]:
    return list(f"{number:03}")


def joined(parts: Sequence[str]) -> str:
    return "".join(parts)


def first_digit(number: int) -> list[str]:
    return digits(number)[:1]


def die_once(marks: Path, number: int) -> int:
    try:
        (marks / str(number)).touch(exist_ok=False)
    except FileExistsError:
        return number
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def die_always(_: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return -1


def test_results_come_in_the_order_of_the_items(engine: Engine) -> None:
    assert list(engine.each(square, range(40))) == [number * number for number in range(40)]


def test_parts_of_a_partition_come_in_the_order_of_the_items(engine: Engine) -> None:
    assert list(engine.exchange(digits, joined, [123, 456, 789], partitions=3)) == ["147", "258", "369"]


def test_one_partition_is_a_partition(engine: Engine) -> None:
    assert list(engine.exchange(first_digit, joined, [123, 456], partitions=1)) == ["14"]


def test_nothing_to_do_is_done(engine: Engine) -> None:
    assert list(engine.each(square, [])) == []
    assert list(engine.exchange(digits, joined, [], partitions=3)) == ["", "", ""]


def test_an_error_of_the_work_is_raised_as_it_was(engine: Engine) -> None:
    with pytest.raises(DatasetError) as caught:
        list(engine.each(square, [1, -2, 3]))
    assert [found.message for found in caught.value.diagnostics] == ["-2 is no number of documents"]


def test_an_error_while_dividing_is_raised_as_it_was(engine: Engine) -> None:
    with pytest.raises(DatasetError, match="-2 is no number"):
        list(engine.exchange(square, joined, [-2], partitions=3))  # type: ignore[arg-type]


def test_work_of_a_process_that_was_killed_is_done_again(ray: Engine, tmp_path: Path) -> None:
    assert list(ray.each(partial(die_once, tmp_path), [1, 2, 3])) == [1, 2, 3]


@pytest.mark.slow
def test_work_that_kills_its_process_every_time_ends_in_an_error(ray: Engine) -> None:
    with pytest.raises(SetupError) as caught:
        list(ray.each(die_always, [1]))
    assert caught.value.diagnostics[0].code == "CPT773"


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as an import of what is not installed
    with pytest.raises(SetupError, match="CPT770") as caught, ray_engine.ray_engine():
        pass
    assert "cloudcpt[distributed]" in str(caught.value.diagnostics[0].hint)


# --- dedup ---------------------------------------------------------------------------------------------------------


def corpus_in(folder: Path, *, seed: int, files: int = 5) -> Path:
    """Write files that share documents within and across them."""
    rng = random.Random(seed)
    words = [
        "the",
        "data",
        "of",
        "a",
        "corpus",
        "is",
        "what",
        "it",
        "is",
        "and",
        "not",
        "more",
        "than",
        "that",
        "in",
        "any",
        "language",
        "of",
        "the",
        "world",
    ]
    pool = [" ".join(rng.choices(words, k=rng.randint(6, 60))) for _ in range(60)]
    folder.mkdir(parents=True)
    for number in range(files):
        texts = [rng.choice(pool) if rng.random() < 0.6 else " ".join(rng.choices(words, k=30)) for _ in range(40)]
        near = [f"{text} more" for text in texts[:5]]
        lines = [json.dumps({"text": text}) + "\n" for text in [*texts, *near, *(text.upper() for text in texts[:3])]]
        (folder / f"{number}.jsonl").write_text("".join(lines), "utf-8")
    return folder


def deduplicated(base: Path, target: Path, method: Method, engine: Engine | None) -> dict[str, bytes]:
    """Deduplicate a folder here, or on an engine; give the files that were written."""
    place, options = LocalFiles(base), DedupOptions(method=method)
    files = place.select("corpus").files
    output = Output(target, dedup_work(files, options))
    if engine is None:
        counts = sign(place, files, options, output)
        repeats = find_repeats(output.path_of(RECORDS), method, threshold=options.threshold)
    else:
        with output.appending(RECORDS):
            pass
        made = partial(LocalFiles, base)
        repeats, counts = find_repeats_on(engine, made, files, method, threshold=options.threshold, partitions=3)
    write_unique(place, files, repeats, counts, options, output)
    return {path.name: path.read_bytes() for path in sorted(target.iterdir())}


@pytest.mark.parametrize("method", list(Method))
def test_dedup_writes_the_same_bytes_on_an_engine(engine: Engine, tmp_path: Path, method: Method) -> None:
    corpus_in(tmp_path / "corpus", seed=1)
    here = deduplicated(tmp_path, tmp_path / "here", method, None)
    there = deduplicated(tmp_path, tmp_path / "there", method, engine)
    assert here.keys() == there.keys() >= {"0.jsonl", "dropped.csv", "report.json"}
    del here["report.json"], there["report.json"]  # names its own target
    assert here == there
    assert here["dropped.csv"].count(b"\n") > 20


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), files=st.integers(1, 4), partitions=st.integers(1, 9))
def test_the_number_of_partitions_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, files: int, partitions: int
) -> None:
    base = tmp_path_factory.mktemp("base")
    corpus_in(base / "corpus", seed=seed, files=files)
    found = [
        find_repeats_on(OneProcess(), partial(LocalFiles, base), LocalFiles(base).select("corpus").files, method,
                        threshold=0.8, partitions=number)
        for number in (1, partitions)
        for method in (Method.NORMALISED,)
    ]  # fmt: skip
    (one, counts), (many, same_counts) = found
    assert counts == same_counts
    assert one.dropped.tolist() == many.dropped.tolist()
    assert one.kept.tolist() == many.kept.tolist()


@pytest.mark.parametrize("method", [Method.EXACT, Method.NEAR])
def test_lines_that_are_no_documents_are_found_in_all_files(engine: Engine, tmp_path: Path, method: Method) -> None:
    folder = corpus_in(tmp_path / "corpus", seed=2)
    for name in ("1.jsonl", "3.jsonl"):
        with (folder / name).open("a") as file:
            file.write('{"text": 5}\n{}\n')
    place = LocalFiles(tmp_path)
    files = place.select("corpus").files
    options = DedupOptions(method=method)
    with pytest.raises(DatasetError) as here:
        sign(place, files, options, Output(tmp_path / "out", dedup_work(files, options)))
    with pytest.raises(DatasetError) as there:
        find_repeats_on(engine, partial(LocalFiles, tmp_path), files, method, threshold=0.8)
    assert there.value.diagnostics == here.value.diagnostics
    assert len(here.value.diagnostics) == 4


# --- check -----------------------------------------------------------------------------------------------------------


def test_a_check_on_an_engine_reports_the_same(engine: Engine, tmp_path: Path) -> None:
    folder = corpus_in(tmp_path / "corpus", seed=3)
    (folder / "1.jsonl").write_bytes(b'{"text": "a"}\r\n{"text": 5}\n\xff\n{"text": "a [DOC] b"}\n')
    (folder / "3.jsonl").write_bytes(b"")
    (folder / "notes.json").write_text("{}")
    place = LocalFiles(tmp_path)
    here = check_in(place, "corpus", first=2)
    there = check_in(place, "corpus", first=2, read=reading_on(engine, partial(LocalFiles, tmp_path)))
    assert there == here
    assert {"CPT350", "CPT353", "CPT306", "CPT312"} <= {found.code for found in here.diagnostics}
    assert here.duplicate_documents > 20


# --- tokens ----------------------------------------------------------------------------------------------------------


def word_tokenizer() -> DocumentTokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["<unk>", "<end>", *(f"word{number}" for number in range(20))]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    return DocumentTokenizer(tokenizer, boundary_id=1)


def test_tokens_and_rows_on_an_engine_are_the_same(engine: Engine, tmp_path: Path) -> None:
    corpus_in(tmp_path / "corpus", seed=4)
    place, tokenizer = LocalFiles(tmp_path), word_tokenizer()
    files = place.select("corpus").files
    here = census.count(place, files, tokenizer, seq_len=64, workers=1)
    blocks = counted_on(engine, partial(LocalFiles, tmp_path), files, tokenizer)
    assert census.count(place, files, tokenizer, seq_len=64, blocks=blocks) == here
    assert here.tokens > 1000
