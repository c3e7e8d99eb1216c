"""Documents of a held-out set that are trained on as well: what is measured on them says nothing about new text.

    held-out set --check--> digests, each with its first place --expect--> HeldOut
    training data --check--> digests ----------------------------meet----'    '--> how many, and where

Held-out sets are small and are read first, so the training data is still read once, however large it is. Memory is
about 200 bytes per held-out document, up to `MOST_DOCUMENTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cloudcpt.errors import Place

MOST_DOCUMENTS: Final = 1_000_000
"""Of a held-out set; 250 MB. What comes after them is not looked for."""

SeeDocument = Callable[[bytes, str, int, int], None]
"""Told of a document while data is checked: its digest, the file as the user named it, line and byte."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """What a held-out set and training data have in common.

    Args:
        documents: Different texts that are in both; there may be more when `is_complete` is false.
        place: Of the first of them, in the order of the training data, in the held-out set.
        trained_at: Where the training data has it.
        is_complete: Whether every document of the held-out set was looked for.
    """

    documents: int
    place: Place
    trained_at: Place
    is_complete: bool


class HeldOut:
    """The documents of one held-out set, watched for in training data.

    Args:
        most_documents: How many to remember.
    """

    def __init__(self, most_documents: int = MOST_DOCUMENTS) -> None:
        self._most_documents = most_documents
        self._places: dict[bytes, tuple[str, int, int]] = {}
        self._met: set[bytes] = set()
        self._first: tuple[Place, Place] | None = None
        self._is_complete = True

    def expect(self, digest: bytes, shown: str, line: int, byte: int) -> None:
        """Remember a document of the held-out set; of equal ones the first counts."""
        if digest in self._places:
            return
        if len(self._places) >= self._most_documents:
            self._is_complete = False
            return
        self._places[digest] = (shown, line, byte)

    def meet(self, digest: bytes, shown: str, line: int, byte: int) -> None:
        """Look at a document of the training data."""
        found = self._places.get(digest)
        if found is None:
            return
        if self._first is None:
            self._first = _place(found), _place((shown, line, byte))
        self._met.add(digest)

    def overlap(self) -> Overlap | None:
        """Say what both have, after training data was met; None when nothing is in both. Other data may come then."""
        first, met = self._first, len(self._met)
        self._first, self._met = None, set()
        if first is None:
            return None
        return Overlap(documents=met, place=first[0], trained_at=first[1], is_complete=self._is_complete)


def meeting(held_out: list[HeldOut]) -> SeeDocument | None:
    """Make what looks at each document of training data; None when nothing is held out."""
    if len(held_out) < 2:
        return held_out[0].meet if held_out else None

    def see(digest: bytes, shown: str, line: int, byte: int) -> None:
        for one in held_out:
            one.meet(digest, shown, line, byte)

    return see


def _place(found: tuple[str, int, int]) -> Place:
    shown, line, byte = found
    return Place(path=shown, line=line, byte=byte)
