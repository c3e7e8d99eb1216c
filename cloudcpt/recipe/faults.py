"""A fault: one finding about a recipe, addressed by keys instead of by line.

Everything that judges values (types, conditions, rules, advice) works on plain data and yields faults; `load.py`
knows the file and turns each into a diagnostic with a place.
"""

from dataclasses import dataclass
from typing import Literal

from cloudcpt.errors import Severity

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the top of a recipe, such as `("training_config", "trainer", "max_steps")`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One finding about the value, or the key, at `loc`.

    Args:
        code: `CPT` and three digits.
        message: One sentence, literals in backticks, no full stop.
        loc: Where; a key that does not exist points at its nearest existing ancestor.
        on: Underline the value, or the key in front of it.
        severity: Errors refuse the recipe.
        hint: What to do, when we know.
        related: Other keys that matter, each with what to say there.
    """

    code: str
    message: str
    loc: KeyPath
    on: Literal["value", "key"] = "value"
    severity: Severity = Severity.ERROR
    hint: str | None = None
    related: tuple[tuple[KeyPath, str], ...] = ()


def dotted(loc: KeyPath) -> str:
    """Write a key path the way people say it: `data_mixing.sources[0].name`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: object, limit: int = 60) -> str:
    """Quote a value for a message: YAML's spelling, escaped, cut to `limit` characters."""
    if isinstance(value, dict | list | tuple):
        return f"a {'mapping' if isinstance(value, dict) else 'list'}"
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return f"`{text if len(text) <= limit else text[: limit - 3] + '...'}`"


def listed(values: tuple[object, ...], last: str = "or") -> str:
    """Enumerate literals in a sentence: `2`, `4` or `8`."""
    words = [shown(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
