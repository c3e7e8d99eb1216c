"""Fine-tuning data as plain documents: rows of the usual shapes become one text each.

    instruction, input, output            instruction, input and output, a blank line between; so `prompt`, `response`
    + system, history [[q, a], ...]       before them, in order
    messages [{role, content}, ...]       `User: ...`, `Assistant: ...`, a blank line between; so `conversations` of
                                          {from, value}

Source: the formats of Alpaca, ShareGPT, OpenAI's and Hugging Face's chat data, as their pages had them 2026-11.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cloudcpt.corpus.template import MissingValue, Template

_QUESTIONS: Final = ("instruction", "prompt", "query", "question")
_ANSWERS: Final = ("output", "response", "completion", "answer")
_BEFORE: Final = ("system", "history")
_CHATS: Final = ("messages", "conversations", "conversation")
_ROLES: Final = {
    "human": "User", "user": "User", "gpt": "Assistant", "assistant": "Assistant", "model": "Assistant",
    "chatgpt": "Assistant", "bing": "Assistant", "bard": "Assistant", "system": "System", "tool": "Tool",
    "function": "Tool", "observation": "Tool", "developer": "System",
}  # fmt: skip
_TURN: Final = ("role", "content")
"""What a template may name that is to be taken for each turn of a conversation."""


def shape_of(columns: Sequence[str]) -> tuple[str, ...]:
    """Find the columns of fine-tuning data, in the order in which they are read; empty when these are others."""
    for name in _CHATS:
        if name in columns:
            return (name,)
    question = next((name for name in _QUESTIONS if name in columns), None)
    answer = next((name for name in _ANSWERS if name in columns), None)
    if question is None or answer is None:
        return ()
    between = ("input",) if "input" in columns and question == "instruction" else ()
    return (*(name for name in _BEFORE if name in columns), question, *between, answer)


def is_for_turns(template: Template) -> bool:
    """Tell whether a template is for each turn of a conversation, such as `{role}: {content}`."""
    return set(template.columns) <= set(_TURN)


def conversation_of(row: Mapping[str, Any], columns: Sequence[str], template: Template | None) -> str:
    """Make one text of a row of fine-tuning data.

    Args:
        row: Of the shape that `shape_of` found.
        columns: What it found.
        template: For each turn of a conversation; the role, a colon and the content when None.

    Raises:
        MissingValue: a value is not there or is not text.
    """
    parts = [part for name in columns for part in _parts(row, name, template)]
    return ("" if template else "\n\n").join(part for part in parts if part)


def _parts(row: Mapping[str, Any], name: str, template: Template | None) -> Iterator[str]:
    value = row.get(name)
    if name in _CHATS:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise MissingValue(f"`{name}` is {_kind(value)}, not a list of turns")
        for turn in value:
            yield _turn(turn, name, template)
    elif name == "history":
        for turns in value or ():
            yield from (_text(text, name) for text in turns)
    elif value is not None:
        yield _text(value, name)
    elif name in _QUESTIONS or name in _ANSWERS:
        raise MissingValue(f"the row has no `{name}`")


def _turn(turn: Any, name: str, template: Template | None) -> str:
    """Write one turn: `User: ...`."""
    if not isinstance(turn, Mapping):
        raise MissingValue(f"a turn of `{name}` is {_kind(turn)}, not an object")
    role = turn.get("role", turn.get("from"))
    content = turn.get("content", turn.get("value"))
    if not isinstance(role, str):
        raise MissingValue(f"a turn of `{name}` has no `role` and no `from`")
    shown = _ROLES.get(role.lower(), role)
    text = _content(content, name)
    if template:
        return template.fill({"role": shown, "content": text})
    return f"{shown}: {text}" if text else ""


def _content(content: Any, name: str) -> str:
    """Take the text of a turn, which may come in parts."""
    if not isinstance(content, Sequence) or isinstance(content, str):
        return "" if content is None else _text(content, name)
    parts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type", "text") != "text" or "text" not in part:
            kind = part.get("type") if isinstance(part, Mapping) else _kind(part)
            hint = "continued pretraining is text-only: leave images, video and audio out"
            raise MissingValue(f"a turn of `{name}` holds `{kind}`, not only text", hint)
        parts.append(_text(part["text"], name))
    return "".join(parts)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise MissingValue(f"`{name}` holds {_kind(value)}, not text")
    return value


def _kind(value: Any) -> str:
    return {type(None): "nothing", list: "a list", dict: "an object", str: "a text", bool: "true or false"}.get(
        type(value), "a number"
    )
