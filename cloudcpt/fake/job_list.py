"""ListTrainingJobs: filters, order, pages and the rate at which nobody may call it.

The page is cut before the status filter looks at it, as the service's model says. Two calls per second and account is
a limit that cannot be raised. Source: botocore, sagemaker 2017-07-24, ListTrainingJobs; AWS general reference, quotas.
"""

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.training_job import TrainingJob

CALLS_PER_S = 2.0
DEFAULT_RESULTS = 10


class Rate:
    """A bucket of calls that fills as the fake's clock goes on.

    Args:
        per_s: Calls per second, and how many at once; 0.0 for no limit.
    """

    def __init__(self, per_s: float = 0.0) -> None:
        self._lock = threading.Lock()
        self.limit(per_s)

    def limit(self, per_s: float) -> None:
        """Allow so many calls per second from now on."""
        self._per_s, self._left, self._at = per_s, per_s, 0.0

    def take(self, now: float) -> None:
        """Count a call.

        Raises:
            Refusal: there were too many (`ThrottlingException`).
        """
        with self._lock:
            self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
            self._at = now
            if self._per_s and self._left < 1.0:
                raise Refusal(status=400, code="ThrottlingException", message="Rate exceeded")
            self._left -= 1.0


def list_jobs(jobs: Iterable[TrainingJob], parameters: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Word the answer to ListTrainingJobs."""
    rows = [job.summary(now) for job in jobs]
    rows = [row for row in rows if _is_wanted(row, parameters)]
    field = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}.get(parameters.get("SortBy", ""), "CreationTime")
    rows.sort(key=lambda row: (row[field], row["TrainingJobName"]))
    # The model contradicts itself: SortOrder says Ascending, the operation's own text says newest first.
    if parameters.get("SortOrder", "Descending") == "Descending":
        rows.reverse()
    start, most = int(parameters.get("NextToken", 0)), int(parameters.get("MaxResults", DEFAULT_RESULTS))
    page = rows[start : start + most]
    status = parameters.get("StatusEquals")
    answer: dict[str, Any] = {
        "TrainingJobSummaries": [row for row in page if status in (None, row["TrainingJobStatus"])]
    }
    return answer | ({"NextToken": str(start + most)} if start + most < len(rows) else {})


def _is_wanted(row: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    if parameters.get("NameContains", "").lower() not in row["TrainingJobName"].lower():
        return False
    for field in ("CreationTime", "LastModifiedTime"):
        if row[field] < parameters.get(f"{field}After", float("-inf")):
            return False
        if row[field] > parameters.get(f"{field}Before", float("inf")):
            return False
    return True
