"""Carets stand below what they mean, whatever the line is made of."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.cli.excerpt import AROUND_BYTES, Mark, StyledLine, excerpt, lines_of, printable
from cloudcpt.errors import Place


def plain(lines: list[StyledLine]) -> list[str]:
    return ["".join(text for text, _ in line).rstrip() for line in lines]


def mark(line: int, column: int | None, length: int = 1, label: str = "", sign: str = "^") -> Mark:
    return Mark(line=line, column=column, length=length, sign=sign, role="error", label=label)


def test_carets_stand_below_the_marked_characters() -> None:
    assert plain(excerpt({3: "lr: 1e-5"}, [mark(3, 5, 4)], 80)) == [
        "    3 | lr: 1e-5",
        "      |     ^^^^",
    ]


def test_wide_characters_before_and_under_the_mark_count_two_cells() -> None:
    assert plain(excerpt({1: "名前: 東京"}, [mark(1, 5, 2)], 80)) == [
        "    1 | 名前: 東京",
        "      |       ^^^^",
    ]


def test_a_tab_is_four_cells_before_and_under_the_mark() -> None:
    assert plain(excerpt({1: "\ta:\tb"}, [mark(1, 4), mark(1, 5)], 80)) == [
        "    1 |     a:    b",
        "      |       ^^^^",
        "      |           ^",
    ]


def test_a_combining_accent_takes_no_cell() -> None:
    word = unicodedata.normalize("NFD", "é")
    assert plain(excerpt({1: f"{word}{word} x"}, [mark(1, 6)], 80))[1] == "      |    ^"


def test_the_key_that_holds_the_line_is_shown_and_the_gap_is_marked() -> None:
    lines = dict(enumerate(["run:", "sched:", "  # a comment", "", "  warmup_step: 10"], start=1))
    assert plain(excerpt(lines, [mark(5, 3, 11)], 80)) == [
        "    2 | sched:",
        "     ...",
        "    5 |   warmup_step: 10",
        "      |   ^^^^^^^^^^^",
    ]


def test_related_lines_come_in_the_order_of_the_file_with_their_labels() -> None:
    lines = {1: "lr: 1", 2: "min_lr: 2"}
    marks = [mark(2, 9), mark(1, 5, label="set here", sign="-")]
    assert plain(excerpt(lines, marks, 80)) == [
        "    1 | lr: 1",
        "      |     - set here",
        "    2 | min_lr: 2",
        "      |         ^",
    ]


def test_a_mark_past_the_end_of_the_line_points_behind_it() -> None:
    assert plain(excerpt({1: "run:"}, [mark(1, 99, 5)], 80))[1] == "      |     ^"


def test_a_mark_without_a_column_shows_the_line_alone() -> None:
    assert plain(excerpt({1: "run:"}, [mark(1, None)], 80)) == ["    1 | run:"]


def test_a_line_that_is_not_there_shows_nothing() -> None:
    assert excerpt({1: "run:"}, [mark(7, 1)], 80) == []


@pytest.mark.parametrize("column", [1, 2, 60, 500, 998, 1000])
def test_a_long_line_is_cut_around_the_mark(column: int) -> None:
    line = "".join(chr(ord("a") + index % 26) for index in range(1000))
    shown, carets = plain(excerpt({1: line}, [mark(1, column)], 60))
    assert len(shown) <= 60
    assert shown[carets.index("^")] == line[column - 1]
    assert ("…" in shown[:9]) == (column > 20)
    assert shown.endswith("…") == (column < 980)


@given(st.text(alphabet=st.sampled_from("ab 東京\t\x1b\u202ee\u0301"), max_size=300), st.integers(0, 300))
def test_no_line_is_wider_than_the_room_and_the_mark_is_inside(line: str, at: int) -> None:
    from rich.cells import cell_len

    shown = plain(excerpt({1: line}, [mark(1, at + 1)], 50))
    assert all(cell_len(text) <= 51 for text in shown)  # one more for a mark behind the end


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\r\nb", "a␍␊b"),
        ("\x00\x7f", "␀␡"),
        ("\x9b31m", "�31m"),
        ("a\u202eb\u2066", "a�b�"),
        ("\ufeff\u200b\u2028", "���"),
        ("\udcff", "�"),
        ("naïve 東京 👩‍👩‍👧 नमस्ते", "naïve 東京 👩‍👩‍👧 नमस्ते"),
    ],
)
def test_what_would_act_on_a_terminal_is_shown_as_a_sign(raw: str, shown: str) -> None:
    assert printable(raw) == shown


def test_given_text_is_preferred_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("on disk\n")
    place = Place(path=str(tmp_path / "a.yaml"), line=1, column=2)
    assert lines_of(place, {place.path: "given\nlines"})[0] == {1: "given", 2: "lines"}
    assert lines_of(place, {})[0][1] == "on disk"


def test_a_file_that_is_gone_or_strange_gives_no_lines(tmp_path: Path) -> None:
    for path in (str(tmp_path / "gone"), str(tmp_path), "bad\0name"):
        assert lines_of(Place(path=path, line=1, column=1), {}) == ({}, 0)


def test_data_is_read_only_around_the_byte(tmp_path: Path) -> None:
    long = tmp_path / "long.jsonl"
    long.write_bytes(b'{"text": "first"}\n' + b"x" * 5000 + "東!".encode() + b"y" * 5000 + b"\nlast\n")
    byte = 18 + 5000 + len("東".encode())
    lines, shift = lines_of(Place(path=str(long), line=2, column=5002, byte=byte), {})
    assert lines[2][5002 + shift - 2 : 5002 + shift] == "東!"
    assert len(lines[2]) <= 2 * AROUND_BYTES


def test_data_excerpt_stops_at_the_ends_of_its_line(tmp_path: Path) -> None:
    short = tmp_path / "short.jsonl"
    short.write_bytes(b'one\r\n{"text": 5}\r\nthree\r\n')
    assert lines_of(Place(path=str(short), line=2, column=10, byte=14), {}) == ({2: '{"text": 5}'}, 0)


def test_a_secret_is_not_shown_even_where_a_finding_points_at_it() -> None:
    secret = "hf_" + "a1" * 12
    place = Place(path="r.yaml", line=1, column=8, length=len(secret))
    lines, _ = lines_of(place, {"r.yaml": f"token: {secret}  # keep\n"})
    assert plain(excerpt(lines, [mark(1, 8, len(secret))], 80))[0] == "    1 | token: ***  # keep"


def test_a_very_narrow_terminal_still_shows_the_mark() -> None:
    shown, carets = plain(excerpt({1: "x" * 50 + "!" + "x" * 50}, [mark(1, 51)], 5))
    assert shown[carets.index("^")] == "!"
