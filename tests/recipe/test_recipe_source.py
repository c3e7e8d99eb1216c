"""Reading the file itself: what it is, how large, and which characters it may hold."""

import os
from pathlib import Path

import pytest
from blake3 import blake3

from cloudcpt.errors import Place, RecipeError
from cloudcpt.recipe.load import load_recipe
from cloudcpt.recipe.source import MAX_BYTES, read_source


def refusal(path: Path) -> tuple[str, Place | None]:
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    (found,) = raised.value.diagnostics
    return found.code, found.place


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no file") as raised:
        load_recipe(tmp_path / "gone.yaml")
    assert raised.value.diagnostics[0].code == "CPT001"


def test_a_name_that_no_file_can_have_is_refused() -> None:
    assert refusal(Path("a\0b"))[0] == "CPT001"


def test_a_file_behind_a_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "recipe.yaml")[0] == "CPT001"


def test_a_folder_is_not_a_recipe(tmp_path: Path) -> None:
    assert refusal(tmp_path)[0] == "CPT002"


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe")[0] == "CPT002"


def test_a_device_that_never_ends_is_refused() -> None:
    assert refusal(Path("/dev/zero"))[0] == "CPT002"


@pytest.mark.parametrize(("size", "code"), [(MAX_BYTES, "CPT006"), (MAX_BYTES + 1, "CPT003")])
def test_the_largest_recipe_has_65536_bytes(tmp_path: Path, size: int, code: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("#" * size)
    assert refusal(path)[0] == code


def test_a_sparse_giant_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    assert refusal(path)[0] == "CPT003"


def test_a_byte_that_is_not_utf_8_is_shown_with_line_column_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes("run:\n  # ü\n  name: \xe9".encode("latin-1").replace(b"\xfc", "ü".encode()))
    code, place = refusal(path)
    assert code == "CPT004"
    assert (place and (place.line, place.column, place.byte)) == (3, 9, 20)


def test_utf_16_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes("run: 1".encode("utf-16"))
    with pytest.raises(RecipeError) as raised:
        load_recipe(path)
    assert "UTF-16" in (raised.value.diagnostics[0].hint or "")


def test_a_byte_order_mark_is_no_part_of_the_text_and_part_of_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"\xef\xbb\xbfrun: 1")
    source = read_source(path)
    assert source.text == "run: 1"
    assert source.blake3 == blake3(b"\xef\xbb\xbfrun: 1").hexdigest()


@pytest.mark.parametrize("char", ["\0", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\u2066", "\ufeff", "\uffff"])
def test_characters_that_deceive_a_reader_are_refused_where_they_stand(tmp_path: Path, char: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(f"run:\r\n  name: a{char}b\n".encode())
    code, place = refusal(path)
    assert code == "CPT005"
    assert (place and (place.line, place.column)) == (2, 10)


@pytest.mark.parametrize("char", ["é", "中", "😀", "\u200f", "\xa0", "\t"])
def test_other_characters_of_the_world_are_welcome(tmp_path: Path, char: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(f"# {char}\n", "utf-8")
    assert refusal(path)[0] == "CPT006"
