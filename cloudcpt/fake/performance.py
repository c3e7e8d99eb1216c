"""How a job is played: the port that a training job looks through, and the player of scripts behind it."""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Protocol

from cloudcpt.fake.backstage import Backstage, LogStream
from cloudcpt.fake.job_request import JobRequest, instance_types
from cloudcpt.fake.results import upload_results
from cloudcpt.fake.script import INTERNAL_ERROR, NO_CAPACITY, JobScript, ScriptedLine, limits_of
from cloudcpt.fake.timeline import FINAL, Phase, phases_of
from cloudcpt.wire import MlFolder


class Performance(Protocol):
    """A job being played, by script or for real."""

    billable_share: float
    """Billable time per training time."""

    unavailable: frozenset[str]
    """Instance types without capacity."""

    def phases(self, now: float) -> tuple[Phase, ...]:
        """Give the phases that have begun by now."""

    def failure_reason(self) -> str:
        """Word why the job failed; asked only when it did."""

    def stop(self, now: float) -> None:
        """Ask the job to stop."""

    def settle(self, now: float) -> None:
        """Let everything happen that is due by now."""

    def close(self) -> None:
        """End whatever runs."""


class ScriptedPerformance:
    """A job that follows a script.

    Args:
        script: What happens.
        request: Of the job.
        created_at: When it was created.
        back: Where its log and its results go.
    """

    def __init__(self, script: JobScript, request: JobRequest, created_at: float, back: Backstage) -> None:
        self.billable_share = script.billable_share
        self.unavailable = script.unavailable
        has_capacity = any(one not in script.unavailable for one in instance_types(request))
        self._script = script if has_capacity else replace(script, failure=NO_CAPACITY)
        self._request = request
        self._created_at = created_at
        self._back = back
        self._stop_at = inf
        self._streams: dict[int, LogStream] = {}
        self._lines_shown = 0
        self._has_results = False

    def phases(self, now: float) -> tuple[Phase, ...]:
        """Give the phases that have begun by now."""
        return tuple(phase for phase in self._all() if phase.start <= now)

    def failure_reason(self) -> str:
        """Word what the script says, or that too many attempts broke."""
        return (self._script.failure or INTERNAL_ERROR).reason

    def stop(self, now: float) -> None:
        """Cut the script short."""
        self._stop_at = min(self._stop_at, now)

    def settle(self, now: float) -> None:
        """Publish the lines that are due, and the results once they are uploaded."""
        phases = self._all()
        self._publish(phases, now)
        uploading = [phase for phase in phases if phase.secondary == "Uploading"]
        if uploading and uploading[-1].end <= now and not self._has_results:
            self._has_results = True
            self._upload()

    def close(self) -> None:
        """Nothing runs."""

    def _all(self) -> tuple[Phase, ...]:
        return phases_of(self._script, limits_of(self._request), created_at=self._created_at, stop_at=self._stop_at)

    def _publish(self, phases: tuple[Phase, ...], now: float) -> None:
        trained = [phase for phase in phases if phase.secondary == "Training"]
        if not trained:
            return
        start = trained[0].start
        end = next(phase.start for phase in phases if phase.secondary in ("Uploading", *FINAL))
        lines = [line for line in sorted(self._script.log, key=_written) if start + line.after_s <= end]
        due = [line for line in lines if start + line.after_s + self._script.log_delay_s <= now]
        fresh, self._lines_shown = due[self._lines_shown :], len(due)
        for host in sorted({line.host for line in fresh}):
            stream = self._streams.get(host)
            if stream is None:
                name = self._request["TrainingJobName"]
                stream = self._streams[host] = LogStream(self._back.logs, name, host=host, started_at=start)
            stream.write([(start + line.after_s, line.text) for line in fresh if line.host == host])

    def _upload(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            ml = MlFolder(Path(scratch))
            _write(ml.model, self._script.model)
            _write(ml.output / "data", self._script.output)
            upload_results(self._back, self._request, ml, with_model=True)


def _written(line: ScriptedLine) -> float:
    return line.after_s


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
