"""CloudWatch Logs as a tailing client meets it: small pages, and pages that are empty although more is to come.

The events themselves are moto's. Source: CloudWatch Logs API reference, GetLogEvents: a page may be empty before the
end, and the end is the same forward token twice.
"""

import json
import threading
from dataclasses import replace

from cloudcpt.fake.front import Refusal
from cloudcpt.fake.http import Answer, Request
from cloudcpt.fake.json_protocol import json_answer, read_parameters, target_operation
from cloudcpt.fake.passing import JsonPassing, Moto

_AFTER_EMPTY = "after-empty/"
"""Before the real token in one that an empty page gave."""


class Logs:
    """The CloudWatch Logs service.

    Args:
        moto: Keeps the events.
    """

    name = "cloudwatch_logs"

    def __init__(self, moto: Moto) -> None:
        self.page_size = 10_000
        """Most events of one GetLogEvents answer; the real service also stops at 1 MB."""
        self.empty_every = 0
        """Every so many GetLogEvents answers are empty; 0 for none."""
        self._passing = JsonPassing(self.name, "logs", moto)
        self._lock = threading.Lock()
        self._reads = 0

    def operation(self, head: Request) -> str:
        """Read the target header."""
        return self._passing.operation(head)

    def action(self, operation: str) -> str:
        """Name the action, which is called as the operation is."""
        return self._passing.action(operation)

    def answer(self, request: Request) -> Answer:
        """Ask moto, page by page."""
        if target_operation(request) != "GetLogEvents":
            return self._passing.answer(request)
        parameters = read_parameters(request)
        token = parameters.pop("nextToken", "").removeprefix(_AFTER_EMPTY)
        if self._is_empty_turn():
            return json_answer(
                {"events": [], "nextForwardToken": _AFTER_EMPTY + token, "nextBackwardToken": _AFTER_EMPTY + token}
            )
        parameters["limit"] = min(parameters.get("limit", self.page_size), self.page_size)
        if token:
            parameters["nextToken"] = token
        return self._passing.answer(replace(request, body=json.dumps(parameters).encode()))

    def refuse(self, refusal: Refusal) -> Answer:
        """Word a refusal as JSON."""
        return self._passing.refuse(refusal)

    def reset(self) -> None:
        """Give whole pages again."""
        self.page_size, self.empty_every, self._reads = 10_000, 0, 0

    def _is_empty_turn(self) -> bool:
        with self._lock:
            self._reads += 1
            return self.empty_every > 0 and self._reads % self.empty_every == 0
