r"""What is certainly a document, told at the speed of the machine; whatever is not certain is for `exact` to judge.

A line that begins with `{"text"`, is one JSON value, has one field and holds a string with something visible in it is a
document. pysimdjson tells that at gigabytes a second, UTF-8, escapes, depth and lone surrogates included. What it
cannot tell, such as a key that is there twice, the number of fields tells.

Making a `str` of a text that is not ASCII costs more than parsing it, so `measure` does without: it counts characters
in the bytes. That needs a line in the plain spelling, `{"text": "..."}` without `\u` and `\/`, of which there is
exactly one for every text; so such a line can also be hashed instead of its text.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from cloudcpt.dataset.fault import VISIBLE

_WIDE: Final = b'{"text": "'
_NARROW: Final = b'{"text":"'
"""How a line begins as Python writes it; as JavaScript and Go do."""

_CLOSING: Final = b'"}\n'
_ASCII: Final = 0x80
_SHOWS: Final = bytes((0x21 <= byte < 0x7F and byte not in b'"\\') or 0xE4 <= byte <= 0xE9 for byte in range(256))
"""For each byte, whether a text that begins with it begins with something visible: ASCII, or U+4000 to U+9FFF."""

_REFUSALS: Final = (ValueError, RuntimeError)
"""What the parser raises: the second for values that are too deep or too large."""

_ONLY_BACKSLASHES: Final = bytes(byte == ord("\\") for byte in range(256))
"""For each byte, whether it is one: a table to translate with."""


class FastLines:
    """Reads lines one after the other with one parser; not for two threads at once."""

    def __init__(self) -> None:
        import stringzilla
        from simdjson import Parser
        from xxhash import xxh3_128_digest

        self._parse: Callable[[bytes], Any] = Parser().parse  # an object, an array, a number ... of JSON
        self._digest = xxh3_128_digest
        self._characters = stringzilla.utf8_count
        self._count = stringzilla.count
        self._find = stringzilla.find
        self._translate = stringzilla.translate
        self._sum = stringzilla.bytesum

    def holds(self, content: bytes, what: bytes) -> bool:
        """Tell whether some bytes stand somewhere in others, ten times as fast as `in`."""
        return bool(self._find(content, what) >= 0)

    def measure(self, line: bytes) -> tuple[int, bytes, str | None] | None:
        """Count the characters of a document and hash it, and return its text if it came to hand.

        None when it is not certainly a document in a usual spelling.

        Args:
            line: With its line end.
        """
        if not line.endswith(_CLOSING):
            return None
        if line.startswith(_WIDE):
            start = len(_WIDE)
        elif line.startswith(_NARROW):
            start = len(_NARROW)
        else:
            return None
        first = line[start]
        if not _SHOWS[first]:
            return None
        try:
            document = self._parse(line)
        except _REFUSALS:
            return None
        if len(document) != 1:
            return None
        if first < _ASCII:  # so the rest is most likely too, and a `str` of it costs little
            text = document["text"]
            return len(text), self._digest(text.encode()), text
        find = self._find
        if find(line, b"\\u") >= 0 or find(line, b"\\/") >= 0:
            return None
        escapes = self._sum(self._translate(line, _ONLY_BACKSLASHES)) - self._count(line, b"\\\\")
        length = self._characters(line) - escapes - start - len(_CLOSING)
        return length, self._digest(line if start == len(_WIDE) else _WIDE + line[start:]), None

    def text(self, content: bytes) -> str | None:
        """Return the text of a line that is certainly a document, in any spelling.

        Args:
            content: Without its line end.
        """
        if not content.startswith(b'{"text"'):
            return None
        try:
            document = self._parse(content)
        except _REFUSALS:
            return None
        if len(document) != 1:
            return None
        text = document["text"]
        return text if isinstance(text, str) and VISIBLE.search(text) else None

    def digest(self, text: str) -> bytes:
        """Hash a text, 16 bytes: the same as `measure` gives for it, however it was spelled there."""
        if text[0].isascii():
            return self._digest(text.encode())
        return self._digest(b'{"text": %b}\n' % json.dumps(text, ensure_ascii=False).encode())
