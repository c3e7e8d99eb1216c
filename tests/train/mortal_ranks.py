"""One rank of a world that is killed and started again: runs jobs one after another, each in a forked process.

Importing torch takes longer than any of the tiny jobs, so it happens once, before the first fork. The only argument
is a JSON file with a list of runs: `root` and `port`; `world`, 1 or 2 ranks; `dies`, the rank that gets SIGKILL, and
where. `line` is the beginning of a line of its log (rank 0 writes one); `touch` is a piece of a path that Python is
about to open, make or rename, and `remove` one that it is about to remove with all that is in it. So the kill comes at
the same place every time.
"""

import json
import os
import signal
import sys
from pathlib import Path

import cloudcpt.train.run
from cloudcpt.plan.plan import read_plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.wire import MlFolder


class DeadlyLog:
    """A log that kills its process at a line."""

    def __init__(self, line: str) -> None:
        self._line = line

    def write(self, text: str) -> int:
        """Take what is printed."""
        if text.startswith(self._line):
            os.kill(os.getpid(), signal.SIGKILL)
        return len(text)

    def flush(self) -> None:
        """Have nothing to flush."""


def die_at(piece: str, events: tuple[str, ...]) -> None:
    """Kill this process when it is about to do something with a path."""

    def notice(event: str, arguments: tuple[object, ...]) -> None:
        if event in events and any(piece in str(one) for one in arguments[:2]):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(notice)


def run(job: dict[str, object], rank: int) -> None:
    """Execute one job; leave how it ended in `outcome-RANK.json`."""
    os.environ |= {"MASTER_PORT": str(job["port"]), "WORLD_SIZE": str(job["world"])}
    ml = MlFolder(Path(str(job["root"])))
    outcome_path = ml.root / f"outcome-{rank}.json"
    outcome_path.unlink(missing_ok=True)
    if job.get("dies") == rank:
        if "line" in job:
            sys.stdout = DeadlyLog(str(job["line"]))
        elif "remove" in job:
            die_at(str(job["remove"]), ("shutil.rmtree",))
        else:
            die_at(str(job["touch"]), ("open", "os.mkdir", "os.rename"))
    try:
        outcome = cloudcpt.train.run.train(read_plan(ml.plan), ml)
    except TrainingFailure as exc:
        outcome = str(exc)
    except RuntimeError as exc:  # what gloo says when the other rank is gone
        outcome = f"lost: {exc}"
    outcome_path.write_text(json.dumps(outcome), "utf-8")


def main() -> None:
    """Run every job in a child of its own."""
    rank = int(os.environ["RANK"])
    for job in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        if rank >= job["world"]:
            continue
        child = os.fork()
        if not child:
            run(job, rank)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        expected = signal.SIGKILL if job.get("dies") == rank else 0
        assert os.waitstatus_to_exitcode(status) == -expected, (job, status)


if __name__ == "__main__":
    main()
