"""A stop that comes before the launcher can hear it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from cloudcpt.wire import MlFolder


def test_a_stop_that_came_before_everything_is_heard(tmp_path: Path) -> None:
    """Process 1 of a container would lose it; here it waits, as it does there once the first line has run."""

    def be_told_to_stop() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM,))
        os.kill(os.getpid(), signal.SIGTERM)

    command = [sys.executable, "-m", "cloudcpt.train", "train", "--root", str(tmp_path)]
    ended = subprocess.run(command, preexec_fn=be_told_to_stop, capture_output=True, check=False)
    assert ended.returncode == 1, "there is no plan"
    assert (MlFolder(tmp_path).scratch / "stop").read_text() == "SIGTERM\n"
