"""A job that really runs: channels come down, a process trains on every host, results go up, statuses follow.

One thread per job goes through the phases as they happen. The clock of the fake only stamps them and measures the run
time limit; the process itself takes the real time that it takes.
"""

import shutil
import tempfile
import threading
import traceback
from dataclasses import replace
from math import inf
from pathlib import Path

from cloudcpt.fake.backstage import Backstage, LogStream
from cloudcpt.fake.channels import ChannelFailure, download_channels
from cloudcpt.fake.checkpoint_copy import CheckpointCopy
from cloudcpt.fake.clock import Clock
from cloudcpt.fake.container import Container, Trainer, host_names, lay_out
from cloudcpt.fake.job_request import JobRequest, instance_count
from cloudcpt.fake.results import upload_results
from cloudcpt.fake.script import ScriptedFailure, limits_of
from cloudcpt.fake.timeline import FINAL, Phase
from cloudcpt.wire import MlFolder

_POLL_S = 0.05


class Execution:
    """A job played by a process.

    Args:
        trainer: What runs.
        request: Of the job.
        arn: Of the job.
        clock: Stamps the phases.
        back: The service's access to S3 and the logs.
    """

    billable_share = 1.0
    unavailable: frozenset[str] = frozenset()

    def __init__(self, trainer: Trainer, request: JobRequest, arn: str, clock: Clock, back: Backstage) -> None:
        self._trainer = trainer
        self._request = request
        self._arn = arn
        self._clock = clock
        self._back = back
        self._scratch = Path(tempfile.mkdtemp(prefix="cloudcpt-fake-"))
        self._hosts = host_names(instance_count(request))
        self._lock = threading.Lock()
        self._phases: list[Phase] = []
        self._trained_s = 0.0
        self._reason = ""
        self._stop = threading.Event()
        self._interrupt = threading.Event()
        self._closing = threading.Event()
        self._enter("Starting")
        self._thread = threading.Thread(target=self._perform, daemon=True)
        self._thread.start()

    def phases(self, now: float) -> tuple[Phase, ...]:
        """Give the phases so far."""
        with self._lock:
            return tuple(phase for phase in self._phases if phase.start <= now)

    def failure_reason(self) -> str:
        """Word why the job failed."""
        return self._reason

    def stop(self, now: float) -> None:  # noqa: ARG002 - the port's signature; a process stops when it does
        """Send SIGTERM, then SIGKILL when the grace is over."""
        self._stop.set()

    def interrupt(self) -> None:
        """Take the spot instances away: everything begins again."""
        self._interrupt.set()

    def settle(self, now: float) -> None:
        """Do nothing: things happen by themselves."""

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the job, and tell whether it has come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Kill the processes and remove their folders."""
        self._closing.set()
        self._thread.join()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _perform(self) -> None:
        try:
            while not self._attempt():
                self._interrupt.clear()
                self._enter("Interrupted")
                self._enter("Starting")
        except ChannelFailure as failure:
            self._fail(ScriptedFailure(kind="ClientError", text=str(failure)))
        except Exception:  # noqa: BLE001 - a thread has nobody to raise to; the job shows what happened
            self._fail(ScriptedFailure(kind="InternalServerError", text=traceback.format_exc()))

    def _attempt(self) -> bool:
        """Go through the phases once; tell whether the job came to an end."""
        self._enter("Downloading")
        folders = [MlFolder(self._scratch / host) for host in self._hosts]
        for place, (host, ml) in enumerate(zip(self._hosts, folders, strict=True)):
            shutil.rmtree(ml.root, ignore_errors=True)
            lay_out(ml, self._request, host=host, hosts=self._hosts)
            download_channels(self._back, self._request, ml, host=place, hosts=len(self._hosts))
        copies = [CheckpointCopy(self._back, self._request, ml) for ml in folders]
        for copy in copies:
            copy.restore()
        if self._stop.is_set():
            self._enter("Stopping")
            self._enter("Stopped")
            return True
        self._enter("Training")
        ending, exit_code = self._train(folders, copies)
        if ending == "Interrupted":
            return False
        self._finish(folders, ending, exit_code)
        return True

    def _train(self, folders: list[MlFolder], copies: list[CheckpointCopy]) -> tuple[str, int]:
        """Run the processes; give what the job ends as and the exit code that decided it."""
        environment = {
            "TRAINING_JOB_NAME": self._request["TrainingJobName"],
            "TRAINING_JOB_ARN": self._arn,
            "AWS_REGION": self._back.region,
            **self._request.get("Environment", {}),
        }
        started_at = self._clock.now()
        name = self._request["TrainingJobName"]
        streams = [
            LogStream(self._back.logs, name, host=number, started_at=started_at)
            for number in range(1, len(folders) + 1)
        ]
        containers = [Container(self._trainer, ml, environment) for ml in folders]
        try:
            return self._watch(containers, streams, copies)
        finally:
            for container, stream, copy in zip(containers, streams, copies, strict=True):
                container.close()
                self._publish(container, stream)
                copy.update()

    def _watch(
        self, containers: list[Container], streams: list[LogStream], copies: list[CheckpointCopy]
    ) -> tuple[str, int]:
        limit_s, kill_at, ending = limits_of(self._request).runtime_s, inf, ""
        waited = 0.0
        while True:
            for container, stream, copy in zip(containers, streams, copies, strict=True):
                self._publish(container, stream)
                copy.update()
            codes = [container.exit_code() for container in containers]
            if failed := [code for code in codes if code]:
                return ending or "Failed", failed[0]
            if all(code == 0 for code in codes):
                return ending or "Completed", 0
            if not ending and (ending := self._wish_to_end(limit_s)):
                kill_at = waited + self._trainer.grace_s
                if ending != "Interrupted":
                    self._enter("Stopping")
                for container in containers:
                    container.terminate()
            if waited >= kill_at or self._closing.is_set():
                return ending or "Stopped", 137
            self._closing.wait(_POLL_S)
            waited += _POLL_S

    def _wish_to_end(self, limit_s: float) -> str:
        """Say what the job is to end as, empty when it may go on."""
        if self._stop.is_set():
            return "Stopped"
        if self._interrupt.is_set():
            return "Interrupted"
        with self._lock:
            running = next(phase.start for phase in reversed(self._phases) if phase.secondary == "Downloading")
        return "MaxRuntimeExceeded" if self._trained_s + self._clock.now() - running > limit_s else ""

    def _finish(self, folders: list[MlFolder], ending: str, exit_code: int) -> None:
        is_failure = ending == "Failed"
        if not is_failure:
            self._enter("Uploading", primary="InProgress" if ending == "Completed" else "Stopping")
        for ml in folders:
            upload_results(self._back, self._request, ml, with_model=not is_failure)
        if is_failure:
            texts = [ml.failure.read_text("utf-8", "replace") for ml in folders if ml.failure.is_file()]
            text = next(iter(texts), "")
            self._fail(ScriptedFailure(kind="AlgorithmError", text=text, exit_code=exit_code))
        else:
            self._enter(ending)

    def _publish(self, container: Container, stream: LogStream) -> None:
        now = self._clock.now()
        stream.write([(now, line) for line in container.take_lines()])

    def _fail(self, failure: ScriptedFailure) -> None:
        self._reason = failure.reason
        self._enter("Failed")

    def _enter(self, secondary: str, *, primary: str = "") -> None:
        now = self._clock.now()
        usual = "Stopping" if secondary == "Stopping" else FINAL.get(secondary, "InProgress")
        with self._lock:
            if self._phases:
                self._phases[-1] = replace(self._phases[-1], end=now)
                if secondary == "Interrupted":
                    begun = next(one.start for one in reversed(self._phases) if one.secondary == "Downloading")
                    self._trained_s += now - begun
            self._phases.append(Phase(secondary=secondary, primary=primary or usual, start=now, end=inf))
