"""A training process without training: does what the file `behaviour` in its root says, so that launch can be tested.

Says that it runs with a file `ready-RANK` that holds its environment.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from cloudcpt.errors import Blame
from cloudcpt.train.failures import PEER_LOST, write_failure
from cloudcpt.train.stop import end_with_parent, remember_signals, stop_failure, stop_requested
from cloudcpt.wire import Failure, MlFolder


def main() -> int:
    root = Path(sys.argv[sys.argv.index("--root") + 1])
    ml, rank = MlFolder(root), int(os.environ["RANK"])
    end_with_parent()
    remember_signals()
    temporary = root / f"unready-{rank}"
    temporary.write_text(json.dumps({"pid": os.getpid(), "environment": dict(os.environ)}), "utf-8")
    temporary.rename(root / f"ready-{rank}")
    match (root / "behaviour").read_text("utf-8"):
        case "succeed":
            if stop_requested(ml):
                write_failure(ml, stop_failure(ml, 0), rank)
            return 0
        case "fail":
            write_failure(ml, Failure(code="CPT604", blame=Blame.USER, message="loss is not finite"), rank)
            return 1
        case "exit 3":
            return 3
        case "crash":
            os.kill(os.getpid(), signal.SIGABRT)
        case "wait for the stop":
            while not stop_requested(ml):
                time.sleep(0.02)
            with (root / f"stopped-{rank}").open("a") as file:
                file.write("once\n")
            if os.environ["LOCAL_RANK"] == "0":
                write_failure(ml, stop_failure(ml, 12), rank)
            return 0
        case "echo a dead peer":
            while not (root / "peer is dead").exists():
                time.sleep(0.02)
            write_failure(ml, Failure(code=PEER_LOST, blame=Blame.PLATFORM, message="lost a peer"), rank)
            return 1
        case "rank 0 exits with 3, the others are stuck":
            if rank == 0:
                return 3
            time.sleep(60)  # SIGTERM is only remembered
        case "never end":
            time.sleep(60)
    return 99


if __name__ == "__main__":
    sys.exit(main())
