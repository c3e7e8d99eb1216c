"""torchrun, ending with the exit status of the process that ended first, and ten seconds after it.

`python -m torch.distributed.run` ends with 1 whatever happened to its workers; whether one was killed for want of
memory can then only be read from its log. This is the same command with three things changed: the exit status of a
failed job is that of the worker that caused it, `128 + signal` when a signal ended it; it is one of its own where the
machines of a job do not meet; and workers that are stuck in a collective with the one that failed are killed after ten
seconds, not thirty.
"""

import signal
import sys
from collections.abc import Iterable

from torch.distributed import DistError
from torch.distributed.elastic.multiprocessing.api import PContext
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.run import main as torchrun

from cloudcpt.train.processes import NOT_MET
from cloudcpt.train.stop import end_with_parent

SHUTDOWN_S = 10
"""How long the others may end by themselves once one has failed; stuck in a collective, they cannot."""


def root_status(failures: Iterable[ProcessFailure]) -> int:
    """Choose the exit status that explains a failure.

    Args:
        failures: Of the workers that did not end well; negative exit codes are signals.

    Returns:
        The status a shell would show. Who ended seconds after the first was ended by torchrun, and explains nothing;
        nor does SIGTERM, which torchrun sends first. Of those left, a signal explains the others: they only lost their
        connection to that process.
    """
    failures = list(failures)
    first = min(failure.timestamp for failure in failures)
    early = [failure.exitcode for failure in failures if failure.timestamp < first + SHUTDOWN_S // 2]
    telling = [code for code in early if code != -signal.SIGTERM]
    worst = min(telling or early)
    return 128 - worst if worst < 0 else worst


def main() -> int:
    """Run torchrun with this process's arguments."""
    end_with_parent()
    # torch 2.13 closes a failed group with this default and has no option for it: TORCH_ELASTIC_SHUTDOWN_TIMEOUT only
    # counts when torchrun itself is asked to end.
    PContext.close.__defaults__ = (None, SHUTDOWN_S)
    try:
        torchrun(sys.argv[1:])
    except ChildFailedError as exc:
        return root_status(exc.failures.values())
    except DistError as exc:
        sys.stderr.write(f"the machines of this job did not meet: {exc}\n")
        return NOT_MET
    return 0


if __name__ == "__main__":
    sys.exit(main())
