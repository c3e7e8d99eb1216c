"""Jobs on this machine: the ports of `cloudcpt.jobs` over folders and processes."""

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cloudcpt
from cloudcpt.errors import SetupError, UsageProblem, error
from cloudcpt.jobs.fetch import job_model_faults
from cloudcpt.jobs.names import unknown_job
from cloudcpt.jobs.ports import START, JobState, JobStatus, LogChunk, Submission
from cloudcpt.jobs.resume import with_way_on
from cloudcpt.local.containers import require
from cloudcpt.local.folder import ROWS_DIR, JobFolder, build_folder, remove_folder, state_dir, sweep
from cloudcpt.local.layout import refuse_unreachable
from cloudcpt.local.leftovers import remove_leftovers, tidy
from cloudcpt.local.lock import claim
from cloudcpt.local.log import last_progress, read_log
from cloudcpt.local.record import JobRecord, read_journal, read_record
from cloudcpt.local.standing import standing
from cloudcpt.local.start import BUNDLED_TRAINER, Trainer, is_installed, refuse_missing_packages, start_supervisor
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import COMPLETE_FILE, checkpoint_folder, checkpoint_steps, commit_text, recovery_steps

STOP_GRACE_S = 120.0
"""Seconds from a stop to a kill, as the service gives: one step on a slow machine takes a while."""

_START_PATIENCE_S = 10.0
"""How long to wait for another client that is starting the job."""


class LocalEngine:
    """A `JobService`, `LogSource`, `ModelSource` and `CheckpointSource` over the folders of a state directory.

    Args:
        state: The state directory; the user's own when None.
        trainer: What runs a job.
        grace_s: Seconds from a stop to a kill.
        is_installed: Tells whether a module can be imported, without importing it.
    """

    def __init__(
        self,
        state: Path | None = None,
        *,
        trainer: Trainer = BUNDLED_TRAINER,
        grace_s: float = STOP_GRACE_S,
        is_installed: Callable[[str], bool] = is_installed,
    ) -> None:
        self.state = state or state_dir()
        self.trainer = trainer
        self._grace_s = grace_s
        self._is_installed = is_installed

    def create(self, plan: Plan, *, replace: bool = False) -> Submission:
        """Make sure that the one job of a plan exists and is under way; see `JobService.create`.

        Raises:
            PlanError: files of the plan are not on this machine.
            SetupError: packages are missing, the state directory cannot be written, or the supervisor does not start.
        """
        folder = self.folder(plan.job_name)
        try:
            if replace:
                self._remove_unsuccessful(folder)
            lock, adopted = self._build(plan), False
            if lock is None:
                lock, adopted = self._claim_unstarted(folder), True
            if lock is not None:
                start_supervisor(folder, lock, self._grace_s)
        except OSError as exc:
            message = f"cannot keep jobs in `{self.state}`: {exc.strerror or exc}"
            hint = "name a folder on a local disk in $CLOUDCPT_STATE_DIR"
            raise SetupError(error("CPT450", message, hint=hint)) from exc
        return Submission(name=plan.job_name, adopted=adopted)

    def status(self, name: str) -> JobStatus:
        """Look at a job; see `JobService.status`."""
        folder = self._existing(name)
        tidy(folder)
        record, journal = read_record(folder.record), standing(folder)
        is_complete = journal.state is JobState.COMPLETED and (folder.ml.model / COMPLETE_FILE).is_file()
        recovery_step = max(recovery_steps(folder.ml), default=None)
        failure = journal.failure if journal.state.is_final else None
        return JobStatus(
            name=name,
            target=record.target,
            plan_hash=record.plan_hash,
            phases=journal.phases,
            failure=with_way_on(failure, recovery_step) if failure else journal.failure,
            progress=last_progress(folder.log),
            evaluations=journal.evaluations,
            files=str(folder.root),
            model=str(folder.ml.model) if is_complete else None,
            is_rehearsal=record.is_rehearsal,
            checkpoints=checkpoint_steps(folder.ml),
            recovery_step=recovery_step,
        )

    def resume(self, name: str) -> Submission:
        """Let a job go on in its folder, with a new supervisor; see `JobService.resume`.

        Raises:
            SetupError: packages are missing, or the supervisor does not start.
        """
        folder = self._existing(name)
        refuse_missing_packages(self.trainer, self._is_installed)
        lock = claim(folder.lock)
        if lock is None:
            return Submission(name=name, adopted=True)
        journal = read_journal(folder.journal)
        if journal.state is JobState.COMPLETED:
            os.close(lock)
            return Submission(name=name, adopted=True)
        # Whoever dies between these lines leaves a job that is waiting to be started, which `submit` does.
        folder.stop.unlink(missing_ok=True)
        journal.entering(JobState.PENDING, time.time()).write(folder.journal)
        start_supervisor(folder, lock, self._grace_s)
        return Submission(name=name, adopted=False)

    def stop(self, name: str) -> None:
        """Ask a job to stop; see `JobService.stop`."""
        folder = self._existing(name)
        tidy(folder)
        if not standing(folder).state.is_final:
            commit_text(folder.stop, "")

    def names(self) -> tuple[str, ...]:
        """Name every job, newest first; see `JobService.names`."""
        return tuple(path.name for path in sorted(self._folders(), key=_created_at, reverse=True))

    def read(self, name: str, position: str = START) -> LogChunk:
        """Read on in the log of a job; see `LogSource.read`."""
        folder = self._existing(name)
        is_final = standing(folder).state.is_final  # before the read: afterwards nobody writes any more
        return read_log(folder.log, position, is_final=is_final)

    def faults(self, name: str) -> list[str]:
        """Verify the job's model where it lies; see `ModelSource.faults`."""
        folder = self._existing(name)
        return job_model_faults(folder.ml.model, read_record(folder.record).plan_hash)

    def copy(self, name: str, folder: Path) -> None:
        """Copy the job's model folder; see `ModelSource.copy`."""
        shutil.copytree(self._existing(name).ml.model, folder)

    @property
    def rows(self) -> Path:
        """Hold the tokenised rows that jobs share."""
        return self.state / ROWS_DIR

    def copy_checkpoint(self, name: str, step: int, folder: Path) -> None:
        """Copy the model that a job keeps of a step; see `CheckpointSource.copy_checkpoint`."""
        shutil.copytree(checkpoint_folder(self._existing(name).ml, step), folder)

    def folder(self, name: str) -> JobFolder:
        """Give the paths of a job, whether or not it exists."""
        return JobFolder(self.state / "jobs" / name)

    def delete(self, name: str, *, with_model: bool) -> Path | None:
        """Remove a job that has ended.

        Args:
            name: Of the job.
            with_model: Remove a complete model too, instead of keeping it beside the jobs.

        Returns:
            Where the model is now; None when there is none any more.

        Raises:
            UsageProblem: there is no such job, it has not ended, or an earlier model is where this one would be kept.
            TransientError: containers of it are there still, and their engine cannot remove them.
        """
        folder = self._existing(name)
        lock = claim(folder.lock)
        if lock is None:
            raise UsageProblem(
                error("CPT467", f"job `{name}` has not ended", hint=f"stop it first: `cloudcpt stop {name} --wait`")
            )
        try:
            if (left := remove_leftovers(folder.root)) is not None:
                require(left, "remove the containers of the job")
            kept = None if with_model else self._keep_model(folder)
            remove_folder(folder)
        finally:
            os.close(lock)
        sweep(self.state / "jobs")
        return kept

    def _existing(self, name: str) -> JobFolder:
        if name not in (path.name for path in self._folders()):
            raise unknown_job(self.names(), name)
        return self.folder(name)

    def _folders(self) -> list[Path]:
        jobs = self.state / "jobs"
        return [path for path in jobs.iterdir() if not path.name.startswith(".")] if jobs.is_dir() else []

    def _build(self, plan: Plan) -> int | None:
        jobs = self.state / "jobs"
        if (jobs / plan.job_name).exists():
            return None
        refuse_unreachable(plan)
        refuse_missing_packages(self.trainer, self._is_installed)
        jobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(jobs)
        record = JobRecord(
            name=plan.job_name,
            created_at=time.time(),
            target=plan.target,
            plan_hash=plan.hash,
            max_runtime_s=plan.max_runtime_s,
            client=tuple(sys.argv),
            trainer=self.trainer.command,
            made_by=f"cloudcpt {cloudcpt.__version__}",
            python=platform.python_version(),
            is_rehearsal=plan.model.stand_in,
        )
        return build_folder(jobs, plan, record)

    def _claim_unstarted(self, folder: JobFolder) -> int | None:
        """Take over a job whose client died before it started the supervisor; None when somebody is at it or was."""
        deadline = time.monotonic() + _START_PATIENCE_S
        while read_journal(folder.journal).state is JobState.PENDING and time.monotonic() < deadline:
            lock = claim(folder.lock, patience_s=0.1)
            if lock is None:
                continue
            # Between our two looks another client may have started the job, and it may even have ended.
            if read_journal(folder.journal).state is JobState.PENDING:
                return lock
            os.close(lock)
        return None

    def _remove_unsuccessful(self, folder: JobFolder) -> None:
        lock = claim(folder.lock) if folder.root.is_dir() else None
        if lock is None:
            return
        try:
            # We have the lock, so nothing watches over the job: it has ended, or its supervisor died, or it is
            # waiting to be started. Only a completed job and one that can still be started stay.
            if read_journal(folder.journal).state not in {JobState.COMPLETED, JobState.PENDING}:
                remove_leftovers(folder.root)
                remove_folder(folder)
        finally:
            os.close(lock)

    def _keep_model(self, folder: JobFolder) -> Path | None:
        if not (folder.ml.model / COMPLETE_FILE).is_file():
            return None
        kept = self.state / "models" / folder.root.name
        if kept.exists():
            hint = f"move `{kept}` away, or delete both models with `--with-model`"
            raise UsageProblem(error("CPT469", f"`{kept}` holds the model of an earlier job of this name", hint=hint))
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.ml.model.rename(kept)


def _created_at(path: Path) -> float:
    try:
        return read_record(path / "job.json").created_at
    except SetupError:
        return 0.0  # a damaged folder has a name all the same
