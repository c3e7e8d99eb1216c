"""The records of `metrics.jsonl`, read without trusting any of them.

What did not fit is counted, never dropped in silence.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from cloudcpt.wire import METRICS_FILE, MlFolder


def read_records(ml: MlFolder) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the records that can be read, and say how many could not."""
    records, unreadable = [], 0
    for line in ml.metrics.read_text("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and _is_whole(row):
            records.append(row)
        else:
            unreadable += 1
    if not unreadable:
        return records, []
    lines = "1 line" if unreadable == 1 else f"{unreadable} lines"
    return records, [f"{lines} of `{METRICS_FILE}` cannot be read"]


_REQUIRED: Mapping[str, Mapping[str, type]] = {
    "run": {},
    "step": {"step": int},
    "eval": {"set": str, "step": int},
    "sample": {"step": int, "prompt": str, "text": str},
    "event": {"step": int, "name": str, "message": str},
    "source": {"channel": str},
    "mix": {"tokens": dict},
    "end": {"outcome": str},
}
"""What a record of each kind must hold to be used; measured numbers that are missing become NaN."""


def _is_whole(row: Mapping[str, Any]) -> bool:
    required = _REQUIRED.get(str(row.get("kind")))
    return required is not None and all(isinstance(row.get(name), kind) for name, kind in required.items())


def last_of(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Pick the last record of a kind; an empty one when there is none."""
    return next((row for row in reversed(records) if row["kind"] == kind), {})


def number(value: object) -> float:
    """Take a number of a record; NaN when it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def measured(value: object) -> float | None:
    """Take a number of a record; None when it is none."""
    return None if math.isnan(found := number(value)) else found
