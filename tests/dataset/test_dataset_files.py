"""Which files a path means, and which are never opened."""

import os
import socket
from pathlib import Path

import pytest

from cloudcpt.dataset.check import check_dataset
from cloudcpt.dataset.files import find_files, open_regular
from cloudcpt.dataset.records import read_records
from cloudcpt.errors import DatasetError

LINE = '{"text":"a"}\n'


def put(path: Path, content: str = LINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")
    return path


def names(path: str, base: Path) -> list[str]:
    return [file.name for file in find_files(path, base)]


def refusal(path: str, base: Path) -> list[str]:
    with pytest.raises(DatasetError) as caught:
        find_files(path, base)
    return [found.code for found in caught.value.diagnostics]


def error_codes(path: str, base: Path) -> list[str]:
    return [found.code for found in check_dataset(path, base).diagnostics if found.severity == "error"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.jsonl",
        "a.jsonl",
        "sub/c.jsonl",
        "sub/deep/d.jsonl",
        ".hidden.jsonl",
        ".git/e.jsonl",
        "sub/readme.md",
    ):
        put(tmp_path / "data" / name)
    return tmp_path


def test_a_file_is_itself(tree: Path) -> None:
    (found,) = find_files("data/a.jsonl", tree)
    assert (found.name, found.path) == ("a.jsonl", str((tree / "data/a.jsonl").resolve()))


def test_what_is_shown_is_what_was_typed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [file.shown for file in find_files("data/sub", tree)] == [
        f"{tree}/data/sub/c.jsonl",
        f"{tree}/data/sub/deep/d.jsonl",
    ]
    monkeypatch.chdir(tree)
    assert [file.shown for file in find_files("data/*.jsonl", Path.cwd())] == ["data/a.jsonl", "data/b.jsonl"]
    assert check_dataset("data/a.jsonl", Path()).name == "data/a.jsonl"


def test_a_folder_is_every_jsonl_file_below_it_by_name(tree: Path) -> None:
    assert names("data", tree) == ["a.jsonl", "b.jsonl", "sub/c.jsonl", "sub/deep/d.jsonl"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("data/*.jsonl", ["a.jsonl", "b.jsonl"]),
        ("data/[b-z].jsonl", ["b.jsonl"]),
        ("data/?.jsonl", ["a.jsonl", "b.jsonl"]),
        ("data/*/*.jsonl", ["sub/c.jsonl"]),
        ("data/**/*.jsonl", ["a.jsonl", "b.jsonl", "sub/c.jsonl", "sub/deep/d.jsonl"]),
        ("data/**/deep/*", ["sub/deep/d.jsonl"]),
        ("data/sub/deep/**", ["d.jsonl"]),
        ("**/**/c.jsonl", ["data/sub/c.jsonl"]),
    ],
)
def test_a_pattern_is_what_it_matches(tree: Path, pattern: str, expected: list[str]) -> None:
    assert names(pattern, tree) == expected
    assert names(f"{tree}/{pattern}", Path("/")) == expected


def test_a_file_whose_name_looks_like_a_pattern_is_taken_by_its_name(tmp_path: Path) -> None:
    put(tmp_path / "a[1].jsonl")
    put(tmp_path / "a1.jsonl")
    assert names("a[1].jsonl", tmp_path) == ["a[1].jsonl"]


def test_magic_characters_above_the_base_are_not_a_pattern(tmp_path: Path) -> None:
    put(tmp_path / "x[1]" / "a.jsonl")
    assert names("*.jsonl", tmp_path / "x[1]") == ["a.jsonl"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("", "CPT300"),
        ("nothing.jsonl", "CPT300"),
        ("data/a.jsonl/b.jsonl", "CPT300"),
        ("dangling.jsonl", "CPT300"),
        ("empty", "CPT301"),
        ("data/*.json", "CPT301"),
        ("nowhere/*.jsonl", "CPT301"),
        ("data/sub/readme.md", "CPT302"),
        ("data/sub/*", "CPT302"),
        ("upper.JSONL", "CPT302"),
        ("x" * 5000, "CPT305"),
        ("loop.jsonl", "CPT305"),
        ("a\0b.jsonl", "CPT310"),
        ("a\udcff.jsonl", "CPT310"),
        ("s3://bucket/key.jsonl", "CPT311"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(tree: Path, path: str, code: str) -> None:
    (tree / "empty").mkdir()
    put(tree / "upper.JSONL")
    (tree / "dangling.jsonl").symlink_to("gone.jsonl")
    (tree / "loop.jsonl").symlink_to("loop.jsonl")
    assert refusal(path, tree) == [code]


def test_a_missing_file_is_looked_for_nearby(tree: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        find_files("data/c.jsonl".replace("c", "aa"), tree)
    assert caught.value.diagnostics[0].hint == "did you mean `a.jsonl`?"


@pytest.mark.parametrize("name", ["a\nb.jsonl", "a\u202eb.jsonl", "a\x1bb.jsonl"])
def test_a_name_that_could_lie_on_a_terminal_is_refused(tmp_path: Path, name: str) -> None:
    put(tmp_path / "data" / name)
    assert refusal("data", tmp_path) == ["CPT310"]


def test_a_name_of_bytes_that_are_not_utf8_is_refused(tmp_path: Path) -> None:
    descriptor = os.open(os.fsencode(tmp_path) + b"/\xff.jsonl", os.O_CREAT | os.O_WRONLY)
    os.close(descriptor)
    assert refusal("*.jsonl", tmp_path) == ["CPT310"]


def test_unusual_but_harmless_names_are_fine(tmp_path: Path) -> None:
    for name in ("-rf.jsonl", "a b.jsonl", "数据.jsonl", "a'b\"c.jsonl"):
        put(tmp_path / "data" / name)
    assert len(names("data", tmp_path)) == 4


def test_a_fifo_a_socket_and_a_device_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.jsonl"))
        assert error_codes(".", tmp_path) == ["CPT303", "CPT303"]
    assert error_codes("/dev/null", tmp_path) == ["CPT303"]
    with pytest.raises(DatasetError, match="named pipe"):
        next(read_records(tmp_path / "pipe.jsonl"))


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_file_that_is_replaced_between_look_and_open_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    regular = put(tmp_path / "regular.jsonl").lstat()

    class Replaced(type(tmp_path)):  # type: ignore[misc]  # the class of a path is chosen at run time
        def lstat(self) -> os.stat_result:
            return regular

    path = Replaced(tmp_path / "x.jsonl")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("regular.jsonl")
    with pytest.raises(DatasetError, match=r"named pipe|cannot be read"):
        open_regular(path, "x.jsonl")


def test_a_folder_that_takes_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").mkdir()
    with pytest.raises(DatasetError, match="a folder"):
        next(read_records(tmp_path / "x.jsonl"))


def test_a_link_that_was_typed_stands_for_its_target(tree: Path) -> None:
    (tree / "link.jsonl").symlink_to("data/a.jsonl")
    (found,) = find_files("link.jsonl", tree)
    assert (found.name, found.path) == ("link.jsonl", str((tree / "data/a.jsonl").resolve()))
    assert check_dataset("link.jsonl", tree).ok
    (tree / "folder").symlink_to("data")
    assert len(names("folder", tree)) == 4


@pytest.mark.parametrize("path", ["data", "data/**/*.jsonl", "data/**"])
def test_links_inside_a_folder_are_refused_and_not_followed(tmp_path: Path, path: str) -> None:
    put(tmp_path / "data/a.jsonl")
    put(tmp_path / "other/b.jsonl", '{"text":"b"}\n')
    (tmp_path / "data/link.jsonl").symlink_to("../other/b.jsonl")
    (tmp_path / "data/folder").symlink_to("../other")
    (tmp_path / "data/circle").symlink_to(".")
    report = check_dataset(path, tmp_path)
    shown = [found.place.path for found in report.diagnostics if found.code == "CPT304" and found.place]
    assert shown == [str(tmp_path / "data" / name) for name in ("circle", "folder", "link.jsonl")]
    assert report.documents == 1


def test_one_bad_file_does_not_hide_the_findings_in_the_others(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    put(tmp_path / "b.jsonl", "{}\n")
    put(tmp_path / "c.jsonl", "")
    assert error_codes(".", tmp_path) == ["CPT303", "CPT341", "CPT306", "CPT351"]


def test_files_that_look_like_data_are_not_left_out_in_silence(tree: Path) -> None:
    for name in ("x.json", "y.jsonl.gz", "Z.JSONL"):
        put(tree / "data" / name)
    report = check_dataset("data", tree)
    warned = [found.message.split("`")[1] for found in report.diagnostics if found.code == "CPT312"]
    assert warned == ["Z.JSONL", "x.json", "y.jsonl.gz"]
    assert report.error_count == 0


def test_a_file_that_cannot_be_read_on_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").symlink_to("/proc/self/mem")
    report = check_dataset("x.jsonl", tmp_path)
    assert [found.code for found in report.diagnostics] == ["CPT305"]
    assert report.files[0].blake3 == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_or_folder_without_permission_is_a_finding(tmp_path: Path) -> None:
    put(tmp_path / "data" / "x.jsonl").chmod(0)
    assert error_codes("data", tmp_path) == ["CPT305"]
    (tmp_path / "data").chmod(0)
    assert refusal("data", tmp_path) == ["CPT305"]


def test_a_very_deep_folder_is_walked_without_recursion(tmp_path: Path) -> None:
    depth, folder = 1500, os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(os.open("x.jsonl", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    try:
        assert names(".", tmp_path) == ["d/" * depth + "x.jsonl"]
    finally:
        os.system(f"rm -rf {tmp_path}/d")  # shutil recurses


def test_a_path_beside_the_recipes_folder_is_shown_without_the_detour(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "data.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.chdir(tmp_path)
    (file,) = find_files("../data.jsonl", Path("recipes"))
    assert file.shown == "data.jsonl"


def test_the_report_of_a_data_command_is_no_data_and_needs_no_word(tree: Path) -> None:
    (tree / "data" / "report.json").write_text("{}")
    report = check_dataset("data", tree)
    assert not [found for found in report.diagnostics if "report.json" in found.message]
