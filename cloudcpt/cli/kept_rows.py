"""Tokenised rows that the jobs on this machine share: what `cloudcpt clean` says of them, and how it removes them."""

import time
from collections.abc import Iterable
from pathlib import Path

from cloudcpt.cli import render
from cloudcpt.cli.ask import is_wanted
from cloudcpt.cli.job_view import age
from cloudcpt.cli.quantities import plural, size
from cloudcpt.dataset.row_cache import KeptRows, RowCache


def say_kept_rows(root: Path) -> None:
    """Mention the rows that are kept, if there are any."""
    if kept := RowCache(root).kept():
        amount = f"{plural(len(kept), 'set')} of tokenised rows, {size(_bytes_of(kept))}"
        render.err().print(f"kept for later jobs: {amount}, in {root}; `cloudcpt clean --rows` removes them")


def clean_rows(root: Path, *, older_than_s: float, dry_run: bool, yes: bool, output: str) -> None:
    """Remove the rows that were not used for a while.

    Args:
        root: Where they are.
        older_than_s: Not used for so many seconds.
        dry_run: Only say what would be removed.
        yes: Do not ask.
        output: `text` or `json`.
    """
    cache = RowCache(root)
    old = [one for one in cache.kept() if one.used_at <= time.time() - older_than_s]
    if output == "text" and old:
        rows = [[one.key[:10], age(one.used_at), size(one.size_bytes)] for one in old]
        render.show_table(["rows", "last used", "size"], rows, right=["size"])
    is_done = not dry_run and (not old or is_wanted(f"remove {plural(len(old), 'set')} of rows?", yes=yes))
    if is_done:
        for one in old:
            cache.remove(one.key)
    if output == "json":
        facts = [{"key": one.key, "size_bytes": one.size_bytes, "used_at": one.used_at} for one in old]
        render.print_json({"removed": is_done, "looked_at": str(root), "rows": facts})
        return
    words = "nothing to remove"
    if old:
        words = f"{'removed' if is_done else 'to remove'}: {plural(len(old), 'set')} of rows, {size(_bytes_of(old))}"
    render.err().print(f"{words}; looked at {root}")


def _bytes_of(kept: Iterable[KeptRows]) -> int:
    return sum(one.size_bytes for one in kept)
