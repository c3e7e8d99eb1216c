"""A recipe as a tree that remembers where everything stood in the file."""

from dataclasses import dataclass
from typing import Any

from cloudcpt.errors import Place
from cloudcpt.recipe.faults import KeyPath
from cloudcpt.recipe.scalars import PlainValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One value of the file.

    Args:
        value: A scalar, a mapping by key, or a list.
        place: Of the value; of the key before it for what has no place of its own: a block mapping or list, nothing.
        key: Of the key in front of the value; None at the top and inside lists.
        source: A scalar as written, quotes included.
        is_refused: The syntax check already said what is wrong here, so a complaint about its type would be noise.
    """

    value: "PlainValue | dict[str, Node] | list[Node]"
    place: Place
    key: Place | None = None
    source: str = ""
    is_refused: bool = False

    def plain(self) -> Any:  # whatever the file holds; the model decides what it may be
        """Strip the places off: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def nearest(self, loc: KeyPath) -> "tuple[Node, int]":
        """Walk along keys as far as they exist.

        Returns:
            The last node reached, and how many keys of `loc` led there.
        """
        node = self
        for depth, part in enumerate(loc):
            child = node.child(part)
            if child is None:
                return node, depth
            node = child
        return node, len(loc)

    def child(self, part: str | int) -> "Node | None":
        """Find the value under a key, or at a position of a list."""
        if isinstance(self.value, dict) and isinstance(part, str):
            return self.value.get(part)
        if isinstance(self.value, list) and isinstance(part, int) and part < len(self.value):
            return self.value[part]
        return None
