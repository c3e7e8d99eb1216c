"""What Arrow reads differently, held against Arrow itself."""

import io
import json
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudcpt.dataset.arrow import BLOCK_BYTES, FIRST_BYTES, arrow_findings, looks_like_time
from cloudcpt.dataset.check import check_in
from cloudcpt.dataset.files import LocalFiles
from cloudcpt.errors import Severity

arrow_json = pytest.importorskip("pyarrow.json")

DATES = ("2024-01-05", "2024-1-05", "20240105", "0000-01-01", "9999-12-31", "2024/01/05", "٢٠٢٤-٠١-٠٥")
GAPS = ("", " ", "T", "t", "  ")
TIMES = ("", "10", "10:00", "10:00:00", "1000", "100000", "10:00:00.1", "10:00:00.123456789", "1:00")
ZONES = ("", "Z", "z", "+01", "+0100", "-08:00", " Z", "+1")


def type_of(content: bytes) -> str:
    return str(arrow_json.read_json(io.BytesIO(content)).schema.field("text").type)


def line(text: str) -> bytes:
    return json.dumps({"text": text}).encode() + b"\n"


def test_no_text_becomes_anything_but_text_unless_it_looks_like_a_time() -> None:
    others = ("10:00:00", "1", "1.5", "true", "null", "2024", "2024-01", "-1e5", "NaN", "0x10", "[]")
    for text in [*map("".join, product(DATES, GAPS, TIMES, ZONES)), *others]:
        is_text = type_of(line(text)) == "string"
        assert is_text or looks_like_time(text), text
    for text in ("2024-01-05", "2024-01-05T10:00Z", "2024-01-05 10:00:00+01:00"):
        assert (type_of(line(text)), looks_like_time(text)) == ("timestamp[s]", True)


@given(text=st.from_regex(r"\A[0-9T: Zz+.-]{0,30}\Z"))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_no_other_text_does_either(text: str) -> None:
    assert type_of(line(text)) == "string" or looks_like_time(text)


@pytest.mark.parametrize("sizes", [[BLOCK_BYTES] * 4, [100, BLOCK_BYTES, BLOCK_BYTES, 50], [BLOCK_BYTES - 1] * 3])
def test_lines_of_a_block_load(sizes: list[int]) -> None:
    assert type_of(b"".join(line("a" * (size - 13)) for size in sizes)) == "string"


def test_a_line_of_more_than_a_block_may_not_load() -> None:
    with pytest.raises(Exception, match="straddling"):
        type_of(line("a") + line("b" * (2 * BLOCK_BYTES)) + line("c"))


def codes(folder: Path, content: bytes) -> list[tuple[Severity, int | None]]:
    (folder / "a.jsonl").write_bytes(content)
    place = LocalFiles(folder)
    found = list(arrow_findings(place, check_in(place, "a.jsonl")))
    assert all(one.code == "CPT384" for one in found)
    return [(one.severity, one.place and one.place.line) for one in found]


def test_all_that_is_told_is_told_at_its_place(tmp_path: Path) -> None:
    assert codes(tmp_path, line("a text") * 3) == []
    assert codes(tmp_path, line("2024-01-05") * 3) == [(Severity.WARNING, 1)]
    assert codes(tmp_path, line("2024-01-05") * 3 + line("a text")) == []
    assert codes(tmp_path, line("a") * 4 + line("b" * BLOCK_BYTES) * 2) == [(Severity.NOTE, 5)]
    assert codes(tmp_path, line("b" * (BLOCK_BYTES - 13))) == []
    assert codes(tmp_path, line("é" * (BLOCK_BYTES // 6))) == [(Severity.NOTE, 1)], "escapes count as they are written"


def test_a_text_behind_the_beginning_comes_too_late(tmp_path: Path) -> None:
    """What follows 10 MB of times is what `datasets` fails at."""
    times = b'{"text":' + b" " * 9000 + b'"2024-01-05 10:00:00"}\n'
    assert codes(tmp_path, times * (FIRST_BYTES // len(times) + 1) + line("hello")) == [(Severity.WARNING, 1)]
