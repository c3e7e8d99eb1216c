"""Large sources in windows: every line in one of them, and the same rows whatever happens in which order."""

import fcntl
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.errors import Blame
from cloudcpt.plan.plan import DataFile, Source, read_plan
from cloudcpt.plan.volume import EXACT_LIMIT_BYTES
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.mix import make_mix, trained_tokens
from cloudcpt.train.prepare import leave_failure, prepare_rows
from cloudcpt.train.preparer import prepare_rest
from cloudcpt.train.row_maker import rows_folder, window_folder
from cloudcpt.train.rows import Rows, SourceRows, open_rows
from cloudcpt.train.source_counts import count_sources, refuse_unread
from cloudcpt.train.windowed_rows import WindowedRows
from cloudcpt.train.windows import CUT, Cut, cut_files, is_cut, read_windows
from cloudcpt.wire import Failure, MlFolder
from tests.train.test_data_kept_rows import byte_tokenizer

PLAN = read_plan(Path(__file__).with_name("data_plan.json"))
TINY = Cut(whole_bytes=600, window_bytes=256, block_bytes=64)
TEXTS = {
    "train": [f"line {number} of the river bank " + "holds no water " * (number % 4) for number in range(60)],
    "replay-books": [f"page {number} of sand and stone" for number in range(40)],
    "validation": [f"held out {number}" for number in range(80)],
}


class Job:
    """A job folder whose training texts are cut into tiny windows."""

    def __init__(self, root: Path, *, kept: Path | None = None, steps: int = 40, exact: dict[str, int] | None = None):
        self.ml = MlFolder(root / "job")
        self.ml.scratch.mkdir(parents=True)
        self.base = root / "base"
        if not self.base.exists():
            byte_tokenizer(self.base)
        if kept is not None:
            kept.mkdir(exist_ok=True)
            self.ml.row_cache.symlink_to(kept)
        geometry = replace(PLAN.geometry, steps=steps, train_rows=steps * PLAN.geometry.global_batch_rows)
        self.plan = replace(PLAN, sources=tuple(map(self._written, PLAN.sources)), geometry=geometry)
        if exact is not None:
            train, *others = self.plan.sources
            self.plan = replace(self.plan, sources=(replace(train, exact=True, **exact), *others))

    def _written(self, source: Source) -> Source:
        """Put the texts of a source into two files."""
        lines = [json.dumps({"text": text}) + "\n" for text in TEXTS[source.channel]]
        self.ml.channel(source.channel).mkdir(parents=True)
        files = []
        for name, part in (("a.jsonl", lines[: len(lines) // 3]), ("b.jsonl", lines[len(lines) // 3 :])):
            content = "".join(part).encode()
            (self.ml.channel(source.channel) / name).write_bytes(content)
            files.append(DataFile(name=name, uri=name, size_bytes=len(content), blake3=blake3(content).hexdigest()))
        return replace(source, files=tuple(files))

    def prepare(self) -> dict[str, Rows | WindowedRows]:
        """Prepare everything that the job reads, without a process beside this one."""
        self.start()
        prepare_rest(self.plan, self.ml, self.base, TINY)
        return self.rows()

    def start(self) -> None:
        """Prepare what the first step needs, and end the preparer at once, wherever it is."""
        with prepare_rows(self.plan, self.ml, self.base, is_node_main=True, barrier=lambda: None, cut=TINY):
            pass

    def rows(self) -> dict[str, Rows | WindowedRows]:
        """Map what is there."""
        return {source.channel: self._rows(source.channel) for source in self.plan.sources}

    def _rows(self, channel: str) -> Rows | WindowedRows:
        count = self.num_windows(channel)
        if count is None:
            return open_rows(window_folder(self.ml, channel, None))
        return WindowedRows(count, lambda number: open_rows(window_folder(self.ml, channel, number)))

    def num_windows(self, channel: str) -> int | None:
        path = rows_folder(self.ml) / channel / "blocks.npy"
        return len(read_windows(path, TINY)) if path.exists() else None

    def content(self) -> dict[str, bytes]:
        """Read all files of rows, headers aside, which say where rows are from."""
        folder = rows_folder(self.ml)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/window-*/*.npy")}


# --- cutting ------------------------------------------------------------------------------------------------------

lines_strategy = st.lists(st.integers(0, 70).map(lambda size: b"x" * size), min_size=1, max_size=40)
files_strategy = st.lists(st.tuples(lines_strategy, st.booleans()), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(files=files_strategy, block=st.integers(1, 50), blocks_per_window=st.integers(1, 9))
def test_every_line_is_in_one_window_with_its_number(
    files: list[tuple[list[bytes], bool]], block: int, blocks_per_window: int
) -> None:
    cut = Cut(whole_bytes=0, window_bytes=block * blocks_per_window, block_bytes=block)
    contents = [b"\n".join(lines) + b"\n" * ends for lines, ends in files]
    with TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number in range(len(files))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        windows = cut_files(paths, cut)
        if not any(contents):
            return
        found = sorted(part for number in range(len(windows)) for part in windows.ranges(number))
    for number, content in enumerate(contents):
        parts = [part for part in found if part.file == number]
        assert b"".join(content[part.start : part.stop] for part in parts) == content
        for part in parts:
            assert part.start == 0 or content[part.start - 1 : part.start] == b"\n"
            assert part.line == content[: part.start].count(b"\n") + 1
        assert all(one.start // block < other.start // block for one, other in pairwise(parts))
    assert all(windows.ranges(number) for number in range(len(windows)))


def test_a_source_is_cut_only_when_it_is_large_and_never_where_the_plan_counts_exactly() -> None:
    """An exact count is that of one window; the planner counts far less text than is ever cut."""
    assert not is_cut([CUT.whole_bytes], CUT)
    assert is_cut([CUT.whole_bytes, 1], CUT)
    assert CUT.whole_bytes >= EXACT_LIMIT_BYTES


def test_held_out_sets_are_never_cut(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.prepare()
    assert [job.num_windows(source.channel) is None for source in job.plan.sources] == [False, False, True]


# --- rows ---------------------------------------------------------------------------------------------------------


def documents_of(rows: SourceRows) -> Counter[tuple[str, str]]:
    """Put every document together from the rows: its place and its text."""
    found: Counter[tuple[str, str]] = Counter()
    for number in range(rows.num_windows):
        window = rows.window(number)
        ids: dict[int, dict[int, int]] = {}
        for row in range(len(window)):
            at = 0
            for document, start, stop in window.pieces[window.row_starts[row] : window.row_starts[row + 1]].tolist():
                tokens = window.tokens[row, at : at + stop - start].tolist()
                ids.setdefault(document, {}).update(zip(range(start, stop), tokens, strict=True))
                at += stop - start
        for document, offsets in ids.items():
            file, line = window.documents[document].tolist()
            found[f"{window.header.files[file]}:{line}", decoded([offsets[at] for at in range(len(offsets))])] += 1
    return found


def decoded(ids: Sequence[int]) -> str:
    """Read the ids of the byte tokenizer, which end in the boundary."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    assert ids[-1] == len(alphabet)
    return "".join(alphabet[one] for one in ids[:-1]).replace("Ġ", " ")


def test_every_document_is_in_the_rows_once_and_names_its_line(tmp_path: Path) -> None:
    job = Job(tmp_path)
    rows = job.prepare()
    assert rows["train"].num_windows > 5
    for channel in ("train", "replay-books"):
        texts = TEXTS[channel]
        first = len(texts) // 3
        places = [f"a.jsonl:{number + 1}" for number in range(first)]
        places += [f"b.jsonl:{number + 1}" for number in range(len(texts) - first)]
        assert documents_of(rows[channel]) == Counter(zip(places, texts, strict=True))


def test_windows_hold_text_from_all_over_the_source(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.prepare()
    windows = read_windows(rows_folder(job.ml) / "train" / "blocks.npy", TINY)
    middles = [np.mean([part.file * 1500 + part.start for part in windows.ranges(number)]) for number in range(8)]
    assert max(middles) - min(middles) < 0.75 * 4500, "windows are runs of the source"
    assert sum(one > other for one, other in pairwise(middles)) not in (0, 7)


def test_rows_are_the_same_in_whatever_order_windows_are_made_and_from_wherever_they_come(tmp_path: Path) -> None:
    """Made one after another, made by an earlier job, and made by attempts that were interrupted in between."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    plain = Job(tmp_path / "one", kept=tmp_path / "kept")
    plain.prepare()
    for entry in sorted((tmp_path / "kept").iterdir())[::2]:
        for path in entry.iterdir():
            path.unlink()
        entry.rmdir()
    second = Job(tmp_path / "two", kept=tmp_path / "kept")
    rows = second.prepare()
    assert second.content() == plain.content()
    origins = {rows["train"].window(number).header.origin for number in range(rows["train"].num_windows)}
    assert origins == {"tokenised", "reused"}


DYING = """
import os, signal, sys
from pathlib import Path
from cloudcpt.plan.plan import read_plan
from cloudcpt.train.preparer import prepare_rest
from cloudcpt.train.windows import Cut
from cloudcpt.wire import MlFolder
plan, root, base, event, piece, nth = sys.argv[1:]
seen = [0]
def notice(name, arguments):
    if name == event and any(piece in str(one) for one in arguments[:2]):
        seen[0] += 1
        if seen[0] == int(nth):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(notice)
cut = Cut(whole_bytes=600, window_bytes=256, block_bytes=64)
prepare_rest(read_plan(Path(plan)), MlFolder(Path(root)), Path(base), cut)
"""


@pytest.mark.parametrize(
    ("event", "piece", "nth"),
    [("os.rename", "window-", 4), ("os.link", "pieces.npy", 6), ("open", "tokens.npy", 7)],
)
def test_a_preparation_that_was_killed_goes_on_where_it_was(tmp_path: Path, event: str, piece: str, nth: int) -> None:
    """The windows that were whole are taken; nothing that was half written is."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    plain = Job(tmp_path / "one")
    plain.prepare()
    killed = Job(tmp_path / "two", kept=tmp_path / "kept")
    killed.start()
    plan = tmp_path / "plan.json"
    plan.write_text(killed.plan.to_json(), "utf-8")
    arguments = [sys.executable, "-c", DYING, plan, killed.ml.root, killed.base, event, piece, str(nth)]
    assert subprocess.run(arguments, check=False).returncode == -9
    made = len(list((rows_folder(killed.ml)).glob("*/window-*")))
    rows = killed.prepare()
    assert killed.content() == plain.content()
    windows = [
        rows[name].window(number) for name in ("train", "replay-books") for number in range(rows[name].num_windows)
    ]
    reused = sum(window.header.origin == "reused" for window in windows)
    assert made - 1 <= reused < len(windows), "what was made before was not kept, or more than what was made"


# --- order --------------------------------------------------------------------------------------------------------


class Opened:
    """A source of windows that remembers which of them somebody wanted."""

    def __init__(self, job: Job, channel: str) -> None:
        self.numbers: set[int] = set()
        self._job, self._channel = job, channel
        count = job.num_windows(channel)
        assert count is not None
        self.rows = WindowedRows(count, self._open)

    def _open(self, number: int) -> Rows:
        self.numbers.add(number)
        return open_rows(window_folder(self._job.ml, self._channel, number))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Job:
    job = Job(tmp_path_factory.mktemp("made"), steps=60)
    job.prepare()
    return job


def test_the_first_pass_goes_window_by_window_and_every_pass_shows_every_row_once(made: Job) -> None:
    plan = replace(made.plan, sources=(replace(made.plan.sources[0], weight=1.0),))
    source = Opened(made, "train")
    mix = make_mix(plan, {"train": source.rows})
    sizes = [len(source.rows.window(number)) for number in range(source.rows.num_windows)]
    num_rows, start = sum(sizes), 0
    fresh = Opened(made, "train")
    mix = make_mix(plan, {"train": fresh.rows})
    first = []
    for number, size in enumerate(sizes):
        part = [mix.row_at(slot)[1] for slot in range(start, start + size)]
        assert sorted(part) == list(range(start, start + size))
        assert max(fresh.numbers) == number, "a row made somebody wait for a window that it is not in"
        first += part
        start += size
    second, third = ([mix.row_at(num_rows * at + slot)[1] for slot in range(num_rows)] for at in (1, 2))
    assert sorted(second) == sorted(third) == sorted(first)
    assert len({tuple(order) for order in (first, second, third)}) == 3
    assert first != sorted(first)


def test_what_a_step_waits_for_and_counts_is_that_of_the_windows_up_to_it(made: Job) -> None:
    sources = {name: Opened(made, name) for name in ("train", "replay-books")}
    rows = {name: source.rows for name, source in sources.items()}
    mix = make_mix(made.plan, rows)
    for slots in (1, 8, 24, 40):
        used = mix.windows_used(slots)
        for name, source in sources.items():
            uses = {mix.row_at(slot)[1] for slot in range(slots) if mix.row_at(slot)[0] == name}
            assert used[name] == max((rows[name].find(row).window + 1 for row in uses), default=0)  # type: ignore[union-attr]
            assert source.numbers <= set(range(max(1, used[name])))


def test_what_is_said_before_the_first_step_waits_for_no_window(made: Job) -> None:
    sources = {name: Opened(made, name) for name in ("train", "replay-books")}
    rows: dict[str, SourceRows] = {name: source.rows for name, source in sources.items()}
    rows["validation"] = made.rows()["validation"]
    refuse_unread(made.plan, rows)
    ((_, counts),) = count_sources(made.plan, rows, made.plan.sources[2:])
    assert counts.documents == len(TEXTS["validation"])
    assert [source.numbers for source in sources.values()] == [{0}, {0}]


def test_tokens_are_those_of_whole_windows_and_of_their_mean_within_one(made: Job) -> None:
    plan = replace(made.plan, sources=(replace(made.plan.sources[0], weight=1.0),))
    rows = {"train": made.rows()["train"]}
    windows = [rows["train"].window(number) for number in range(rows["train"].num_windows)]
    one_row = replace(plan, geometry=replace(plan.geometry, global_batch_rows=1))
    steps, tokens = 0, 0
    for window in windows:
        steps, tokens = steps + len(window), tokens + window.header.num_tokens
        assert trained_tokens(one_row, rows, steps) == {"train": tokens}
    assert trained_tokens(one_row, rows, 3 * steps) == {"train": 3 * tokens}
    assert trained_tokens(one_row, rows, 0) == {"train": 0}


# --- as far as the job reads ---------------------------------------------------------------------------------------


def test_only_what_the_job_reads_is_made_and_counted(tmp_path: Path) -> None:
    job = Job(tmp_path, steps=2)
    rows = job.prepare()
    mix = make_mix(job.plan, rows)
    needed = mix.windows_used(job.plan.geometry.train_rows)
    for channel, count in needed.items():
        there = sorted(path.name for path in (rows_folder(job.ml) / channel).glob("window-*"))
        assert there == [f"window-{number:05d}" for number in range(max(1, count))]
        assert count < rows[channel].num_windows
    (_, counts) = next(count_sources(job.plan, rows, job.plan.sources[:1]))
    assert (counts.windows_read, counts.windows) == (needed["train"], rows["train"].num_windows)
    assert f" rows of {needed['train']} of its {counts.windows} windows, which is what" in counts.in_words(
        job.plan.sources[0]
    )
    assert counts.passes is not None
    assert 0 < counts.passes < 1


def test_a_source_that_is_not_what_the_plan_counted_is_drift_once_all_of_it_is_there(tmp_path: Path) -> None:
    for name in ("plain", "right", "wrong"):
        (tmp_path / name).mkdir()
    rows = Job(tmp_path / "plain").prepare()["train"]
    windows = [rows.window(number) for number in range(rows.num_windows)]
    tokens = sum(window.header.num_tokens for window in windows)
    counted = {"documents": len(TEXTS["train"]), "tokens": tokens, "rows": sum(map(len, windows))}
    Job(tmp_path / "right", exact=counted).prepare()
    with pytest.raises(TrainingFailure, match=f"CPT651: source `domain` turned into 60 documents, {tokens} tokens"):
        Job(tmp_path / "wrong", exact={**counted, "rows": counted["rows"] - 1}).prepare()


# --- waiting ------------------------------------------------------------------------------------------------------


@contextmanager
def a_preparer(job: Job) -> Iterator[TextIO]:
    """Be alive as far as others can tell."""
    with (rows_folder(job.ml) / "preparer.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def other_rank(job: Job) -> SourceRows:
    """Map the training rows as a rank does that prepares nothing."""
    return prepare_rows(job.plan, job.ml, job.base, is_node_main=False, barrier=lambda: None, cut=TINY)["train"]


class Waiter(threading.Thread):
    """Somebody who asks for the last window."""

    def __init__(self, rows: SourceRows) -> None:
        super().__init__()
        self._rows = rows
        self.got: Rows | BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.got = self._rows.window(self._rows.num_windows - 1)
        except BaseException as exc:  # noqa: BLE001 - handed to the test
            self.got = exc


def test_a_window_is_waited_for(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.start()
    with a_preparer(job):
        waiter = Waiter(other_rank(job))
        prepare_rest(job.plan, job.ml, job.base, TINY)
        waiter.join(30)
    assert isinstance(waiter.got, Rows)


@pytest.mark.parametrize("reason", [None, Failure(code="CPT657", blame=Blame.USER, message="the disk is full")])
def test_who_waits_in_vain_learns_why(tmp_path: Path, reason: Failure | None) -> None:
    job = Job(tmp_path)
    job.start()
    with a_preparer(job):
        waiter = Waiter(other_rank(job))
        if reason is not None:
            leave_failure(job.ml, reason)
    waiter.join(30)
    assert isinstance(waiter.got, TrainingFailure)
    assert waiter.got.failure.code == (reason.code if reason else "CPT614")


def test_nobody_waits_on_when_the_job_has_ended(tmp_path: Path) -> None:
    job = Job(tmp_path)
    job.start()
    with a_preparer(job):
        with prepare_rows(job.plan, job.ml, job.base, is_node_main=False, barrier=lambda: None, cut=TINY) as rows:
            waiter = Waiter(rows["train"])
        waiter.join(30)
    assert waiter.got is not None
    assert not isinstance(waiter.got, Rows | TrainingFailure)
