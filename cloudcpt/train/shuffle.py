"""A permutation without memory: where element i of a shuffled sequence lies, computed from i alone.

A Feistel network over keyed BLAKE2b permutes the next larger power of four; positions outside the sequence are sent
through it again until they fall inside (cycle walking). Nothing is stored, any position can be asked for first, and
the result depends on integers and one standardised hash only: the same on every platform and with every version of
Python and numpy, which numpy's own generators do not promise (NEP 19). Costs about 20 microseconds an element.

Source: Black and Rogaway, "Ciphers with arbitrary finite domains", 2002 (cycle walking); Luby and Rackoff, 1988.
"""

from functools import lru_cache
from hashlib import blake2b

_ROUNDS = 8
"""Four make a strong permutation in the limit; small domains need a few more to look uniform."""


@lru_cache(maxsize=64)
def shuffle_key(*parts: object) -> bytes:
    """Derive the key of one permutation from what names it, such as seed, source and epoch."""
    return blake2b("/".join(str(part) for part in parts).encode(), digest_size=32).digest()


def shuffled(index: int, size: int, key: bytes) -> int:
    """Return element `index` of the permutation of `range(size)` that `key` names."""
    assert 0 <= index < size, f"index {index} is outside a sequence of {size}"
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    position = _feistel(index, half_bits, key)
    while position >= size:
        position = _feistel(position, half_bits, key)
    return position


def _feistel(value: int, half_bits: int, key: bytes) -> int:
    mask = (1 << half_bits) - 1
    left, right = value >> half_bits, value & mask
    for number in range(_ROUNDS):
        digest = blake2b(number.to_bytes(1, "big") + right.to_bytes(8, "big"), key=key, digest_size=8).digest()
        left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
    return left << half_bits | right
