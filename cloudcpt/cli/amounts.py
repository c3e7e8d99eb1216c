"""How people write a share or an amount of bytes on the command line: `1%`, `0.01`, `10MB`, `4GiB`."""

import re
from typing import Any, Final

import click

_SIZE: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[kmgt]?)(?P<binary>i?)b?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class ShareType(click.ParamType[float]):
    """A share of something, more than nothing and less than all of it."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read `1%` or `0.01`."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"`{value}` is no share, write one such as `1%`", param, ctx)
        if not 0 < share < 1:
            self.fail(f"`{value}` is not between 0 and 100 %", param, ctx)
        return share


class ShareOrCount(click.ParamType[float | int]):
    """A share of the documents, or how many."""

    name = "share|n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | int:
        """Read `1%` or `0.01` as a share, and a whole number as a number of documents."""
        text = str(value).strip()
        if not text.isdecimal():
            return ShareType().convert(value, param, ctx)
        if not int(text):
            self.fail("`0` sets nothing aside", param, ctx)
        return int(text)


class SizeType(click.ParamType[int]):
    """An amount of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read `10MB` as 10^7 bytes, `10MiB` as 10 times 2^20, `500` as 500."""
        match = _SIZE.fullmatch(str(value).strip())
        size = 0
        if match:
            base = 1024 if match["binary"] else 1000
            size = round(float(match["number"]) * base ** _POWERS[match["unit"].lower()])
        if not size:
            self.fail(f"`{value}` is no amount of data, write one such as `10MB`", param, ctx)
        return size
