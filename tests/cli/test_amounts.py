"""Shares and sizes as people write them."""

import click
import pytest

from cloudcpt.cli.amounts import ShareOrCount, ShareType, SizeType


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ShareType(), "1%", 0.01),
        (ShareType(), " 12.5 % ", 0.125),
        (ShareType(), "0.2", 0.2),
        (ShareOrCount(), "7", 7),
        (ShareOrCount(), "7%", 0.07),
        (SizeType(), "500", 500),
        (SizeType(), "10MB", 10**7),
        (SizeType(), "1.5 gib", 3 << 29),
        (SizeType(), "2k", 2000),
    ],
)
def test_what_people_write_is_read(kind: click.ParamType, text: str, value: float) -> None:
    read = kind.convert(text, None, None)
    assert (read, type(read)) == (pytest.approx(value), type(value))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (ShareType(), "0"), (ShareType(), "1"), (ShareType(), "nan"), (ShareType(), "-1%"), (ShareType(), "%"),
        (ShareOrCount(), "0"), (ShareOrCount(), "1.0"), (SizeType(), "0"), (SizeType(), "MB"), (SizeType(), "1 PB"),
        (SizeType(), "-5"), (SizeType(), "0.1"),
    ],
)  # fmt: skip
def test_anything_else_is_refused(kind: click.ParamType, text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)
