"""What a plain (unquoted) YAML scalar means: the YAML 1.2 core schema, and nothing of YAML 1.1.

`1e-5` is a number, `no` and `on` are text, `010` is ten, `1_000` and `1:30` are text. NaN, the infinities and
numbers that do not fit are refused here, so no later step has to think of them.

Source: YAML 1.2.2, section 10.3.2, tag resolution of the core schema.
"""

import math
import re

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_MAX_INT = 2**63 - 1
_MAX_DIGITS = 30  # of an integer; Python itself refuses to read more than 4,300 with an exception of its own

PlainValue = None | bool | int | float | str


class UnusableNumber(ValueError):
    """A number that YAML allows and a recipe cannot hold; the text says why."""


def resolve_plain(text: str) -> PlainValue:
    """Give a plain scalar its YAML 1.2 meaning.

    Raises:
        UnusableNumber: NaN, infinite, or too large for 64 bits.
    """
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INT.fullmatch(text):
        return _integer(text, 10)
    if _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
        return _integer(text[2:], 8 if text[1] == "o" else 16)
    if _NOT_FINITE.fullmatch(text):
        raise UnusableNumber("is not a finite number")
    if _FLOAT.fullmatch(text):
        return _float(text)
    return text


def _integer(digits: str, base: int) -> int:
    value = int(digits, base) if len(digits) <= _MAX_DIGITS else _MAX_INT + 1
    if abs(value) > _MAX_INT:
        raise UnusableNumber("does not fit in 64 bits")
    return value


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise UnusableNumber("is too large for a floating-point number")
    return value
