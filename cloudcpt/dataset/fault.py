"""Why a line is not a document, as one exception, and the words that its message and hint are made of."""

import re
from collections.abc import Collection
from typing import Final

SHOWN_CHARACTERS: Final = 40
"""A field name in a message is cut after so many characters, and no more are underlined."""

INVISIBLE: Final = (
    r"\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
"""Inside a regular expression's brackets: white space, controls, and characters that are ignorable by default.

Source: Unicode 16.0, White_Space, General_Category=Cc and Default_Ignorable_Code_Point (DerivedCoreProperties.txt).
"""

VISIBLE: Final = re.compile(f"[^{INVISIBLE}]")
"""Finds a character that a reader can see; a text without one is blank."""

_CHAT_FIELDS: Final = re.compile(
    "prompts?|responses?|completion|messages?|conversations?|instructions?|inputs?|outputs?|history|system|"
    "questions?|answers?|query|chosen|rejected|user|assistant"
)
_MEDIA_FIELDS: Final = re.compile("(?:images?|videos?|audios?)(?:_[a-z]+)?|pixel_values")
_TEXT_FIELDS: Final = ("text", "content", "contents", "body", "document", "doc", "raw", "raw_content", "passage")


class BadLine(Exception):
    """A line is not a document.

    Args:
        code: Which rule it breaks.
        message: One sentence for a person.
        line: The line, decoded at least up to `at`.
        at: Index into `line`, in characters, where the reader should look.
        length: Characters from there that are meant.
        hint: What to do, when we know.

    Attributes:
        column: 1-based, in characters.
        byte: 0-based, from the start of the line.
    """

    def __init__(
        self, code: str, message: str, *, line: str, at: int, length: int = 1, hint: str | None = None
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.column = at + 1
        self.length = min(max(length, 1), SHOWN_CHARACTERS)
        self.byte = len(line[:at].encode())
        self.hint = hint


def show(name: str) -> str:
    """Write a field name or a character from the data so that it can neither break nor flood a terminal line."""
    cut = name if len(name) <= SHOWN_CHARACTERS else name[:SHOWN_CHARACTERS] + "…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else _escape(char) for char in cut)


def _escape(char: str) -> str:
    return f"U+{ord(char):04X}"


def show_all(names: Collection[str], limit: int = 4) -> str:
    """Write some field names, each in backticks."""
    shown = ", ".join(f"`{show(name)}`" for name in list(names)[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def field_hint(names: Collection[str]) -> str:
    """Say what to do about fields other than `text`, by what they seem to be."""
    lowered = {name.strip().lower(): name for name in names}
    if any(map(_MEDIA_FIELDS.fullmatch, lowered)):
        return "continued pretraining is text-only: leave images, video and audio out"
    if any(map(_CHAT_FIELDS.fullmatch, lowered)):
        return (
            "these are fields of fine-tuning data: continued pretraining takes plain documents, so write the whole "
            "conversation as one text in `text`, or fine-tune instead"
        )
    for candidate in _TEXT_FIELDS:
        if lowered.get(candidate, "text") != "text":
            return f"rename `{show(lowered[candidate])}` to `text` if it holds the document, and remove other fields"
    return "keep the document in `text` and remove every other field; nothing else is trained"
