"""What a page or a wrong decoder left in a text: links, tags, entities, mojibake, control characters.

All are as right in a book about HTML as they are wrong in a novel; what is counted is how much of them there is.
"""

import re
import unicodedata
from typing import Final

_LINK: Final = re.compile(r"(?:https?://|ftp://|www\.)[^\s<>\"'{}|\\^`\[\]（）「」，。、；]+")
_TAG: Final = re.compile(
    r"</?(?:a|abbr|article|aside|b|blockquote|body|br|button|center|code|div|em|figure|font|footer|form|h[1-6]|head"
    r"|header|hr|html|i|iframe|img|input|label|li|link|main|meta|nav|ol|option|p|pre|script|section|select|small|span"
    r"|strong|style|sub|sup|table|tbody|td|th|thead|title|tr|u|ul|video)(?:\s[^<>]{0,500})?/?>",
    re.IGNORECASE,
)
_ENTITY: Final = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|copy|reg|trade|hellip|mdash|ndash|[lr][sd]quo|laquo|raquo|#[0-9]{1,7}|#x[0-9a-f]{1,6});",
    re.IGNORECASE,
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_INVISIBLE: Final = re.compile("[\u00ad\u200b\u2060\ufeff]")

_AFTER: Final = "[\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]"
"""The bytes 80 to bf, which follow the first of a character in UTF-8, as Windows-1252 and Latin-1 show them."""

_TWICE_DECODED: Final = re.compile(f"[ÂÃÄÅ]{_AFTER}|[à-ï]{_AFTER}{{2}}|ð{_AFTER}{{3}}")
_LOST: Final = re.compile("\ufffd|锟斤拷|烫烫烫|屯屯屯")


def links(text: str) -> tuple[int, int]:
    """Count the links of a text and their characters."""
    if "://" not in text and "www." not in text.lower():
        return 0, 0
    found = [match[0].rstrip(".,;:!?)'") for match in _LINK.finditer(text)]
    return len(found), sum(map(len, found))


def html(text: str) -> int:
    """Count tags and entities of HTML."""
    tags = sum(1 for _ in _TAG.finditer(text)) if "<" in text else 0
    return tags + (sum(1 for _ in _ENTITY.finditer(text)) if "&" in text else 0)


def mojibake(text: str) -> int:
    """Count places where bytes were decoded wrongly: UTF-8 read as Windows-1252 (`Ã©`), or signs of what is lost."""
    if text.isascii():
        return 0
    twice = sum(1 for match in _TWICE_DECODED.finditer(text) if _is_utf8(match[0]))
    return twice + sum(1 for _ in _LOST.finditer(text))


def unseen(text: str) -> int:
    """Count control characters, and characters that take no room: soft hyphens, zero-width spaces, byte order marks."""
    return sum(1 for _ in _CONTROL.finditer(text)) + (0 if text.isascii() else len(_INVISIBLE.findall(text)))


def is_normal(text: str) -> bool:
    """Tell whether a text is in normal form C, so that one character is written in one way only (UAX #15)."""
    return unicodedata.is_normalized("NFC", text)


def _is_utf8(shown: str) -> bool:
    """Tell whether characters, written back to the bytes that they were, are one character of UTF-8."""
    as_bytes = b"".join(
        sign.encode("latin-1") if sign < "\u0100" else sign.encode("cp1252", "replace") for sign in shown
    )
    try:
        return len(as_bytes.decode("utf-8")) == 1
    except UnicodeDecodeError:
        return False
