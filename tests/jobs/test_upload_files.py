"""What is uploaded is what was validated: a file that is another one, or becomes another one, never counts."""

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cloudcpt.errors import InputError
from cloudcpt.jobs.local_file import FileChanged, LocalFile
from tests.fake_objects import Line
from tests.jobs.uploads import PART, Corpus, content_of, local_file, outcome, run, small_store


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def rewrite(path: Path) -> None:
    path.write_bytes(content_of(path.stat().st_size, seed=99))


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(content_of(path.stat().st_size, seed=99))
    other.replace(path)


def rewrite_and_restore_the_time(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x00" if path.read_bytes()[-1] else b"\x01")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove(path: Path) -> None:
    path.unlink()


EDITS = (append, truncate, empty, rewrite, replace, rewrite_and_restore_the_time, remove)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("size", [10, 4 * PART + 7])
def test_a_file_that_changed_after_it_was_validated_is_refused_before_a_byte_is_kept(tmp_path, edit, size):
    corpus = Corpus.make(tmp_path / "data", size)
    edit(corpus.files[0].path)
    store = small_store()
    with pytest.raises(InputError, match=r"CPT41[12]"):
        run(store, corpus.files, tmp_path / "journal")
    assert (store.objects, store.uploads) == ({}, {})


class Editing(Line):
    """A line on which somebody edits a file just before an event."""

    def __init__(self, event: int, edit: Callable[[], None]) -> None:
        super().__init__()
        self._at, self._edit = event, edit

    def pass_on(self, act, **options):
        if self.events == self._at:
            self._edit()
        return super().pass_on(act, **options)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("event", range(14))
def test_whenever_a_file_is_edited_its_object_is_what_was_validated_or_there_is_none(tmp_path, edit, event):
    corpus = Corpus.make(tmp_path / "data", 4 * PART + 7)
    expected = corpus.objects
    store, line = small_store(), Editing(event, lambda: edit(corpus.files[0].path))
    refusal = outcome(store, corpus.files, tmp_path / "journal", line=line)
    if refusal is None:
        assert store.objects == expected
        assert event >= 7, "an edit long before the last part was read must be seen"
    else:
        assert isinstance(refusal, InputError)
        assert store.objects == {}
        if refusal.diagnostics[0].code == "CPT411":  # what cannot be read may come back, and its upload waits for it
            assert store.uploads == {}


@pytest.mark.parametrize("edit", [append, lambda path: os.utime(path)], ids=["append", "touch"])
def test_a_file_that_is_written_to_is_refused_before_the_rest_of_it_is_sent(tmp_path, edit):
    corpus = Corpus.make(tmp_path / "data", 50 * PART)
    line = Editing(8, lambda: edit(corpus.files[0].path))
    with pytest.raises(FileChanged, match="CPT411"):
        run(small_store(), corpus.files, tmp_path / "journal", line=line)
    assert line.sent_bytes < 10 * PART


def test_any_flipped_bit_on_the_disk_is_found(tmp_path):
    (file,) = Corpus.make(tmp_path / "data", 4 * PART + 7).files
    content, chance = bytearray(file.path.read_bytes()), random.Random(1)
    before = file.path.stat()
    for _ in range(100):
        offset, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
        content[offset] ^= bit
        file.path.write_bytes(content)
        os.utime(file.path, ns=(before.st_atime_ns, before.st_mtime_ns))
        store = small_store()
        with pytest.raises(FileChanged, match="CPT411"):
            run(store, [file], tmp_path / "journal")
        assert (store.objects, store.uploads) == ({}, {})
        content[offset] ^= bit


def test_a_file_that_changed_is_refused_even_when_its_object_is_there(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 4 * PART)
    store = small_store()
    run(store, corpus.files, tmp_path / "journal")
    rewrite_and_restore_the_time(corpus.files[0].path)
    with pytest.raises(FileChanged, match="BLAKE3"):
        run(store, corpus.files, tmp_path / "journal")


def test_all_files_that_do_not_fit_are_reported_together_and_nothing_is_sent(tmp_path):
    corpus = Corpus.make(tmp_path / "data", 10, 4 * PART, 20)
    append(corpus.files[0].path)
    remove(corpus.files[1].path)
    line = Line()
    with pytest.raises(InputError) as caught:
        run(small_store(), corpus.files, tmp_path / "journal", line=line)
    assert [found.code for found in caught.value.diagnostics] == ["CPT411", "CPT412"]
    assert [found.place.path for found in caught.value.diagnostics] == [str(file.path) for file in corpus.files[:2]]
    assert line.events == 0


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.symlink_to(path.with_name("target")), "symbolic link"),
        (os.mkfifo, "not a regular file"),
        (Path.mkdir, "not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "symbolic link"),
        (lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), "cannot send"),
    ],
    ids=["link", "pipe", "folder", "link to a device", "socket"],
)
def test_only_regular_files_are_opened_and_nothing_blocks(tmp_path, make, reason):
    (tmp_path / "target").write_bytes(b"0123456789")
    make(tmp_path / "it")
    file = LocalFile(path=tmp_path / "it", size_bytes=10, blake3="0" * 64, key="k")
    with pytest.raises(InputError, match=f"CPT412.*{reason}"):
        run(small_store(), [file], tmp_path / "journal")


def test_a_file_too_large_for_any_store_is_refused(tmp_path):
    file = local_file(tmp_path / "a.jsonl", b"x")
    huge = LocalFile(path=file.path, size_bytes=49 * 1024**4, blake3=file.blake3, key=file.key)
    with pytest.raises(InputError, match="CPT416"):
        run(small_store(), [huge], tmp_path / "journal")


def test_a_truncation_while_a_part_is_read_is_seen_as_such(tmp_path):
    """Between the last look at the size and the read: what `read` gives is fewer bytes than asked for."""
    corpus = Corpus.make(tmp_path / "data", 4 * PART)
    store, path = small_store(), corpus.files[0].path
    line = Editing(5, lambda: os.truncate(path, PART))
    with pytest.raises(FileChanged, match="CPT411"):
        run(store, corpus.files, tmp_path / "journal", line=line, parts_in_flight=3)
    assert (store.objects, store.uploads) == ({}, {})
