"""Rows kept between jobs: whole or not there, verified when they are taken, never in the way of a job."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from cloudcpt.dataset.row_cache import RowCache

FILES = {"rows.json": b'{"tokens": 3}', "tokens.npy": b"\x07" * 4096, "documents.npy": b"d" * 100}
SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "rows"
    path.mkdir()
    return path


def made(folder: Path, **changed: bytes) -> Path:
    """Write a set of rows as a job would."""
    folder.mkdir()
    for name, content in {**FILES, **changed}.items():
        (folder / name).write_bytes(content)
    return folder


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_kept_is_taken_without_a_copy(tmp_path: Path, root: Path) -> None:
    cache = RowCache(root)
    cache.keep("k", made(tmp_path / "job1"))
    assert cache.take("k", tmp_path / "job2") == "taken"
    assert content_of(tmp_path / "job2") == FILES
    assert (tmp_path / "job1" / "tokens.npy").samefile(tmp_path / "job2" / "tokens.npy")


def test_another_key_is_another_set(tmp_path: Path, root: Path) -> None:
    cache = RowCache(root)
    cache.keep("k", made(tmp_path / "job1"))
    assert cache.take("other", tmp_path / "job2") == "missing"
    assert not (tmp_path / "job2").exists()


def flip_a_byte(entry: Path) -> None:
    content = bytearray((entry / "tokens.npy").read_bytes())
    content[2000] ^= 1
    (entry / "tokens.npy").unlink()
    (entry / "tokens.npy").write_bytes(content)


def cut_short(entry: Path) -> None:
    (entry / "documents.npy").unlink()
    (entry / "documents.npy").write_bytes(b"d" * 99)


def lose_a_file(entry: Path) -> None:
    (entry / "tokens.npy").unlink()


def add_a_file(entry: Path) -> None:
    (entry / "more.npy").write_bytes(b"")


def lose_the_seal(entry: Path) -> None:
    (entry / "seal.json").unlink()


def break_the_seal(entry: Path) -> None:
    (entry / "seal.json").write_text(json.dumps({"files": 3}))


DAMAGES = [flip_a_byte, cut_short, lose_a_file, add_a_file, lose_the_seal, break_the_seal]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_set_is_refused_and_removed_and_can_be_kept_again(tmp_path: Path, root: Path, damage) -> None:
    cache = RowCache(root)
    cache.keep("k", made(tmp_path / "job1"))
    damage(root / "k")
    assert cache.take("k", tmp_path / "job2") == "damaged"
    assert not (tmp_path / "job2").exists()
    assert names_in(root) == []
    cache.keep("k", made(tmp_path / "job3"))
    assert cache.take("k", tmp_path / "job4") == "taken"
    assert content_of(tmp_path / "job4") == FILES


def test_a_set_that_is_removed_stays_with_the_jobs_that_took_it(tmp_path: Path, root: Path) -> None:
    cache = RowCache(root)
    cache.keep("k", made(tmp_path / "job1"))
    cache.take("k", tmp_path / "job2")
    cache.remove("k")
    assert cache.take("k", tmp_path / "job3") == "missing"
    assert content_of(tmp_path / "job1") == content_of(tmp_path / "job2") == FILES
    assert names_in(root) == []


def test_of_two_makers_the_first_wins_and_nothing_is_left_of_the_second(tmp_path: Path, root: Path) -> None:
    cache = RowCache(root)
    cache.keep("k", made(tmp_path / "job1"))
    cache.keep("k", made(tmp_path / "job2"))
    assert names_in(root) == ["k"]
    assert (tmp_path / "job1" / "tokens.npy").samefile(root / "k" / "tokens.npy")


def test_what_was_not_used_for_longest_gives_way(tmp_path: Path, root: Path) -> None:
    seal_bytes = 1000
    cache = RowCache(root, most_bytes=3 * (SIZE + seal_bytes))
    now = time.time()
    for age, key in enumerate("abc"):
        cache.keep(key, made(tmp_path / key))
        os.utime(root / key / "seal.json", (now - 100 + age, now - 100 + age))
    cache.take("a", tmp_path / "again")  # now `b` is the one
    cache.keep("d", made(tmp_path / "d"))
    assert {one.key for one in cache.kept()} == {"a", "c", "d"}
    assert [one.key for one in cache.kept()][-1] == "c"
    assert all(SIZE < one.size_bytes < SIZE + seal_bytes for one in cache.kept())


def test_a_set_that_is_larger_than_the_cache_is_not_kept(tmp_path: Path, root: Path) -> None:
    RowCache(root, most_bytes=SIZE).keep("k", made(tmp_path / "job"))
    assert names_in(root) == []
    assert content_of(tmp_path / "job") == FILES


def test_without_a_folder_nothing_is_found_and_nothing_kept(tmp_path: Path) -> None:
    cache = RowCache(tmp_path / "nowhere")
    cache.keep("k", made(tmp_path / "job"))
    assert cache.take("k", tmp_path / "other") == "missing"
    assert cache.kept() == ()
    assert names_in(tmp_path) == ["job"]


def test_a_place_to_which_no_link_leads_takes_nothing_and_nothing_fails(tmp_path: Path, root: Path) -> None:
    """As between two file systems: the target cannot be made, whatever the reason."""
    cache = RowCache(root)
    cache.keep("k", made(tmp_path / "job"))
    assert cache.take("k", tmp_path / "no" / "folder") == "missing"
    assert names_in(root) == ["k"]


def test_what_killed_makers_and_removers_left_is_swept_but_not_what_is_being_made(tmp_path: Path, root: Path) -> None:
    for name in (".new-old", ".new-now", ".gone-any"):
        made(root / name)
    os.utime(root / ".new-old", (1, 1))
    RowCache(root).keep("k", made(tmp_path / "job"))
    assert names_in(root) == [".new-now", "k"]


def test_many_jobs_at_once_end_with_one_whole_set(tmp_path: Path, root: Path) -> None:
    """Eight threads take, make, keep and remove the same two sets; nobody ever sees a damaged one."""
    found: list[str] = []

    def work(number: int) -> None:
        for turn in range(30):
            cache = RowCache(root, most_bytes=2 * SIZE + 1500 if turn % 3 else SIZE + 1000)
            folder = tmp_path / f"{number}-{turn}"
            key = "ab"[turn % 2]
            found.append(cache.take(key, folder))
            if found[-1] != "taken":
                cache.keep(key, made(folder))
            assert content_of(folder) == FILES

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 240
    assert "damaged" not in found
    assert {"taken", "missing"} == set(found)
    assert {name for name in names_in(root) if not name.startswith(".")} <= {"a", "b"}
