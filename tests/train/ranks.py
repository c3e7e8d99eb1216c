"""One rank of a world of two: runs the jobs named on the command line, one after another, and says how each ended.

Importing torch takes longer than any of the tiny jobs, so all tests share one pair of processes. Arguments are
`PORT:ROOT`, a port for each job because the store of the last one may still be closing; with `PORT:ROOT:signal`,
rank 1, and only rank 1, gets SIGTERM once three steps are done.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from cloudcpt.plan.plan import read_plan
from cloudcpt.train.failures import TrainingFailure
from cloudcpt.train.run import train
from cloudcpt.train.stop import end_with_parent, remember_signals
from cloudcpt.wire import MlFolder


def signal_after_three_steps(ml: MlFolder) -> None:
    """Wait for the third step in the metrics, then end this process the way a platform does."""
    while not ml.metrics.exists() or ml.metrics.read_text("utf-8").count('"kind": "step"') < 3:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run every job and write `outcome-RANK.json` beside its folders."""
    end_with_parent()
    remember_signals()
    rank = int(os.environ["RANK"])
    for argument in sys.argv[1:]:
        os.environ["MASTER_PORT"], root, *wish = argument.split(":")
        ml = MlFolder(Path(root))
        if wish and rank == 1:
            threading.Thread(target=signal_after_three_steps, args=(ml,), daemon=True).start()
        try:
            outcome = train(read_plan(ml.plan), ml)
        except TrainingFailure as exc:
            outcome = str(exc)
        (ml.root / f"outcome-{rank}.json").write_text(json.dumps(outcome), "utf-8")


if __name__ == "__main__":
    main()
