"""Where inputs lie in the store: under the hash of their content, so that the same bytes are never two objects.

    <prefix>/objects/<BLAKE3 of the content>/content.jsonl

The key is made of the hash that `validate` saw. A file that has changed since can never take the place of the one that
was validated, and a colleague who uploads the same corpus under another name finds it there. Of a file's own name only
the ending counts: what reads the object may go by it. The name itself is in the plan.
"""

import re
from pathlib import PurePosixPath

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,16}")
_OBJECT = re.compile(r"[0-9a-f]{64}/content(\.[a-z0-9]{1,16})?")


def objects_prefix(prefix: str) -> str:
    """Give the part that the keys of all inputs share, with its `/`."""
    return f"{prefix}/objects/" if prefix else "objects/"


def object_key(prefix: str, *, blake3: str, name: str) -> str:
    """Say where a file goes.

    Args:
        prefix: Of all that cloudcpt writes, without a `/` at its ends; may be empty.
        blake3: Of the content, 64 hex digits.
        name: Of the file; only its ending counts.
    """
    return f"{objects_prefix(prefix)}{blake3}/content{_ending(name)}"


def is_object_key(prefix: str, key: str) -> bool:
    """Tell whether a key is one that `object_key` makes: nothing else under the prefix is ours to touch."""
    above = objects_prefix(prefix)
    return key.startswith(above) and _OBJECT.fullmatch(key, len(above)) is not None


def _ending(name: str) -> str:
    """Give `.jsonl` for `a/b.JSONL`, and nothing for what is no ending of letters and digits."""
    ending = PurePosixPath(name).suffix
    return ending.lower() if _ENDING.fullmatch(ending) else ""
