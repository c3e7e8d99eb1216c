r"""Templates that make one text of several columns: `{prompt}\n{response}`.

A name between braces stands for the column's value; `{{` and `}}` for braces, `\n` and `\t` for what they mean to
everyone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from cloudcpt.errors import UsageProblem, error


class MissingValue(Exception):
    """A row has no value that a template can take.

    Args:
        message: What is wrong, as a sentence.
        hint: What to do.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A template, taken apart.

    Args:
        parts: Text, and the name of the column whose value comes after it; None after the last text.
    """

    parts: tuple[tuple[str, str | None], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns that it takes."""
        return tuple(name for _, name in self.parts if name is not None)

    def fill(self, row: Mapping[str, Any]) -> str:
        """Make the text of a row.

        Raises:
            MissingValue: a column is not there, or holds neither text nor a whole number.
        """
        return "".join(text + (_value_of(row, name) if name is not None else "") for text, name in self.parts)


def parse_template(text: str) -> Template:
    r"""Take a template apart.

    Args:
        text: As the user typed it; `\n` in it is a backslash and a letter.

    Raises:
        UsageProblem: the braces do not add up, or it has no column.
    """
    hint = "write it as '{prompt}\\n{response}'; a brace of its own is written twice"
    try:
        parts = list(Formatter().parse(text.replace("\\n", "\n").replace("\\t", "\t")))
    except ValueError as exc:
        raise UsageProblem(error("CPT377", f"the template `{text}` cannot be read: {exc}", hint=hint)) from exc
    if any(spec or conversion or name == "" for _, name, spec, conversion in parts):
        raise UsageProblem(error("CPT377", f"the template `{text}` has more than names between braces", hint=hint))
    template = Template(parts=tuple((literal, name) for literal, name, _, _ in parts))
    if not template.columns:
        raise UsageProblem(error("CPT377", f"the template `{text}` names no column", hint=hint))
    return template


def _value_of(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        raise MissingValue(f"the row has no `{name}`")
    value = row[name]
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    hint = "a template takes texts and whole numbers; leave it out for conversations, whose turns are joined"
    raise MissingValue(f"`{name}` is {type(value).__name__}, not text", hint)
