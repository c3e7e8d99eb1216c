"""From YAML text to a tree with places, by way of the event stream.

Whatever could make a recipe mean something else than it shows, or cost more than it should, is refused before
anything is built: anchors, aliases, tags, merge keys, duplicate keys, second documents, depth, number of nodes.
Findings that leave the rest readable are collected; the others end the reading. ruamel.yaml's scanner and parser do
the YAML; what a scalar means is decided in `scalars.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from cloudcpt.errors import Diagnostic, Place, RecipeError, Related, error
from cloudcpt.recipe.faults import shown
from cloudcpt.recipe.scalars import UnusableNumber, resolve_plain
from cloudcpt.recipe.source import REFUSED_CHARACTER, RecipeSource
from cloudcpt.recipe.tree import Node
from cloudcpt.recipe.yaml_errors import yaml_error

_NodeEvent = AliasEvent | ScalarEvent | CollectionStartEvent

MAX_DEPTH = 16
MAX_NODES = 1000


def compose(source: RecipeSource) -> tuple[Node | None, list[Diagnostic]]:
    """Read the one document of a recipe.

    Returns:
        The tree, or None when it could not be read to the end; and everything found on the way.
    """
    composer = _Composer(source)
    try:
        return composer.document(), composer.findings
    except RecipeError as stop:
        return None, [*composer.findings, *stop.diagnostics]


class _Composer:
    """Turns events into nodes; holds what was found and how many nodes there were."""

    def __init__(self, source: RecipeSource) -> None:
        self._source = source
        self._lines = source.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._events = self._parse()
        self._nodes = 0
        self.findings: list[Diagnostic] = []

    def _parse(self) -> Iterator[Event]:
        try:
            yield from YAML(typ="safe", pure=True).parse(self._source.text)
        except YAMLError as exc:
            raise RecipeError(yaml_error(exc, self._source)) from exc
        except (ValueError, OverflowError) as exc:  # an escape such as "\U99999999" names no character
            place = Place(path=self._source.path)
            raise RecipeError(error("CPT007", f"this is not YAML: {exc}", place=place)) from exc

    def document(self) -> Node:
        """Read from the start of the stream to its end."""
        next(self._events)  # the start of the stream
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            raise RecipeError(error("CPT006", "the recipe is empty", place=Place(path=self._source.path)))
        assert isinstance(start, DocumentStartEvent), f"a stream starts with a document, not {start}"
        self._check_directives(start)
        event = next(self._events)
        if isinstance(event, ScalarEvent) and not event.value:
            raise RecipeError(error("CPT006", "the recipe is empty", place=self._place(event)))
        if not isinstance(event, MappingStartEvent):
            found = "a list" if isinstance(event, SequenceStartEvent) else "a single value"
            message = f"a recipe is a mapping of keys to values, this file holds {found}"
            hint = "the top-level keys are `run` and `training_config`"
            raise RecipeError(error("CPT009", message, place=self._place(event), hint=hint))
        root = self._node(event, key=None, depth=1)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, StreamEndEvent):
            message = "a recipe is one YAML document, here begins a second"
            self.findings.append(error("CPT015", message, place=self._place(after)))
        return root

    def _check_directives(self, start: DocumentStartEvent) -> None:
        if start.tags or start.version not in (None, (1, 2)):
            message = "a recipe is read as YAML 1.2, without directives"
            self.findings.append(error("CPT026", message, place=Place(path=self._source.path, line=1, column=1)))

    def _node(self, event: Event, *, key: Place | None, depth: int) -> Node:
        assert isinstance(event, _NodeEvent), f"a node was expected, not {event}"
        place = self._place(event)
        self._count(place, depth)
        self._check_extras(event, place)
        if isinstance(event, AliasEvent):
            return Node(value=None, place=place, key=key, is_refused=True)
        if isinstance(event, ScalarEvent):
            return self._scalar(event, place, key)
        if not event.flow_style and key is not None:
            place = key
        value: dict[str, Node] | list[Node]
        value, end = self._mapping(depth) if isinstance(event, MappingStartEvent) else self._list(depth)
        if event.flow_style and end.end_mark.line == event.start_mark.line:
            place = replace(place, length=end.end_mark.column - event.start_mark.column)
        return Node(value=value, place=place, key=key)

    def _count(self, place: Place, depth: int) -> None:
        self._nodes += 1
        if depth > MAX_DEPTH:
            raise RecipeError(error("CPT016", f"a recipe is at most {MAX_DEPTH} levels deep", place=place))
        if self._nodes > MAX_NODES:
            raise RecipeError(error("CPT017", f"a recipe has at most {MAX_NODES:,} keys and values", place=place))

    def _check_extras(self, event: _NodeEvent, place: Place) -> None:
        if event.anchor is not None:
            what = "alias `*" if isinstance(event, AliasEvent) else "anchor `&"
            message = f"{what}{event.anchor}` is not allowed, a recipe says everything where it stands"
            self.findings.append(error("CPT011", message, place=place, hint="write the value out"))
        elif not isinstance(event, AliasEvent) and event.tag is not None:
            message = f"tag {shown(event.tag)} is not allowed, a value's type follows from its spelling"
            self.findings.append(error("CPT013", message, place=place, hint="remove the tag"))

    def _scalar(self, event: ScalarEvent, place: Place, key: Place | None) -> Node:
        written = self._source.text[event.start_mark.index : event.end_mark.index]
        if not written and key is not None:
            place = key  # the parser notices an empty value only at whatever comes next
        value: Any = event.value
        is_refused = self._has_refused_character(value, place)
        if event.style is None:
            try:
                value = resolve_plain(event.value)
            except UnusableNumber as exc:
                self.findings.append(error("CPT018", f"{shown(event.value)} {exc}", place=place))
                is_refused = True
        return Node(value=value, place=place, key=key, source=written, is_refused=is_refused)

    def _has_refused_character(self, value: str, place: Place) -> bool:
        match = REFUSED_CHARACTER.search(value)
        if match:
            message = f"character U+{ord(match[0]):04X}, written as an escape, is not allowed in a recipe"
            self.findings.append(error("CPT005", message, place=place))
        return match is not None

    def _list(self, depth: int) -> tuple[list[Node], Event]:
        """Read the items of a list, and the event that ends it."""
        items = []
        while not isinstance(event := next(self._events), CollectionEndEvent):
            items.append(self._node(event, key=None, depth=depth + 1))
        return items, event

    def _mapping(self, depth: int) -> tuple[dict[str, Node], Event]:
        """Read the entries of a mapping, and the event that ends it."""
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), CollectionEndEvent):
            name = self._key(event, depth)
            key_place = self._place(event)
            value = self._node(next(self._events), key=key_place, depth=depth + 1)
            if name in entries:
                first = Related(place=entries[name].key or key_place, label=f"{shown(name)} is first set here")
                message = f"key {shown(name)} is given twice"
                self.findings.append(error("CPT010", message, place=key_place, related=(first,)))
            elif name is not None:
                entries[name] = value
        return entries, event

    def _key(self, event: Event, depth: int) -> str | None:
        """Read a key; None when the finding already says that this is none."""
        place = self._place(event)
        if not isinstance(event, ScalarEvent):
            self._node(event, key=None, depth=depth + 1)
            if not isinstance(event, AliasEvent):
                self.findings.append(error("CPT019", "a key is a word, not a list or a mapping", place=place))
            return None
        self._count(place, depth)
        self._check_extras(event, place)
        if event.value == "<<" and event.style is None:
            message = "merge key `<<` is not allowed, a recipe says everything where it stands"
            self.findings.append(error("CPT014", message, place=place))
            return None
        return None if self._has_refused_character(event.value, place) else event.value

    def _place(self, event: Event) -> Place:
        start, end = event.start_mark, event.end_mark
        on_one_line = end.line == start.line
        stop = end.column if on_one_line else len(self._lines[start.line].rstrip())
        return Place(
            path=self._source.path,
            line=start.line + 1,
            column=start.column + 1,
            length=max(1, stop - start.column),
        )
