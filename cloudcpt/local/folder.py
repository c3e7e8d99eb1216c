"""Where local jobs live: one folder per job under the user's state directory, whole or absent.

    <state>/jobs/<job name>/
      job.json       what the job is; never changes
      status.json    the journal: states with their times, failure, evaluations
      log.txt        everything that the trainer and its supervisor print
      lock           held while anything watches over the job
      containers.json  there while the job may have containers
      stop           there once somebody has asked the job to stop
      plan.json      link to the plan inside ml/
      ml/            laid out like /opt/ml
    <state>/models/<job name>/     models that outlived the folder of their job
    <state>/rows/                  tokenised rows that jobs share, `cloudcpt.dataset.row_cache`

A folder is built under a name that starts with a dot and renamed when it is complete; it is removed by being renamed
and then deleted. So at every moment a job is there in full or not at all, and of two makers exactly one succeeds.
"""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cloudcpt.jobs.ports import JobState, Phase
from cloudcpt.local.layout import lay_out
from cloudcpt.local.lock import claim, is_claimed
from cloudcpt.local.record import JobRecord, Journal
from cloudcpt.plan.plan import Plan
from cloudcpt.wire import PLAN_FILE, MlFolder

ROWS_DIR = "rows"
"""Below the state directory."""

_NEW = ".new-"
_GONE = ".gone-"
_ABANDONED_S = 3600.0


def state_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """Find the user's state directory: $CLOUDCPT_STATE_DIR, $XDG_STATE_HOME/cloudcpt or ~/.local/state/cloudcpt.

    Source: XDG base directory specification 0.8; it says to ignore a relative $XDG_STATE_HOME.
    """
    if own := environment.get("CLOUDCPT_STATE_DIR"):
        return Path(own).expanduser().absolute()
    shared = Path(environment.get("XDG_STATE_HOME") or "")
    return (shared if shared.is_absolute() else Path.home() / ".local" / "state") / "cloudcpt"


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The paths of one job's folder."""

    root: Path

    @property
    def record(self) -> Path:
        """Hold what the job is."""
        return self.root / "job.json"

    @property
    def journal(self) -> Path:
        """Hold what has happened to it."""
        return self.root / "status.json"

    @property
    def log(self) -> Path:
        """Hold everything that it printed."""
        return self.root / "log.txt"

    @property
    def lock(self) -> Path:
        """Say who owns it, see `cloudcpt.local.lock`."""
        return self.root / "lock"

    @property
    def stop(self) -> Path:
        """Exist once somebody has asked the job to stop."""
        return self.root / "stop"

    @property
    def ml(self) -> MlFolder:
        """Be the job's /opt/ml."""
        return MlFolder(self.root / "ml")


def build_folder(jobs: Path, plan: Plan, record: JobRecord) -> int | None:
    """Make the folder of a job, all at once.

    Args:
        jobs: The folder of all job folders.
        plan: What the job executes.
        record: What the job is.

    Returns:
        The claimed lock, to be handed on to a supervisor; None when a folder of this name is there already.
    """
    work = JobFolder(jobs / f"{_NEW}{secrets.token_hex(8)}")
    work.root.mkdir(mode=0o700, parents=True)
    lock = claim(work.lock)
    assert lock is not None, f"`{work.lock}` is new, nobody else can have it"
    try:
        lay_out(work.ml, plan)
        _share_rows(work.ml, jobs.parent / ROWS_DIR)
        (work.root / PLAN_FILE).symlink_to(work.ml.plan.relative_to(work.root))
        work.log.touch()
        Journal(phases=(Phase(state=JobState.PENDING, at=record.created_at),)).write(work.journal)
        record.write(work.record)
        work.root.rename(jobs / record.name)
    except BaseException as exc:
        os.close(lock)
        shutil.rmtree(work.root, ignore_errors=True)
        if isinstance(exc, OSError) and exc.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return None
        raise
    return lock


def _share_rows(ml: MlFolder, rows: Path) -> None:
    """Let a trainer find the rows of earlier jobs, and leave its own for later ones."""
    rows.mkdir(mode=0o700, exist_ok=True)
    ml.row_cache.parent.mkdir()
    ml.row_cache.symlink_to(rows.absolute())


def remove_folder(folder: JobFolder) -> None:
    """Remove a job's folder: at once for everyone who looks, then from the disk."""
    gone = folder.root.with_name(f"{_GONE}{secrets.token_hex(8)}")
    folder.root.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def sweep(jobs: Path) -> None:
    """Delete what killed makers and removers left behind."""
    for path in jobs.glob(f"{_GONE}*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in jobs.glob(f"{_NEW}*"):
        # Nobody takes an hour to make a folder, and while it is being made it is claimed.
        if time.time() - path.stat().st_mtime > _ABANDONED_S and not is_claimed(path / "lock"):
            shutil.rmtree(path, ignore_errors=True)
