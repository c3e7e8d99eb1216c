"""Drawing documents: by a hash that depends on a seed, so that a draw is fair, can be repeated, and needs no order.

A document has a rank, 64 bits that are as good as random. The documents with the smallest ranks are the draw; how far
it goes, a number of documents, an amount of bytes, or a share, is a limit on the ranks.
"""

from array import array
from collections.abc import Callable
from typing import Final

RANKS: Final = 1 << 64
"""How many ranks there are: a share is so much of them."""

_MIX: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""Source: splitmix64, Sebastiano Vigna, 2015 (public domain)."""


def ranker(seed: int) -> Callable[[bytes], int]:
    """Make the function that ranks what is to be drawn from, given as bytes."""
    from blake3 import blake3

    key = blake3(f"cloudcpt draw {seed}".encode()).digest()

    def rank(what: bytes) -> int:
        return int.from_bytes(blake3(what, key=key).digest(length=8), "little")

    return rank


def stirred(rank: int) -> int:
    """Turn a rank into another one, each into a different one.

    The smallest rank of a group is small; stirred, it is as likely to be drawn as that of a single document.
    """
    rank ^= rank >> 30
    rank = rank * _MIX[0] % RANKS
    rank ^= rank >> 27
    rank = rank * _MIX[1] % RANKS
    return rank ^ (rank >> 31)


class Share:
    """Draws each document with the same chance, whatever else comes by.

    Args:
        share: The chance, between 0 and 1.

    Attributes:
        limit: Documents of smaller ranks are drawn.
    """

    def __init__(self, share: float) -> None:
        self.limit = int(share * RANKS)

    def offer(self, rank: int, _weight: int) -> bool:
        """Let a document come by; tell whether it is drawn."""
        return rank < self.limit

    def settle(self) -> None:
        """Do nothing: the limit is known from the beginning."""


class Draw:
    """Finds, while documents come by, below which rank they are drawn.

    What is kept are the ranks and weights of about twice as many documents as are drawn: 16 bytes for each.

    Args:
        most: How much to draw: the weights of what is drawn add up to this at most.

    Attributes:
        limit: No document of this rank or a higher one will be in the draw; falls as documents come by.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ranks = array("Q")
        self._weights = array("Q")
        self._settled = 0
        self.limit = RANKS

    def offer(self, rank: int, weight: int) -> bool:
        """Let a document come by; tell whether it may be in the draw, as far as one can know by now."""
        if rank >= self.limit:
            return False
        self._ranks.append(rank)
        self._weights.append(weight)
        if len(self._ranks) > 2 * self._settled + 1024:
            self.settle()
        return True

    def settle(self) -> None:
        """Lower the limit to where it belongs for all documents so far, and forget those that are out of the draw."""
        drawn, total = 0, 0
        order = sorted(range(len(self._ranks)), key=self._ranks.__getitem__)
        for index in order:
            total += self._weights[index]
            if total > self._most:
                self.limit = self._ranks[index]
                break
            drawn += 1
        kept = [index for index in order[:drawn] if self._ranks[index] < self.limit]
        self._ranks = array("Q", (self._ranks[index] for index in kept))
        self._weights = array("Q", (self._weights[index] for index in kept))
        self._settled = len(kept)
