"""One training process: runs the loop and, if that ends badly, leaves the reason where the platform looks for it.

Started by the launcher or by torchrun with `RANK`, `LOCAL_RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT` set.
Exit codes: 0 when the run completed or stopped as it was asked to, 1 when it failed.
"""

import argparse
import faulthandler
import os
import sys
from pathlib import Path
from typing import NoReturn

from cloudcpt.plan.plan import read_plan
from cloudcpt.train.failures import failure_of, write_failure
from cloudcpt.train.stop import end_with_parent, remember_signals, stop_failure
from cloudcpt.wire import MlFolder


def main() -> NoReturn:
    """Run the loop of the plan under `--root` and end this process."""
    parser = argparse.ArgumentParser(prog="cloudcpt.train.worker", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    ml = MlFolder(parser.parse_args().root)
    end_with_parent()
    remember_signals()
    faulthandler.enable()
    status = _run(ml)
    # Not sys.exit: after a failure, tearing down a process group whose peers are stuck can wait for minutes.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def hide_torchao() -> None:
    """Keep transformers from importing torchao, which the image has for `float8` alone.

    It would load every library of it, which takes a second, and puts lines into the log about those for other chips.
    """
    sys.modules["torchao"] = None  # type: ignore[assignment]  # how the import system is told that there is none


def _run(ml: MlFolder) -> int:
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    try:
        plan = read_plan(ml.plan)
        if plan.compute.float8 == "none":
            hide_torchao()
        from cloudcpt.train.run import train  # takes seconds; signals and failures are looked after before it

        outcome = train(plan, ml)
    except BaseException as exc:  # noqa: BLE001 - also SystemExit: nothing ends a job without a reason
        failure = failure_of(exc)
        if failure.detail:
            sys.stderr.write(f"{failure.detail}\n")
        write_failure(ml, failure, rank)
        return 1
    if outcome == "stopped" and local_rank == 0:
        from cloudcpt.train.progress import last_step

        write_failure(ml, stop_failure(ml, last_step(ml)), rank)
    return 0


if __name__ == "__main__":
    main()
