"""The clock of a start says where the time went."""

import os
import subprocess
import sys
import time

import pytest

from cloudcpt.train.startup import StartUp

pytestmark = pytest.mark.train


def test_phases_add_up_to_the_age_of_the_process():
    code = (
        "import time; from cloudcpt.train.startup import StartUp; clock = StartUp(); clock.ends('rows');"
        "clock.ends('first step'); print(sum(clock.seconds.values()))"
    )
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert 0 < float(done.stdout) <= time.monotonic() - before + 0.02  # the system counts in hundredths


def test_it_runs_until_the_first_step_is_done():
    clock = StartUp()
    clock.ends("rows")
    assert clock.is_running
    clock.ends("first step")
    assert not clock.is_running
    assert [*clock.seconds] == ["imports", "rows", "first step"]
    assert clock.in_words().startswith(f"{sum(clock.seconds.values()):.1f} s from the start of the process")
    assert clock.in_words().endswith(
        f", rows {clock.seconds['rows']:.1f}, first step {clock.seconds['first step']:.1f}"
    )
