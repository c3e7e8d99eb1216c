"""Where inputs lie in the store: under the hash of their content, so that the same bytes are never two objects.

    <prefix>/objects/<BLAKE3 of the content>/<clean name>

The key is made of the hash that `validate` saw. A file that has changed since can never take the place of the one that
was validated, and a colleague who uploads the same corpus finds it there.
"""

import re
from pathlib import PurePosixPath

MAX_NAME = 100
"""Characters of a clean name. Keys may have 1,024 bytes, of which the user's prefix takes its share."""

_UNCLEAN = re.compile(r"[^A-Za-z0-9._-]+")
_OBJECT = re.compile(r"[0-9a-f]{64}/[A-Za-z0-9_][A-Za-z0-9._-]*")


def objects_prefix(prefix: str) -> str:
    """Give the part that the keys of all inputs share, with its `/`."""
    return f"{prefix}/objects/" if prefix else "objects/"


def object_key(prefix: str, *, blake3: str, name: str) -> str:
    """Say where a file goes.

    Args:
        prefix: Of all that cloudcpt writes, without a `/` at its ends; may be empty.
        blake3: Of the content, 64 hex digits.
        name: Of the file; only its last part counts, and only harmless characters of that.
    """
    return f"{objects_prefix(prefix)}{blake3}/{clean_name(name)}"


def is_object_key(prefix: str, key: str) -> bool:
    """Tell whether a key is one that `object_key` makes: nothing else under the prefix is ours to touch."""
    above = objects_prefix(prefix)
    return key.startswith(above) and _OBJECT.fullmatch(key, len(above)) is not None


def clean_name(name: str) -> str:
    """Reduce a file's name to letters, digits, `.`, `_` and `-`, keeping how it ends.

    The name is for people: it says what an object was, and never decides what it is.
    """
    clean = _UNCLEAN.sub("-", PurePosixPath(name).name).lstrip(".-")
    return clean[-MAX_NAME:].lstrip(".-") or "file"
