"""Watch over one job until it ends, without the client that started it.

    client ---> starter (ends at once) ---> guard ---> supervisor ---> trainer ---> torchrun, workers, ...

The starter leaves so that nobody has to wait for its child. The supervisor starts the trainer, writes the journal,
passes a stop on, and enforces the time limit. The guard waits for the supervisor only: should that be killed, the
guard ends the trainer's whole family and says so in the journal. Should the guard be killed, the supervisor gets
SIGTERM and stops the job in good order; should both be, the trainer does. Guard and supervisor hold the folder's lock,
inherited from the client, and the trainer does not: when the lock is free, nothing watches over the job.

A stop is a file, not a signal: it cannot hit a process that took over an old process id, and it is there for a
supervisor that has not started yet.
"""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cloudcpt.jobs.ports import START, JobState
from cloudcpt.local.folder import JobFolder
from cloudcpt.local.leftovers import remove_leftovers
from cloudcpt.local.log import read_log
from cloudcpt.local.outcome import outcome, stopped
from cloudcpt.local.processes import adopt_orphans, die_with_parent, end_descendants
from cloudcpt.local.record import JobRecord, Journal, read_journal, read_record
from cloudcpt.local.standing import SUPERVISOR_DIED
from cloudcpt.wire import Failure, Progress, parse_evaluation, parse_progress

POLL_S = 0.25
"""Seconds between two looks at the log and for a stop; a signal or the trainer's end is noticed at once."""

_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_ORPHAN_GRACE_S = 10.0
"""Most seconds that a trainer has to end after its supervisor was killed: nothing that it could save would count."""


@dataclass(kw_only=True)
class Supervisor:
    """A job while it runs.

    Args:
        folder: Of the job.
        record: What the job is.
        grace_s: Seconds between asking the trainer to stop and killing it.
        journal: As last written.
        position: How far the log has been read, from the end of what was there before.
        progress: The last logged step.
        reason: Why the job is being stopped; None while it is not.
        kill_at: When the grace is over, in seconds of the monotonic clock.
    """

    folder: JobFolder
    record: JobRecord
    grace_s: float
    journal: Journal
    position: str = START
    progress: Progress | None = None
    reason: Failure | None = None
    kill_at: float = math.inf

    def run(self) -> None:
        """Run the trainer from start to end."""
        # Blocked signals wait until `sigtimedwait` picks them up: no handler, so nothing happens between two lines.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._enter(JobState.PREPARING)
        started = time.monotonic()
        trainer = self._start()
        while trainer.poll() is None:
            signalled = signal.sigtimedwait(_SIGNALS, POLL_S)
            self._read_log(is_final=False)
            number = signalled.si_signo if signalled else None
            self._consider_stop(trainer, number, time.monotonic() - started)
        end_descendants(0)  # a worker that outlived its launcher must not write into the folder any more
        remove_leftovers(self.folder.root)
        self._read_log(is_final=True)
        state, failure = outcome(self.folder.ml, trainer.returncode, self.reason)
        self._enter(state, failure)

    def _start(self) -> subprocess.Popen[bytes]:
        def settle() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            die_with_parent(signal.SIGTERM)

        with self.folder.log.open("ab") as log:
            return subprocess.Popen(
                [*self.record.trainer, "--root", str(self.folder.ml.root)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=settle,
            )

    def _read_log(self, *, is_final: bool) -> None:
        while True:
            chunk = read_log(self.folder.log, self.position, is_final=is_final)
            self.position = chunk.position
            for line in chunk.lines:
                self._notice(line)
            if chunk.ended:
                return

    def _notice(self, line: str) -> None:
        if evaluation := parse_evaluation(line):
            self._write(self.journal.measured(evaluation))
        elif progress := parse_progress(line):
            self.progress = progress
            if self.journal.state is JobState.PREPARING:
                self._enter(JobState.TRAINING)
            if self.journal.state is JobState.TRAINING and progress.step >= progress.total_steps:
                self._enter(JobState.SAVING)

    def _consider_stop(self, trainer: subprocess.Popen[bytes], signalled: int | None, running_s: float) -> None:
        now = time.monotonic()
        if self.reason is None:
            self.reason = self._wish(signalled, running_s)
            if self.reason is not None:
                self.kill_at = now + self.grace_s
                self._enter(JobState.STOPPING, self.reason)
                trainer.terminate()
        elif now >= self.kill_at:
            trainer.kill()  # the rest of its family follows once it has ended

    def _wish(self, signalled: int | None, running_s: float) -> Failure | None:
        limit_s = self.record.max_runtime_s
        if self.folder.stop.exists():
            return stopped("CPT464", "was stopped on request", self.progress)
        if 0 < limit_s <= running_s:
            hint = "raise `launch.max_runtime_hours` in the recipe"
            return stopped("CPT465", f"ran for its limit of {limit_s} s", self.progress, hint=hint)
        if signalled in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            return stopped("CPT466", "was told to end by the system, as when a machine shuts down", self.progress)
        return None

    def _enter(self, state: JobState, failure: Failure | None = None) -> None:
        self._write(self.journal.entering(state, time.time(), failure))

    def _write(self, journal: Journal) -> None:
        self.journal = journal
        try:
            journal.write(self.folder.journal)
        except OSError as exc:
            # A full disk must not cost the job its supervisor; the next entry is written together with this one.
            sys.stderr.write(f"cannot write {self.folder.journal}: {exc}\n")


def main(folder: Path, grace_s: float) -> None:
    """Detach from the client and see a job through.

    Args:
        folder: The job's, with its lock claimed by the client and inherited by this process.
        grace_s: Seconds between asking the trainer to stop and killing it.
    """
    job = JobFolder(folder)
    if os.fork():
        return
    adopt_orphans()
    supervisor = os.fork()
    if supervisor:
        _guard(job, supervisor, min(grace_s, _ORPHAN_GRACE_S))
        return
    adopt_orphans()
    die_with_parent(signal.SIGTERM)
    record, journal = read_record(job.record), read_journal(job.journal)
    # What an earlier attempt has printed is not what this one does.
    position = str(job.log.stat().st_size)
    Supervisor(folder=job, record=record, grace_s=grace_s, journal=journal, position=position).run()


def _guard(job: JobFolder, supervisor: int, grace_s: float) -> None:
    os.waitpid(supervisor, 0)
    end_descendants(grace_s)
    remove_leftovers(job.root)
    journal = read_journal(job.journal)
    if not journal.state.is_final:
        journal.entering(JobState.FAILED, time.time(), SUPERVISOR_DIED).write(job.journal)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
