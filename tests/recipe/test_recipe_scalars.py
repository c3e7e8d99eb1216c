"""What plain scalars mean: the YAML 1.2 core schema."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudcpt.recipe.scalars import UnusableNumber, resolve_plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1e-06", 1e-6),
        ("1E5", 1e5),
        ("1.0e-5", 1e-5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.1", -0.1),
        ("8192", 8192),
        ("+3", 3),
        ("-3", -3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("9223372036854775807", 2**63 - 1),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_a_number_a_switch_or_nothing_is_what_the_core_schema_says(text: str, value: object) -> None:
    assert resolve_plain(text) == value
    assert type(resolve_plain(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "off",
        "y",
        "tRUE",
        "1_000",
        "1,000",
        "1:30",
        "0b11",
        "1e",
        "e5",
        "--1",
        "1.2.3",
        "0o8",
        "٣",
        "1e-5f",
    ],
)
def test_what_only_yaml_1_1_or_nobody_reads_as_something_else_is_text(text: str) -> None:
    assert resolve_plain(text) == text


@pytest.mark.parametrize(
    "text", [".nan", ".NaN", ".inf", "-.INF", "1e999", "-1e999", "9223372036854775808", "9" * 5000, "0x" + "f" * 5000]
)
def test_numbers_that_no_setting_can_hold_are_refused(text: str) -> None:
    with pytest.raises(UnusableNumber):
        resolve_plain(text)


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_an_integer_written_by_python_is_read_back(value: int) -> None:
    assert resolve_plain(str(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_written_by_python_is_read_back(value: float) -> None:
    read = resolve_plain(repr(value))
    assert isinstance(read, float)
    assert read == value
    assert math.copysign(1, read) == math.copysign(1, value)
