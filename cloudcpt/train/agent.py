"""torchrun, ending with the exit status of the process that ended first.

`python -m torch.distributed.run` ends with 1 whatever happened to its workers; whether one was killed for want of
memory can then only be read from its log. This is the same command with one thing added: the exit status of a failed
job is that of the worker that caused it, `128 + signal` when a signal ended it.
"""

import signal
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from cloudcpt.train.stop import end_with_parent


def root_status(exit_codes: list[int]) -> int:
    """Choose the exit status that explains a failure.

    Args:
        exit_codes: Of the workers that did not end well; negative numbers are signals.

    Returns:
        The status a shell would show. A signal explains the others: they only lost their connection to that process.
        SIGTERM explains nothing, it is what torchrun itself sends to the others once one has failed.
    """
    telling = [code for code in exit_codes if code != -signal.SIGTERM]
    worst = min(telling or exit_codes)
    return 128 - worst if worst < 0 else worst


def main() -> int:
    """Run torchrun with this process's arguments."""
    end_with_parent()
    try:
        torchrun(sys.argv[1:])
    except ChildFailedError as exc:
        return root_status([failure.exitcode for failure in exc.failures.values()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
