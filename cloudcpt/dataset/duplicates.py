"""Which documents repeat an earlier one, exactly: a set of 128-bit hashes in one flat table.

An open-addressing table of two 64-bit words per slot, at most two thirds full, doubled when it is fuller: 24 to 48 MB
per million documents (while it doubles, the old half as well), against about 120 MB for a `set` of `bytes`.
Two different documents share 128 bits of BLAKE3 with a chance of 10^-20 among a billion documents.

The table stops growing at 1 GiB, which is 44 million different documents. Later ones are still compared with these,
but no longer remembered, so the count is then a lower bound and `is_complete` false.
"""

from array import array
from typing import Final

_FIRST_SLOTS: Final = 1 << 12
_MOST_SLOTS: Final = 1 << 26


class Duplicates:
    """Remembers the documents seen so far, by hash.

    Args:
        most_slots: Where the table stops growing; a power of two, 16 bytes each.

    Attributes:
        documents: Different documents remembered.
        is_complete: False once a document could not be remembered.
    """

    def __init__(self, most_slots: int = _MOST_SLOTS) -> None:
        self._most_slots = most_slots
        self._slots = min(_FIRST_SLOTS, most_slots)
        self._table = array("Q", bytes(16 * self._slots))
        self.documents = 0
        self.is_complete = True

    def is_repeated(self, digest: bytes) -> bool:
        """Tell whether a document came before, and remember it.

        Args:
            digest: Its hash, 16 bytes.
        """
        high, low = int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
        low |= not high and not low  # an empty slot is 0, 0
        slot = self._slot_of(high, low)
        if self._table[2 * slot] or self._table[2 * slot + 1]:
            return True
        if 3 * self.documents >= 2 * self._slots:
            self.is_complete = False
            return False
        self._table[2 * slot], self._table[2 * slot + 1] = high, low
        self.documents += 1
        if 3 * self.documents >= 2 * self._slots and self._slots < self._most_slots:
            self._double()
        return False

    def _slot_of(self, high: int, low: int) -> int:
        """Find the slot that holds the hash, or the empty one where it belongs."""
        table, mask = self._table, self._slots - 1
        slot = low & mask
        while (found := table[2 * slot]) != high or table[2 * slot + 1] != low:
            if not found and not table[2 * slot + 1]:
                break
            slot = (slot + 1) & mask
        return slot

    def _double(self) -> None:
        old = self._table
        self._slots *= 2
        self._table = array("Q", bytes(16 * self._slots))
        for at in range(0, len(old), 2):
            high, low = old[at], old[at + 1]
            if high or low:
                slot = self._slot_of(high, low)
                self._table[2 * slot], self._table[2 * slot + 1] = high, low
